/**
 * Historical bugs of replication: followers that get stuck, lose what they acknowledged, or end up
 * with another log than their leader.
 */
import { Director, STORY_TIMEOUT_MS } from "quorate/sim";
import type { Scenario } from "../scenario.ts";
import { tellsOfMore } from "./news.ts";

/** Bugs of replication. */
export const scenarios: readonly Scenario[] = [
  {
    name: "issue-openraft-9540c904",
    known: "openraft 9540c904",
    text: "A late append must not remove what was acknowledged since.",
    run: lateAppend,
  },
  {
    name: "issue-openraft-1795",
    known: "openraft#1795",
    text: "A leader that cannot read its log must not send entries without the one before them.",
    run: unreadableLog,
  },
  {
    name: "issue-cockroach-61990",
    known: "cockroach#61990",
    text: "What a conflict has removed from the log must not be applied from memory.",
    run: staleCache,
  },
  {
    name: "issue-etcd-14633",
    known: "etcd#14633",
    text: "A follower whose acknowledgements were lost until its window was full gets going again.",
    run: fullWindow,
  },
  {
    name: "issue-hashicorp-503",
    known: "hashicorp/raft#503",
    text: "A leader whose disk hangs must not stop all writes while its heartbeats go on.",
    run: hangingDisk,
  },
  {
    name: "issue-etcd-13766",
    known: "etcd#13766",
    text: "After a kill a member's machine has everything that was applied, once.",
    run: appliedAfterKill,
  },
  {
    name: "issue-etcd-11651",
    known: "etcd#11651",
    text: "Every member applies a command with the same time: none decides differently.",
    run: sameTimeEverywhere,
  },
];

async function lateAppend(): Promise<void> {
  const d = await Director.begin();
  const n2 = d.of("n2");
  await d.elect("n1");
  d.isolate("n3");
  await d.done(d.put("n1", "x", "one"));
  await d.until(() => n2.core?.commit === 4, "n2 knows that entry 4 is committed");
  // From now on n2 is not told what is committed. The message with entry 5 is held up in the
  // network; n1 sends it anew, with entry 6.
  d.lose((_from, to, message) => to === "n2" && tellsOfMore(message, 4));
  const late = d.holdFirst(
    (_from, to, message) =>
      to === "n2" && message.type === "append-entries" && message.batches.length > 0,
  );
  const two = d.put("n1", "x", "two");
  await d.ms(2);
  const three = d.put("n1", "x", "three");
  await d.done(two);
  await d.done(three);
  // Now entry 5 arrives once more. There everything behind the entry before it was deleted first:
  // entry 6, which only n1 and n2 have and which the client was told is kept.
  d.expect(late.release() === 1, "a message was held up");
  await d.ms(10);
  d.expect(n2.durable.log.lastIndex === 6, "n2 still has entry 6");
  d.power("n1");
  d.rejoin("n3");
  await d.until(() => d.leader("n2", "n3") !== undefined, "one of n2 and n3 leads");
  await d.finds("n2", "x", "three");
  await d.end();
}

async function unreadableLog(): Promise<void> {
  // The leader keeps hardly anything in memory.
  const d = await Director.begin({ limits: { tailBytesMax: 200 } });
  await d.elect("n1");
  d.isolate("n3");
  for (const value of ["one", "two", "three", "four"]) await d.done(d.put("n1", "x", value));
  // n3 comes back and needs entries from the disk, which fails to read them. There the leader took
  // "nothing read" for "nothing before", and sent what it had in memory; the follower believed it.
  d.failNext("n1", "read");
  d.rejoin("n3");
  await d.ms(1_000);
  await d.end();
}

async function staleCache(): Promise<void> {
  const d = await Director.begin();
  const n1 = d.of("n1");
  // n1 has entries 5 to 9 in memory and on disk, which nobody else gets.
  await d.elect("n1");
  await d.open("n1");
  const toNobody = d.lose((from, _to, { type }) => from === "n1" && type === "append-entries");
  for (const value of ["|a", "|b", "|c", "|d", "|e"]) {
    d.append("n1", "x", value);
    await d.ms(2);
  }
  await d.until(() => n1.durable.log.lastIndex === 9, "n1 has entries 5 to 9");
  d.isolate("n1");
  toNobody.end();
  // n2 leads and fills the same places differently.
  await d.elect("n2");
  await d.done(d.append("n2", "x", "|k"));
  // n1 gets all of them at once. Its cache of entries was not cut there, so it applied what the log
  // did not hold any more.
  d.rejoin("n1");
  await d.until(() => n1.core?.log.lastTerm === 3, "n1 has what n2 has");
  await d.finds("n1", "x", "|k");
  await d.end();
}

async function fullWindow(): Promise<void> {
  const d = await Director.begin({ limits: { inflightMessagesMax: 4 } });
  const n3 = d.of("n3");
  await d.elect("n1");
  // Heartbeats of n3 are answered, but its acknowledgements are lost, until four are missing.
  const lost = d.lose((from, _to, { type }) => from === "n3" && type === "append-entries-response");
  for (const value of ["|a", "|b", "|c", "|d"]) await d.done(d.append("n1", "x", value));
  // The way is free again. There the leader waited for the four, and sent nothing that could bring
  // an answer.
  lost.end();
  await d.done(d.append("n1", "x", "|e"));
  const { commit } = d.of("n1").core!;
  await d.until(() => n3.core?.commit === commit, "n3 catches up", 400);
  await d.end();
}

async function hangingDisk(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.open("n2");
  // The disk of the leader hangs for a long time. It needs no disk for heartbeats, so nobody
  // elects; there nothing was sent, either, before the leader itself had written it.
  d.of("n1").disk.stall(3_000_000);
  const write = d.put("n2", "x", "kept");
  // Long before it is noticed that the disk hangs, and another one leads.
  await d.until(() => write.outcome !== "open", "the write ends", STORY_TIMEOUT_MS / 2);
  await d.done(write);
  d.expect(d.leader()?.id === "n1", "n1 still leads");
  await d.end();
}

async function appliedAfterKill(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  for (const value of ["|a", "|b", "|c"]) await d.done(d.append("n1", "x", value));
  await d.until(() => d.of("n3").core?.commit === 5, "n3 has applied them");
  await d.done(d.append("n3", "x", "|d"));
  // The kernel kills n3. What its disk says of having applied is true of a machine that is gone:
  // there the members' answers differed from then on.
  d.kill("n3");
  await d.start("n3");
  await d.finds("n3", "x", "|a|b|c|d");
  await d.done(d.append("n3", "x", "|e"));
  await d.end();
}

async function sameTimeEverywhere(): Promise<void> {
  const d = await Director.begin();
  const times = new Map<number, number>();
  d.world.audience.add({
    applied: (member, { index, timeMs }) => {
      const first = times.get(index) ?? timeMs;
      times.set(index, first);
      d.claim(timeMs === first, `${member.id} applies entry ${index} at ${first} ms`);
    },
  });
  await d.elect("n1");
  for (const value of ["|a", "|b"]) {
    await d.done(d.append("n2", "x", value));
    await d.ms(30);
  }
  d.kill("n3");
  await d.start("n3");
  await d.end();
}
