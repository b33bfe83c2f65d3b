/**
 * Historical bugs of committing: entries that count as kept by a majority and are not.
 */
import { Director } from "quorate/sim";
import type { Scenario } from "../scenario.ts";

/** Bugs of committing. */
export const scenarios: readonly Scenario[] = [
  {
    name: "issue-async-raft-106",
    known: "async-raft#106",
    text: "An entry of an earlier term on a majority is not committed by that (Figure 8).",
    run: figureEight,
  },
  {
    name: "issue-openraft-1802",
    known: "openraft#1802",
    text: "Two of five members have an entry: that is no majority, whichever two they are.",
    run: twoOfFive,
  },
  {
    name: "issue-openraft-cecb5de8",
    known: "openraft cecb5de8",
    text: "An acknowledgement from before an election says nothing of the log that there is now.",
    run: staleAcknowledgement,
  },
  {
    name: "issue-openraft-a9f696a9",
    known: "openraft a9f696a9",
    text: "A leader counts itself for an entry only once its own disk has it.",
    run: unflushedLeader,
  },
  {
    name: "issue-openraft-1960",
    known: "openraft#1960",
    text: "The end of one write that carried the entries of several turns counts for all of them.",
    run: gatheredWrites,
  },
  {
    name: "issue-etcd-14370",
    known: "etcd#14370",
    text: "A cluster of one acknowledges a write only once its disk has it.",
    run: clusterOfOne,
  },
  {
    name: "issue-etcd-14143",
    known: "etcd#14143",
    text: "Followers acknowledge what is durable: the power of three of five fails at once.",
    run: powerOfThree,
  },
];

async function figureEight(): Promise<void> {
  const d = await Director.begin();
  const [n1, n2, n3] = [d.of("n1"), d.of("n2"), d.of("n3")];
  // (a) n1 leads term 2 and appends entry 3, which nobody else gets.
  await d.elect("n1");
  const first = d.lose((from, _to, { type }) => from === "n1" && type === "append-entries");
  d.put("n1", "x", "of term 2");
  await d.until(() => n1.durable.log.lastIndex === 3, "n1 has entry 3");
  d.power("n1");
  first.end();
  // (b) n2 leads term 3 by the vote of n3, and appends another entry 3, which nobody else gets.
  const second = d.lose((from, _to, { type }) => from === "n2" && type === "append-entries");
  await d.electOnly("n2");
  await d.until(() => n2.durable.log.termAt(3) === 3, "n2 has another entry 3");
  d.power("n2");
  second.end();
  // (c) n1 leads term 4 and brings its old entry 3 to n3. Nothing of term 4 arrives.
  const third = d.lose(
    (from, _to, message) =>
      from === "n1" &&
      message.type === "append-entries" &&
      message.batches.some((batch) => batch.lastIndex > 3),
  );
  await d.start("n1");
  await d.electOnly("n1");
  await d.until(() => n3.durable.log.termAt(3) === 2, "n3 has entry 3 of term 2");
  await d.ms(10);
  d.expect(n1.core?.commit === 2, "entry 3 is on a majority and not committed");
  d.power("n1");
  third.end();
  // (d) n2 leads term 5, as its last entry is of a later term, and replaces entry 3 on n3.
  await d.start("n2");
  await d.elect("n2");
  d.expect(n3.core?.log.termAt(3) === 3, "entry 3 of term 3 has replaced it");
  await d.end();
}

async function twoOfFive(): Promise<void> {
  const d = await Director.begin({ members: 5 });
  await d.elect("n1");
  // Only n3 gets what n1 writes: in the list of five it stands in the middle, and unless the list
  // is sorted the middle is no median.
  const toOthers = d.lose(
    (from, to, { type }) => from === "n1" && to !== "n3" && type === "append-entries",
  );
  const write = d.put("n1", "x", "kept");
  await d.until(() => d.of("n3").durable.log.lastIndex === 3, "n3 has entry 3");
  await d.ms(20);
  d.expect(write.outcome === "open", "the write is on two of five and not done");
  toOthers.end();
  await d.done(write);
  await d.end();
}

