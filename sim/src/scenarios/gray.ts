/**
 * Members that live and answer, and cannot do their work: disks that hang or are full, processes
 * that stand still again and again.
 */
import { Director, STORY_TIMEOUT_MS } from "quorate/sim";
import type { SimOperation } from "quorate/sim";
import type { MemberId } from "quorate";
import type { Scenario } from "../scenario.ts";

/** Scenarios about gray failures. */
export const scenarios: readonly Scenario[] = [
  {
    name: "stalled-leader",
    known: "hashicorp/raft#503",
    text: "The leader's disk hangs: within three election timeouts another leads, and writes go on.",
    run: stalledLeader,
  },
  {
    name: "stalled-leader-steps-down",
    known: "hashicorp/raft#503",
    text:
      "The leader's disk hangs and nobody hears that he is to take over: the leader steps down, " +
      "does not campaign, and within three and a half election timeouts another leads.",
    run: stalledLeaderStepsDown,
  },
  {
    name: "all-stalled",
    text: "All disks hang: leadership stays where it is, and all goes on when they are back.",
    run: allStalled,
  },
  {
    name: "well-again",
    text: "Disks hang one after the other and come back: who is well again is chosen again.",
    run: wellAgain,
  },
  {
    name: "stalled-follower",
    text: "A follower's disk hangs: it is not chosen, it does not campaign, and the others go on.",
    run: stalledFollower,
  },
  {
    name: "full-leader",
    known: "etcd#2819",
    text: "The leader has no space: another leads, no write fails, and it catches up afterwards.",
    run: fullLeader,
  },
  {
    name: "full-target",
    text: "A follower has no space: leadership goes to the other one, on request and on leaving.",
    run: fullTarget,
  },
  {
    name: "all-full",
    text:
      "Nobody has space: writes are refused everywhere, reads go on, also under another leader, " +
      "and when space is back so are writes.",
    run: allFull,
  },
  {
    name: "full-then-failed",
    text: "A log fails while it waits for space and nobody writes: the member stops, and says why.",
    run: fullThenFailed,
  },
  {
    name: "majority-full",
    text: "Three of five have no space: who leads refuses, and who has space itself hears that from it.",
    run: majorityFull,
  },
  {
    name: "late-leader",
    text: "The leader's process stands still again and again: it hands over, once.",
    run: lateLeader,
  },
];

const T = STORY_TIMEOUT_MS;
const FOR_EVER_US = 3_600_000_000;

/** Members become candidates only for a reason: whoever stands for election is written down. */
class Candidates {
  readonly seen: MemberId[] = [];

  constructor(director: Director) {
    director.world.audience.add({
      event: ({ id }, event) => {
        if (event.type === "role" && event.role !== "follower" && event.role !== "leader") {
          this.seen.push(id);
        }
      },
    });
  }
}

async function stalledLeader(): Promise<void> {
  for (let seed = 1; seed <= 3; seed++) {
    const d = await Director.begin({ seed });
    await d.elect("n1");
    await d.ms(T);
    const candidates = new Candidates(d);
    d.of("n1").disk.stall(FOR_EVER_US);
    await d.done(d.put("n1", "x", "|while it hangs"));
    await d.until(() => d.leader("n2", "n3") !== undefined, "another leads", 3 * T);
    const { term } = d.leader()!.core!;
    for (const id of ["n2", "n3"] as const) await d.done(d.put(id, id, "|on"));
    await d.ms(20 * T);
    d.expect(d.leader()?.core?.term === term, "nobody disturbs the new leader");
    d.expect(!candidates.seen.includes("n1"), "n1 does not campaign");
    d.of("n1").disk.healAll();
    await d.ms(T);
    d.expect(d.leader()?.core?.term === term, "nor does n1 when it is back");
    await d.done(d.put("n1", "x", "|after"));
    await d.end();
  }
}

async function stalledLeaderStepsDown(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.ms(T);
  const candidates = new Candidates(d);
  d.lose((_from, _to, { type }) => type === "timeout-now");
  d.of("n1").disk.stall(FOR_EVER_US);
  await d.done(d.put("n1", "x", "|while it hangs"));
  await d.until(() => d.of("n1").core?.role === "follower", "n1 steps down", 3 * T);
  await d.until(() => d.leader("n2", "n3") !== undefined, "another leads", T);
  await d.ms(20 * T);
  d.expect(!candidates.seen.includes("n1"), "n1 does not campaign");
  await d.end();
}

