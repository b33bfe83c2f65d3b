/**
 * Members with their keys on disk, ended by `kill -9` at chosen moments: of applying at any, of
 * taking, receiving and installing a snapshot at each step that there is. Whatever was acknowledged
 * is there afterwards, on every member, and all of them have the same. In full
 * (`npm run test:long`) all steps of a rebuild are gone through, one after the other.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { SeededRandom } from "../../packages/raft/src/util/random.ts";
import { Cluster } from "../harness/cluster.ts";
import type { Member } from "../harness/cluster.ts";
import { askForReply, jsonOf } from "../harness/http.ts";
import { killAt } from "../harness/kill-step.ts";
import type { KillStep } from "../harness/kill-step.ts";
import { perform } from "../harness/kv-client.ts";
import { Ledger } from "../harness/ledger.ts";
import { Progress } from "../harness/progress.ts";
import { waitUntil } from "../harness/wait.ts";

const LONG = process.env["QUORATE_LONG"] === "1";
/** The log is let go of all the time, so that who was away needs a snapshot. */
const ON_DISK = [
  ...["--store", "disk", "--snapshot-log-bytes", "60000", "--snapshot-entries", "10"],
  // Who is killed while it is sent a snapshot is soon not waited for any more.
  ...["--snapshot-progress-timeout", "1000"],
];
const ELECTION_TIMEOUT_MS = 500;
const CLIENT_TIMEOUT_MS = 2_000;
const WAIT_MS = 20_000;
const BULK_KEYS = 16;
const BULK_BYTES = 30_000;

/** About so many there are in a rebuild, without the parts of the snapshot. */
const STEPS = 20;
/**
 * Parts of a snapshot that comes: of the first few each. There are more of them every time, since
 * what is written meanwhile is in the next one: to go through all would be without end.
 */
const PARTS = 8;
/** With so many reads of a snapshot a part of it is in the new environment. */
const FILLED_READS = 8;

/** Steps of a member that is rebuilt, in their order. */
const REBUILDING: readonly KillStep[] = [
  // The snapshot comes, and gets its name.
  { at: "after write .*\\.part", count: 2 },
  { at: "after rename .*\\.snap" },
  // The machine takes it: a new environment is filled, synced, and named.
  { behind: "after rm .*/env-", at: "before read .*\\.snap", count: FILLED_READS },
  { at: "before rename .*/CURRENT" },
  // That was the swap; nobody has heard of it.
  { at: "after rename .*/CURRENT" },
];
const A_PART = "before write .*\\.part";
/** All other steps that change what is on disk. */
const CHANGES =
  "before (?!write .*\\.part)(open|write|fdatasync|fsync|rename|unlink|rm) .*/(machine|snapshot)/";
/** Steps of a member that takes a snapshot for another one. */
const TAKING: readonly KillStep[] = [
  { at: "before rename .*\\.snap" },
  { at: "after open .*\\.new" },
  { at: "after rename .*\\.snap" },
];

test(
  "killed at any moment of applying, alone or all at once, members lose nothing acknowledged",
  { timeout: LONG ? 900_000 : 60_000 },
  async (context) => {
    const trial = await Trial.begin(context);
    const random = new SeededRandom(11);
    const rounds = LONG ? 100 : 3;
    const progress = new Progress(context, "kills", rounds);
    for (let round = 0; round < rounds; round++) {
      progress.show(round);
      await trial.acknowledged(30);
      await sleep(random.below(60));
      const count = round % 2 === 0 ? 3 : 1 + random.below(2);
      const first = random.below(3);
      const hit = [0, 1, 2].slice(0, count).map((i) => trial.members[(first + i) % 3]!);
      await Promise.all(hit.map((member) => member.kill()));
      for (const member of hit) member.start();
      await trial.cluster.settled(WAIT_MS);
    }
    await trial.end();
  },
);

