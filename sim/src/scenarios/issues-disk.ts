/**
 * Historical bugs of what is durable: power cuts, failed syncs, full disks, names that were never
 * synced. Where it depends on chance what a cut leaves, the story is repeated until it has left
 * everything.
 */
import { Director } from "quorate/sim";
import type { Scenario } from "../scenario.ts";

/** Bugs of durability. */
export const scenarios: readonly Scenario[] = [
  {
    name: "issue-etcd-14098",
    known: "etcd#14098",
    text: "A write torn by a power cut ends the log; it must not keep the member from starting.",
    run: tornWrites,
  },
  {
    name: "issue-etcd-6378",
    known: "etcd#6378",
    text: "The power of all fails in one write of several records: whatever is left, all start.",
    run: tornBatches,
  },
  {
    name: "issue-etcd-6368",
    known: "etcd#6368",
    text: "A segment that was written to is there after a power cut, name and all.",
    run: vanishedNames,
  },
  {
    name: "issue-etcd-2819",
    known: "etcd#2819",
    text: "A full disk stops writes, not the member, and nothing is damaged by it.",
    run: fullDisk,
  },
  {
    name: "issue-canonical-372",
    known: "canonical/raft#372",
    text: "A write that waits for the next segment goes on when it is there, conflict or not.",
    run: waitingForSegments,
  },
  {
    name: "issue-rostam-94",
    known: "rostam#94",
    text: "After a failed write nothing is acknowledged, even if a sync succeeds.",
    run: failedWrite,
  },
  {
    name: "issue-nats-7567",
    known: "nats#7567",
    text: "What two of three have acknowledged is there after the power of one of them has failed.",
    run: powerOfOne,
  },
  {
    name: "issue-nats-6888",
    known: "nats#6888",
    text: "A member that is killed at any operation of its first start begins anew the next time.",
    run: killedWhileStarting,
  },
  {
    name: "issue-qdrant-1329",
    known: "qdrant#1329",
    text: "A log that became shorter by a conflict is that short after a restart.",
    run: shorterLog,
  },
];

async function tornWrites(): Promise<void> {
  const d = await Director.begin({ members: 1 });
  await d.elect("n1");
  const long = `|${"long ".repeat(600)}`;
  for (let round = 0; round < 16; round++) {
    // The write takes half a millisecond and covers seven sectors. In its midst the power fails:
    // some are on the medium, with the head of the record or without it.
    const write = d.put("n1", "x", long + round);
    await d.us(300);
    d.expect(write.outcome === "open", "the write is under way");
    d.power("n1");
    await d.start("n1");
    await d.elect("n1");
  }
  await d.end();
}

async function tornBatches(): Promise<void> {
  const d = await Director.begin();
  const value = `|${"b".repeat(700)}`;
  for (let round = 0; round < 12; round++) {
    await d.until(() => d.leader() !== undefined, "somebody leads");
    const { id } = d.leader()!;
    await d.open(id);
    await d.ms(20);
    // While one write is under way three entries gather; the next write carries them as three
    // records. On each member the power fails in the midst of that.
    for (let i = 0; i < 4; i++) {
      d.put(id, `k${i}`, value);
      await d.us(100);
    }
    await d.us(400);
    d.power(id);
    await d.us(1_050);
    for (const { id: other } of d.world.members) d.power(other);
    // There a record that was whole behind one that was not stopped a whole majority.
    for (const { id: other } of d.world.members) await d.start(other);
  }
  await d.end();
}

async function vanishedNames(): Promise<void> {
  const d = await Director.begin({ members: 1, segmentBytes: 4_096 });
  const value = `|${"s".repeat(600)}`;
  for (let round = 0; round < 10; round++) {
    await d.elect("n1");
    // Enough for a segment or two.
    for (let i = 0; i < 6; i++) await d.done(d.put("n1", `k${i}`, value + round));
    d.power("n1");
    await d.start("n1");
  }
  await d.elect("n1");
  await d.finds("n1", "k5", `${value}9`);
  await d.end();
}

async function fullDisk(): Promise<void> {
  const d = await Director.begin({ members: 1, segmentBytes: 4_096 });
  const n1 = d.of("n1");
  const value = `|${"f".repeat(600)}`;
  await d.elect("n1");
  await d.done(d.put("n1", "x", "|before"));
  n1.disk.fill(1_000_000);
  const writes = [];
  for (let i = 0; i < 12; i++) {
    writes.push(d.append("n1", "x", value));
    await d.ms(5);
  }
  // There the log's own write ran out of space and left half a record.
  d.expect(
    writes.some(({ outcome }) => outcome !== "done"),
    "the disk is full",
  );
  d.expect(n1.life === 1 && n1.state === "up", "n1 still runs");
  // Space comes back, and all goes on by itself.
  await d.ms(2_000);
  for (const write of writes) await d.ended(write);
  await d.done(d.put("n1", "x", "|after"));
  d.power("n1");
  await d.start("n1");
  await d.finds("n1", "x", "|after");
  await d.end();
}