async function staleAcknowledgement(): Promise<void> {
  const d = await Director.begin({ members: 5 });
  const [n1, n2, n5] = [d.of("n1"), d.of("n2"), d.of("n5")];
  // n1 leads term 2 and brings entries 5 to 7 to n2 alone. What n2 answers is held up.
  await d.elect("n1");
  await d.open("n1");
  const toOthers = d.lose(
    (from, to, { type }) => from === "n1" && to !== "n2" && type === "append-entries",
  );
  const answers = d.hold(
    (from, _to, message) =>
      from === "n2" && message.type === "append-entries-response" && message.index > 4,
  );
  for (const value of ["|a", "|b", "|c"]) {
    d.append("n1", "x", value);
    await d.ms(2);
  }
  await d.until(() => n2.durable.log.lastIndex === 7, "n2 has entries 5 to 7");
  answers.end();
  toOthers.end();
  // n3 leads term 3 without n1. Its entry 5 ends 5 to 7, on n2 and then on n1.
  d.isolate("n1");
  await d.elect("n3");
  d.rejoin("n1");
  const isReplaced = (): boolean =>
    [n1, n2].every(({ durable }) => durable.log.lastIndex === 5 && durable.log.lastTerm === 3);
  await d.until(isReplaced, "n1 and n2 have what n3 has");
  // n1 leads once more, and brings entry 7 to n5 alone.
  d.kill("n3");
  const toFour = d.lose(
    (from, to, { type }) => from === "n1" && to !== "n5" && type === "append-entries",
  );
  await d.electOnly("n1");
  const write = d.put("n1", "x", "|d");
  // The writes of term 2 come again as well: which of them is entry 7 does not matter.
  await d.until(() => n5.durable.log.lastIndex >= 7, "n5 has entry 7");
  // Now the answers of term 2 come: n2 has entry 7, they say. It was another one, and is gone.
  d.expect(answers.release() > 0, "n2 had answered");
  await d.ms(20);
  d.expect(n1.core!.commit < 7, "entry 7 is on two of five and not committed");
  toFour.end();
  await d.done(write);
  await d.end();
}

async function unflushedLeader(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  // The disk of the leader stands still, and only n2 gets the entry.
  const toN3 = d.lose((_from, to, { type }) => to === "n3" && type === "append-entries");
  d.of("n1").disk.stall(100_000);
  const write = d.put("n1", "x", "kept");
  await d.until(() => d.of("n2").durable.log.lastIndex === 3, "n2 has entry 3");
  await d.ms(20);
  d.expect(write.outcome === "open", "the entry is durable on one of three, the write not done");
  // The power of n2 and n1 could fail now, and nobody would have it.
  await d.done(write);
  toN3.end();
  await d.end();
}

async function gatheredWrites(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  // Without n3 the leader's own disk is needed for every commit, and it is slow.
  d.power("n3");
  d.of("n1").disk.stall(20_000);
  const writes = [];
  for (const value of ["|a", "|b", "|c", "|d", "|e"]) {
    writes.push(d.append("n1", "x", value));
    await d.ms(2);
  }
  // The first write ends, then one that carried all that had come meanwhile. There a completion
  // that was not the next expected one was dropped: the leader never knew of its own entries.
  for (const write of writes) await d.done(write);
  await d.end();
}

async function clusterOfOne(): Promise<void> {
  const d = await Director.begin({ members: 1 });
  await d.elect("n1");
  d.of("n1").disk.stall(50_000);
  const write = d.put("n1", "x", "kept");
  await d.ms(20);
  d.expect(write.outcome === "open", "nothing is on the disk, and the write not done");
  // There the client had its answer by now, and the power could fail.
  await d.done(write);
  d.power("n1");
  await d.start("n1");
  await d.finds("n1", "x", "kept");
  await d.end();
}

async function powerOfThree(): Promise<void> {
  const d = await Director.begin({ members: 5 });
  await d.elect("n1");
  // n2 and n3 have the entry in memory only; n4 and n5 do not get it.
  const toOthers = d.lose(
    (_from, to, { type }) => (to === "n4" || to === "n5") && type === "append-entries",
  );
  d.of("n2").disk.stall(100_000);
  d.of("n3").disk.stall(100_000);
  const write = d.put("n1", "x", "kept");
  await d.ms(20);
  d.expect(write.outcome === "open", "the entry is durable on one of five, the write not done");
  for (const id of ["n1", "n2", "n3"]) d.power(id);
  toOthers.end();
  await d.end();
}