async function allStalled(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.ms(T);
  const { term } = d.of("n1").core!;
  const candidates = new Candidates(d);
  for (const { disk } of d.world.members) disk.stall(FOR_EVER_US);
  const write = d.put("n1", "x", "|stuck");
  await d.ms(30 * T);
  d.expect(d.of("n1").core?.role === "leader", "n1 still leads");
  d.expect(d.of("n1").core?.term === term && candidates.seen.length === 0, "nobody campaigned");
  await d.finds("n2", "x", null);
  for (const { disk } of d.world.members) disk.healAll();
  await d.done(write);
  d.expect(d.leader()?.id === "n1" && d.of("n1").core?.term === term, "n1 leads on");
  await d.end();
}

async function wellAgain(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.ms(T);
  // n3 cannot take over, so the two others have to, in turn: each is chosen after it hung itself.
  d.lose((_from, to, { type }) => type === "timeout-now" && to === "n3");
  for (const [leader, next] of [
    ["n1", "n2"],
    ["n2", "n1"],
    ["n1", "n2"],
  ] as const) {
    d.of(leader).disk.stall(FOR_EVER_US);
    await d.done(d.put("n3", "x", `|${leader}`));
    await d.until(() => d.leader(next) !== undefined, `${next} leads`, 3 * T);
    d.of(leader).disk.healAll();
    await d.ms(3 * T);
    await d.done(d.put(leader, "x", "|between"));
  }
  await d.end();
}

async function stalledFollower(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.ms(T);
  const candidates = new Candidates(d);
  d.of("n2").disk.stall(FOR_EVER_US);
  await d.done(d.put("n1", "x", "|1"));
  await d.ms(3 * T);
  d.stage.transfer(d.of("n1"), undefined);
  await d.until(() => d.leader("n3") !== undefined, "n3 leads", T);
  await d.done(d.put("n3", "x", "|2"));
  await d.ms(2 * T);
  // Nobody leads, and n2 hears nobody: it waits.
  d.power("n3");
  d.isolate("n2");
  await d.ms(20 * T);
  d.expect(!candidates.seen.includes("n2"), "n2 does not campaign");
  d.rejoin("n2");
  d.of("n2").disk.healAll();
  await d.until(() => d.leader("n1") !== undefined, "n1 leads with the vote of n2", 5 * T);
  await d.done(d.put("n2", "x", "|3"));
  await d.end();
}

const SEGMENT_BYTES = 65_536;
const VALUE = `|${"f".repeat(2_000)}`;

/** Writes through a member until its log says that it waits for space. */
async function writeUntilFull(d: Director, id: MemberId, through: MemberId): Promise<void> {
  const isFull = (): boolean => d.of(id).engine?.log.status().state === "full";
  for (let i = 0; i < 200 && !isFull(); i++) await d.done(d.put(through, `k${i % 4}`, VALUE));
  d.expect(isFull(), `the log of ${id} waits for space`);
}

async function fullLeader(): Promise<void> {
  const d = await Director.begin({ segmentBytes: SEGMENT_BYTES });
  await d.elect("n1");
  d.of("n1").disk.fill(FOR_EVER_US);
  await writeUntilFull(d, "n1", "n1");
  await d.until(() => d.leader("n2", "n3") !== undefined, "another leads", T);
  const { term } = d.leader()!.core!;
  const { lastIndex } = d.of("n1").core!.log;
  for (let i = 0; i < 60; i++) await d.done(d.put("n2", "x", VALUE));
  d.expect(d.of("n1").core!.log.lastIndex <= lastIndex + 1, "n1 takes nothing without space");
  d.expect(d.leader()?.core?.term === term, "leadership stays with who has space");
  d.of("n1").disk.healAll();
  const isUpToDate = (): boolean => {
    return d.of("n1").core?.appliedIndex === d.leader()?.core?.appliedIndex;
  };
  await d.until(isUpToDate, "n1 catches up when it has space again", 10 * T + 2_000);
  d.expect(d.leader()?.core?.term === term, "nobody campaigned");
  await d.done(d.put("n1", "x", "|after"));
  await d.end();
}

async function fullTarget(): Promise<void> {
  const d = await Director.begin({ segmentBytes: SEGMENT_BYTES });
  await d.elect("n1");
  d.of("n2").disk.fill(FOR_EVER_US);
  await writeUntilFull(d, "n2", "n1");
  await d.ms(T);
  for (let i = 0; i < 4; i++) {
    const leader = d.leader()!;
    d.stage.transfer(leader, undefined);
    await d.until(() => d.leader("n1", "n3") !== undefined && d.leader() !== leader, "it moves", T);
    await d.done(d.put("n1", "x", `|${i}`));
  }
  const before = d.leader()!;
  let isDown = false;
  before.close(() => {
    isDown = true;
  });
  await d.until(() => isDown, `${before.id} is closed`, 2 * T);
  const other = before.id === "n1" ? "n3" : "n1";
  d.expect(d.leader(other) !== undefined, `${other} leads and not n2`);
  await d.end();
}