async function waitingForSegments(): Promise<void> {
  const d = await Director.begin({ segmentBytes: 4_096 });
  const value = "v".repeat(800);
  await d.elect("n1");
  // n1 fills segments with what nobody else gets.
  d.isolate("n1");
  for (let i = 0; i < 6; i++) d.put("n1", "x", `|old${value}`);
  await d.elect("n2");
  d.rejoin("n1");
  await d.until(() => d.of("n1").core?.leader === "n2", "n1 follows n2");
  // More than fits into what is prepared: the log has to wait for segments, several times. There
  // nobody told it that they were ready.
  const writes = [];
  for (let i = 0; i < 24; i++) writes.push(d.put("n2", "x", `|new${value}`));
  for (const write of writes) await d.done(write);
  await d.end();
}

async function failedWrite(): Promise<void> {
  const d = await Director.begin({ members: 1 });
  for (let round = 0; round < 4; round++) {
    await d.elect("n1");
    await d.open("n1");
    await d.ms(300);
    // The medium does not take a write. The kernel reports it once and calls the pages clean.
    d.failNext("n1", "write");
    const write = d.put("n1", "x", `|${round}`);
    await d.ended(write);
    // There a sync was asked for, succeeded, and the client was told that its write was kept.
    d.power("n1");
    if (d.of("n1").state === "down") await d.start("n1");
    await d.elect("n1");
    await d.done(d.get("n1", "x"));
    d.expect(write.outcome === "unknown", "the client was told that nothing is known");
  }
  await d.end();
}

async function powerOfOne(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  d.isolate("n3");
  const alone = d.lose((from, _to, { type }) => from === "n2" && type === "pre-vote");
  for (let round = 0; round < 12; round++) {
    for (let i = 0; i < 3; i++) await d.done(d.put("n1", "x", `|${round}.${i}`));
    d.power("n2");
    await d.start("n2");
    await d.until(() => d.of("n2").core?.leader === "n1", "n2 follows n1 again");
  }
  alone.end();
  // n1 stands still for longer than anybody waits, and n3 knows nothing of all this.
  d.rejoin("n3");
  d.isolate("n1");
  await d.until(() => d.leader("n2", "n3") !== undefined, "one of n2 and n3 leads");
  await d.finds("n2", "x", "|11.2");
  await d.end();
}

async function killedWhileStarting(): Promise<void> {
  // The seed decides how much of an operation that is under way has come about.
  for (let seed = 1; seed <= 120; seed++) {
    const operation = 1 + (seed % 30);
    const d = new Director({ members: 1, seed });
    const n1 = d.of("n1");
    n1.start();
    n1.disk.disk.beforeOperation = ({ n }) => {
      // Each takes longer than that, so it is under way then.
      if (n === operation) d.world.after(100, () => n1.die("kill"));
      return undefined;
    };
    await d.until(() => n1.state === "down" || n1.core?.isReady === true, "n1 is killed or leads");
    if (n1.state === "down") await d.start("n1");
    await d.elect("n1");
    await d.done(d.put("n1", "x", "kept"));
  }
}

async function shorterLog(): Promise<void> {
  const d = await Director.begin();
  const n1 = d.of("n1");
  // n1 has entries 5 to 8, which nobody else gets.
  await d.elect("n1");
  await d.open("n1");
  const toNobody = d.lose((from, _to, { type }) => from === "n1" && type === "append-entries");
  for (const value of ["|a", "|b", "|c", "|d"]) {
    d.append("n1", "x", value);
    await d.ms(2);
  }
  await d.until(() => n1.durable.log.lastIndex === 8, "n1 has entries 5 to 8");
  d.isolate("n1");
  toNobody.end();
  // n2 leads, with one entry 5. That ends 5 to 8 on n1.
  await d.elect("n2");
  d.rejoin("n1");
  await d.until(() => n1.durable.log.lastTerm === 3, "n1 has what n2 has");
  // There the end of the log was found where it had been before, and the node panicked.
  d.power("n1");
  await d.start("n1");
  d.expect(n1.core?.log.lastIndex === 5, "the log of n1 ends at 5");
  await d.end();
}