test(
  "killed at the steps of a rebuild, on either side, members lose nothing acknowledged",
  { timeout: LONG ? 900_000 : 60_000 },
  async (context) => {
    const trial = await Trial.begin(context);
    const leader = await trial.cluster.settled(WAIT_MS);
    const [away] = trial.cluster.others(leader) as [Member];
    const commit = await trial.fallsBehind(away);
    for (const step of REBUILDING) await trial.diesAt(away, step);
    killAt(away, undefined);
    away.start();
    await waitUntil("its log begins behind a snapshot", WAIT_MS, async () => {
      return (await startOf(away)) > commit;
    });

    for (const step of LONG ? TAKING : TAKING.slice(0, 1)) {
      await trial.cluster.settled(WAIT_MS);
      await trial.fallsBehind(away);
      const others = trial.cluster.others(away);
      for (const member of others) await trial.restart(member, step);
      killAt(away, undefined);
      away.start();
      const dead = await waitUntil("who takes a snapshot dies", WAIT_MS, () =>
        others.find((member) => !member.running),
      );
      expect(dead.child.output).toMatch(new RegExp(`^killed ${step.at}`, "m"));
      killAt(dead, undefined);
      dead.start();
      const [other] = others.filter((member) => member !== dead) as [Member];
      await trial.restart(other, undefined);
    }
    await trial.end();
  },
);

test.skipIf(!LONG)(
  "killed at every step of a rebuild, one after the other",
  { timeout: 3_600_000 },
  async (context) => {
    const trial = await Trial.begin(context);
    const [away] = trial.cluster.others(await trial.cluster.settled(WAIT_MS)) as [Member];
    const progress = new Progress(context, "steps, of as many as there will be", PARTS + STEPS);
    let count = 0;
    for (let isOver = false; !isOver;) {
      progress.show(count);
      const commit = await trial.fallsBehind(away);
      count++;
      const step = { at: CHANGES, count: count - PARTS };
      killAt(away, count > PARTS ? step : { at: A_PART, count });
      away.start();
      const isRebuilt = async (): Promise<boolean> =>
        (await startOf(away)) > commit && (await away.status()).applied > commit;
      await waitUntil("it dies, or is rebuilt", WAIT_MS, async () => {
        return !away.running || (await isRebuilt());
      });
      // What is left of the old environment goes in the background.
      await sleep(300);
      isOver = away.running;
      if (!isOver) {
        killAt(away, undefined);
        away.start();
        await trial.cluster.settled(WAIT_MS);
      }
    }
    await context.annotate(`${count - 1} steps`);
    expect(count).toBeGreaterThan(PARTS + REBUILDING.length);
    await trial.end();
  },
);

/** A cluster under writes whose every answer is remembered. */
class Trial {
  readonly cluster: Cluster;
  readonly #ledger: Ledger;
  readonly #bulk: Bulk;

  static async begin(context: TestContext): Promise<Trial> {
    const options = { members: 3, electionTimeoutMs: ELECTION_TIMEOUT_MS, args: ON_DISK };
    const cluster = await Cluster.make(context, options);
    await cluster.start();
    return new Trial(context, cluster);
  }

  private constructor(context: TestContext, cluster: Cluster) {
    this.cluster = cluster;
    this.#ledger = new Ledger(context);
    for (const _ of [1, 2]) this.#ledger.startWriter(cluster.httpPorts, CLIENT_TIMEOUT_MS);
    this.#bulk = new Bulk(context, cluster.httpPorts);
  }

  get members(): readonly Member[] {
    return this.cluster.members;
  }

