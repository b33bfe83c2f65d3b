/**
 * Leadership that moves on purpose, at the moments at which it is easiest to get wrong.
 */
import { Director, STORY_TIMEOUT_MS } from "quorate/sim";
import type { MemberId } from "quorate";
import type { Scenario } from "../scenario.ts";

/** Scenarios about transfers of leadership. */
export const scenarios: readonly Scenario[] = [
  {
    name: "rolling-restart",
    text:
      "Three members are restarted one after the other while clients write through all of them: " +
      "no write fails, and none takes more than 100 ms longer than in quiet times.",
    run: rollingRestart,
  },
  {
    name: "transfer-under-load",
    known: "hashicorp/raft#570",
    text: "Leadership moves again and again while clients write: nothing fails, nothing is doubled.",
    run: transferUnderLoad,
  },
  {
    name: "transfer-behind",
    known: "hashicorp/raft#581",
    text: "The target lacks an entry: it is told to campaign only once it has that on its disk, and then leads soon.",
    run: transferBehind,
  },
  {
    name: "transfer-given-up",
    text: "The target stands still: after an election timeout the leader serves again.",
    run: transferGivenUp,
  },
  {
    name: "transfer-late",
    text:
      "Timeout-now arrives when the leader has given up and committed more, without the target: " +
      "the target campaigns, and must not win.",
    run: transferLate,
  },
  {
    name: "transfer-of-another-term",
    text: "Timeout-now arrives when another leader leads another term: nothing comes of it.",
    run: transferOfAnotherTerm,
  },
];

/** Longest time of a write, beyond that of quiet times. */
const LONGER_MAX_MS = 100;

/** Clients that write one after the other, each to the next member that is up. */
class Load {
  readonly #director: Director;
  readonly #down: Set<MemberId> = new Set();
  #isOver = false;
  #open = 0;
  writes = 0;
  longestMs = 0;

  constructor(director: Director, clients: number) {
    this.#director = director;
    for (let client = 0; client < clients; client++) this.#next(client);
  }

  /** Clients are told to leave this member alone, or not any more; what is under way goes on. */
  set(id: MemberId, isUp: boolean): void {
    if (isUp) this.#down.delete(id);
    else this.#down.add(id);
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#director.until(() => this.#open === 0, "all writes end");
  }