async function allFull(): Promise<void> {
  const d = await Director.begin({ segmentBytes: SEGMENT_BYTES });
  await d.elect("n1");
  const isFull = (): boolean =>
    d.world.members.every(({ engine }) => engine?.log.status().state === "full");
  for (const { disk } of d.world.members) disk.fill(FOR_EVER_US);
  for (let i = 0; i < 200 && !isFull(); i++)
    await d.ended(d.put("n1", "x", `|${i}${VALUE.slice(1)}`));
  d.expect(isFull(), "all logs wait for space");
  await d.ms(T);
  const { term } = d.leader()!.core!;
  await refusedEverywhere(d);
  await d.ms(20 * T);
  d.expect(d.leader()?.core?.term === term, "leadership stays");
  // There is a reserve for votes and for what opens a term.
  const dead = d.leader()!.id;
  d.power(dead);
  const others = (["n1", "n2", "n3"] as const).filter((id) => id !== dead);
  await d.until(() => d.leader(...others) !== undefined, "another leads", 10 * T);
  for (const id of others) await d.done(d.get(id, "x"));
  for (const { disk } of d.world.members) disk.healAll();
  await d.until(
    () =>
      d.world.members.every(({ id, engine }) => id === dead || engine?.log.status().state === "ok"),
    "space is back",
    2_000,
  );
  await d.ms(T);
  for (const id of others) await d.done(d.put(id, "x", `|${id}`));
  await d.end();
}

async function fullThenFailed(): Promise<void> {
  const d = await Director.begin({ members: 1, segmentBytes: SEGMENT_BYTES });
  const n1 = d.of("n1");
  await d.elect("n1");
  n1.disk.fill(FOR_EVER_US);
  const isFull = (): boolean => n1.engine?.log.status().state === "full";
  for (let i = 0; i < 200 && !isFull(); i++) await d.ended(d.put("n1", "x", VALUE));
  d.expect(isFull(), "the log waits for space");
  await d.ms(T);
  // There is space again, and the segment that is then prepared cannot be written.
  n1.disk.healAll();
  n1.disk.failNext("write");
  await d.until(() => n1.replica?.status().state === "failed", "n1 stops", 2 * T);
  const why = n1.replica?.status().failure?.code;
  d.expect(why === "STORAGE_FAILED", `n1 says why: ${why}`);
  await d.end();
}

async function majorityFull(): Promise<void> {
  const d = await Director.begin({ members: 5, segmentBytes: SEGMENT_BYTES });
  await d.elect("n4");
  await d.open("n5");
  const few = (["n1", "n2", "n3"] as const).map((id) => d.of(id));
  for (const { disk } of few) disk.fill(FOR_EVER_US);
  const isFull = (): boolean => few.every(({ engine }) => engine?.log.status().state === "full");
  for (let i = 0; i < 200 && !isFull(); i++)
    await d.ended(d.put("n4", "x", `|${i}${VALUE.slice(1)}`));
  d.expect(isFull(), "a majority waits for space");
  await d.ms(T);
  d.expect(d.leader()?.id === "n4", "n4 goes on leading");
  const write: SimOperation = d.put("n5", "x", "|refused");
  await d.ended(write);
  d.expect(write.error === "DISK_FULL", `n5 is refused: ${write.outcome} ${write.error}`);
  for (const { disk } of few) disk.healAll();
  await d.until(
    () => few.every(({ engine }) => engine?.log.status().state === "ok"),
    "space is back",
  );
  await d.ms(T);
  await d.done(d.put("n5", "x", "|again"));
  await d.end();
}

async function refusedEverywhere(d: Director): Promise<void> {
  for (const { id } of d.world.members) {
    const write: SimOperation = d.put(id, "x", "|refused");
    await d.ended(write);
    d.expect(write.error === "DISK_FULL", `${id} refuses: ${write.outcome} ${write.error}`);
    await d.done(d.get(id, "x"));
  }
}

async function lateLeader(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.ms(T);
  const moved: MemberId[] = [];
  d.world.audience.add({
    event: ({ id }, event) => {
      if (event.type === "role" && event.role === "leader") moved.push(id);
    },
  });
  for (let i = 0; i < 8; i++) {
    d.stage.pause(d.of("n1"), 0.7 * T * 1_000);
    await d.ms(2 * T);
    await d.done(d.put("n2", "x", `|${i}`));
  }
  d.expect(moved.length === 1 && moved[0] !== "n1", `leadership moved once: ${moved.join(", ")}`);
  await d.end();
}