  /** Waits until so many more writes are acknowledged. */
  async acknowledged(count: number): Promise<void> {
    const goal = this.#ledger.acknowledged + count;
    await waitUntil("writes are acknowledged", WAIT_MS, () => this.#ledger.acknowledged >= goal);
  }

  /** Ends a member, and waits until it needs a snapshot; returns an index that it does not have. */
  async fallsBehind(member: Member): Promise<number> {
    await member.kill();
    const others = this.cluster.others(member);
    const leader = await this.cluster.leader(others);
    // What it has beyond the commit index of now is less than what comes within a moment.
    await this.acknowledged(10);
    const { commit } = await leader.status();
    await waitUntil("no log has what it needs", WAIT_MS, async () => {
      const starts = await Promise.all(others.map(startOf));
      return starts.every((start) => start > commit);
    });
    return commit;
  }

  /** Starts a member, which ends itself there. */
  async diesAt(member: Member, step: KillStep): Promise<void> {
    killAt(member, step);
    member.start();
    await waitUntil(`${member.id} dies ${step.at}`, WAIT_MS, () => !member.running);
    expect(await member.child.ended).toEqual({ code: null, signal: "SIGKILL" });
    expect(member.child.output).toMatch(new RegExp(`^killed ${step.at}`, "m"));
  }

  /** Starts a member again, to end itself there if it comes that far. */
  async restart(member: Member, step: KillStep | undefined): Promise<void> {
    if (member.running) await member.kill();
    killAt(member, step);
    member.start();
    await waitUntil(`${member.id} answers`, WAIT_MS, () => member.answers());
  }

  /** Ends the writes, and compares what each member has with what was said, and with the others. */
  async end(): Promise<void> {
    await this.#ledger.stop();
    await this.#bulk.stop();
    await this.cluster.settled(WAIT_MS);
    const bulk: string[] = [];
    for (const member of this.members) {
      const audit = await this.#ledger.audit(member.httpPort);
      expect(audit, member.id).toMatchObject({ lost: [], appeared: [], invented: [] });
      bulk.push(await this.#bulk.read(member.httpPort));
    }
    expect(new Set(bulk).size, bulk.join("\n")).toBe(1);
  }
}

/** Large values over each other: they fill logs, layers and snapshots. */
class Bulk {
  readonly #work: Promise<void>;
  readonly #acknowledged: number[] = Array.from({ length: BULK_KEYS }, () => -1);
  #sent = 0;
  #isStopped = false;

  constructor(context: TestContext, ports: readonly number[]) {
    context.onTestFinished(() => void (this.#isStopped = true));
    this.#work = this.#write(ports);
    this.#work.catch(() => {}); // reported by stop()
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#work;
  }

  /** The numbers of the values that a member has; none is older than what was acknowledged. */
  async read(port: number): Promise<string> {
    const numbers: number[] = [];
    for (const [i, acknowledged] of this.#acknowledged.entries()) {
      const path = `/kv/bulk-${i}`;
      const { status, body } = await askForReply({ port, method: "GET", path });
      const number = status === 200 ? Number.parseInt(body, 10) : -1;
      if (number >= 0) expect(body).toBe(valueOf(number));
      expect(number, `bulk-${i} of ${port}`).toBeGreaterThanOrEqual(acknowledged);
      numbers.push(number);
    }
    return numbers.join(" ");
  }

  async #write(ports: readonly number[]): Promise<void> {
    for (let at = 0; !this.#isStopped;) {
      const number = this.#sent++;
      const key = number % BULK_KEYS;
      const input = { type: "put", value: valueOf(number) } as const;
      const terms = { timeoutMs: CLIENT_TIMEOUT_MS };
      const { outcome } = await perform(ports[at % ports.length]!, `bulk-${key}`, input, terms);
      if (outcome === "done") this.#acknowledged[key] = number;
      else at++;
      await sleep(5);
    }
  }
}

function valueOf(number: number): string {
  return `${number} `.padEnd(BULK_BYTES, String.fromCharCode(97 + (number % 26)));
}

/** Where the log of a member begins. */
async function startOf(member: Member): Promise<number> {
  const { httpPort: port } = member;
  const reply = await askForReply({ port, method: "GET", path: "/status", timeoutMs: 1_000 });
  const { log } = jsonOf(reply) as { log: { length: number; lastEntry: { index: number } } };
  return log.lastEntry.index - log.length;
}