  #next(turn: number): void {
    if (this.#isOver) return;
    const { world } = this.#director;
    const up = world.members.filter(({ id }) => !this.#down.has(id));
    const command = { type: "append", key: `k${turn % 4}`, value: `|${++this.writes}` } as const;
    this.#open++;
    const terms = { timeoutMs: 60_000, client: `client ${turn % 3}` };
    const member = up[turn % up.length]!;
    world.call(member, { kind: "write", command }, terms, (ended) => {
      this.#open--;
      const { outcome, error, calledUs } = ended;
      const ms = (world.nowUs() - calledUs) / 1_000;
      this.longestMs = Math.max(this.longestMs, ms);
      if (outcome !== "done") {
        world.broken("story", `a write at ${member.id} ended as ${outcome}: ${error}`);
        return;
      }
      this.#director.world.after(1_000, () => this.#next(turn + 1));
    });
  }
}

async function rollingRestart(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.ms(100);
  const load = new Load(d, 3);
  await d.ms(200);
  const quietMs = load.longestMs;
  const led = new Set<MemberId>();
  for (const member of d.world.members) {
    const { id } = member;
    if (d.leader()?.id === id) led.add(id);
    load.set(id, false);
    await d.ms(20);
    let isDown = false;
    member.close(() => {
      isDown = true;
    });
    await d.until(() => isDown, `${id} is closed`, 2 * STORY_TIMEOUT_MS);
    d.expect(d.leader() !== undefined, `another than ${id} leads when it is closed`);
    await d.ms(STORY_TIMEOUT_MS);
    await d.start(id);
    await d.until(() => member.core?.leader !== undefined, `${id} is back`);
    load.set(id, true);
    await d.ms(50);
  }
  await load.end();
  d.expect(led.size > 0, "a leader was restarted");
  d.expect(load.writes > 100, "enough was written");
  const longerMs = load.longestMs - quietMs;
  d.expect(longerMs <= LONGER_MAX_MS, `no write takes ${longerMs} ms longer`);
  await d.end();
}

async function transferUnderLoad(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.ms(100);
  const load = new Load(d, 3);
  for (let i = 0; i < 12; i++) {
    await d.ms(40);
    d.stage.transfer(
      d.of(`n${(i % 3) + 1}`),
      i % 4 === 3 ? undefined : d.of(`n${((i + 1) % 3) + 1}`),
    );
  }
  await d.ms(40);
  await load.end();
  d.expect(d.of("n1").core!.term >= 8, "leadership moved");
  d.expect(load.longestMs < LONGER_MAX_MS, `no write takes ${load.longestMs} ms`);
  await d.end();
}

async function transferBehind(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.ms(100);
  const told = d.lose((_from, to, { type }) => to === "n3" && type === "append-entries");
  await d.done(d.put("n1", "x", "|written"));
  let isTold = false;
  let isAllowed = false;
  d.world.audience.add({
    sent: (_member, _to, { type }) => {
      if (type !== "timeout-now") return;
      d.claim(isAllowed, "n3 is not told before it has everything");
      isTold = true;
    },
  });
  d.stage.transfer(d.of("n2"), d.of("n3"));
  await d.ms(STORY_TIMEOUT_MS / 4);
  isAllowed = true;
  told.end();
  await d.until(() => d.leader("n3") !== undefined, "n3 leads", STORY_TIMEOUT_MS / 2);
  d.expect(isTold, "n3 was told");
  await d.finds("n3", "x", "|written");
  await d.end();
}

async function transferGivenUp(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.ms(100);
  d.of("n3").pause();
  d.stage.transfer(d.of("n1"), d.of("n3"));
  await d.ms(10);
  const write = d.put("n2", "x", "|held");
  await d.ms(STORY_TIMEOUT_MS / 2);
  d.expect(write.outcome === "open", "the write is held back");
  await d.until(() => write.outcome !== "open", "it is done in the end", 2 * STORY_TIMEOUT_MS);
  await d.done(write);
  d.expect(d.leader()?.id === "n1", "n1 still leads");
  d.of("n3").resume();
  await d.end();
}

async function transferLate(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.ms(100);
  const late = d.hold((_from, _to, { type }) => type === "timeout-now");
  // The target still hears heartbeats, so it does not campaign by itself; its log stays as it is.
  const deaf = d.lose((_from, to, { type }) => to === "n3" && type === "append-entries");
  d.stage.transfer(d.of("n1"), d.of("n3"));
  await d.ms(1.2 * STORY_TIMEOUT_MS);
  const write = d.put("n2", "x", "|more");
  await d.done(write);
  late.release();
  late.end();
  await d.ms(STORY_TIMEOUT_MS / 4);
  deaf.end();
  await d.until(() => d.leader() !== undefined, "somebody leads");
  await d.finds("n2", "x", "|more");
  await d.end();
}

async function transferOfAnotherTerm(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.ms(100);
  const late = d.hold((_from, _to, { type }) => type === "timeout-now");
  const { process, replica } = d.of("n1");
  // A wish of a moment: it must not go on to the next leader.
  process!.enter(() => void replica!.leadership.transfer("n3", { timeoutMs: 4 }).catch(() => {}));
  await d.ms(5);
  d.isolate("n1");
  await d.elect("n2");
  d.rejoin("n1");
  await d.ms(3 * STORY_TIMEOUT_MS);
  const { term } = d.of("n2").core!;
  late.end();
  late.release();
  await d.ms(STORY_TIMEOUT_MS);
  for (const { id, core } of d.world.members) {
    d.expect(core?.term === term && core.leader === "n2", `${id} still follows n2 in its term`);
  }
  await d.end();
}
