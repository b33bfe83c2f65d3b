/**
 * Members that come, go and come back: who is invited, who is told that it was removed, and whose
 * word counts for that.
 */
import { Director } from "quorate/sim";
import type { Scenario } from "../scenario.ts";

const NO_INCARNATION = "0".repeat(32);
const TIMEOUT_MS = 60_000;

/** Coming and going. */
export const scenarios: readonly Scenario[] = [
  {
    name: "invited-when-committed",
    text: "A waiting member is invited only by a configuration that can not be rolled back any more.",
    run: invitedWhenCommitted,
  },
  {
    name: "newcomer-reaches-who-was-away",
    text: "A member that joined while another was away leads it, and is not taken for a removed one.",
    run: newcomerReachesWhoWasAway,
  },
  {
    name: "empty-directory-joins",
    text: "An empty directory that asks to join under an id that is taken becomes no member.",
    run: emptyDirectoryJoins,
  },
  {
    name: "replaced-by-itself",
    text: "A directory that is replaced leaves, also where it answers at the address of its successor.",
    run: replacedByItself,
  },
  {
    name: "replaced-is-not-heard",
    text: "What a directory said before it was replaced does not count for its successor.",
    run: replacedIsNotHeard,
  },
  {
    name: "removed-before-first-entry",
    text: "A member that was removed before anything reached its log learns it when it is started.",
    run: removedBeforeFirstEntry,
  },
  {
    name: "removed-while-cut-off",
    text: "A member that was removed while it was cut off stops when it comes back, and harms nobody.",
    run: removedWhileCutOff,
  },
];

async function invitedWhenCommitted(): Promise<void> {
  const d = await Director.begin({ spares: 1 });
  await d.elect("n1");
  const n4 = d.of("n4");
  n4.settle("n4", { wait: true });
  await d.until(() => n4.isUp, "n4 waits");
  const { incarnation } = n4.engine!.peering.identity;
  // Only n4 hears n1, so nothing that n1 appends is committed.
  d.isolate("n1");
  d.world.network.heal("n1:9091", n4.address);
  d.world.network.heal(n4.address, "n1:9091");
  d.of("n1").change({
    type: "add",
    member: { id: "n4", address: n4.address, incarnation },
    role: "learner",
    timeoutMs: TIMEOUT_MS,
  });
  await d.ms(400);
  d.expect(n4.core === undefined, "n4 belongs to no cluster");
  // Another leads, and the entry of n1 is gone.
  await d.until(() => d.leader("n2", "n3") !== undefined, "n2 or n3 leads");
  d.rejoin("n1");
  await d.ms(1_000);
  d.expect(n4.core === undefined, "n4 belongs to no cluster still");
  await d.end();
}

async function newcomerReachesWhoWasAway(): Promise<void> {
  const d = await Director.begin({ spares: 1 });
  await d.elect("n1");
  d.isolate("n3");
  const n4 = d.of("n4");
  n4.settle("n4", { join: ["n1:9091"] });
  await d.until(() => n4.core !== undefined && d.votes("n4"), "n4 votes");
  // n3 has never heard of n4, and n4 is the only one that may speak to it.
  await d.done(d.put("n1", "x", "1"));
  d.stage.transfer(d.of("n1"), n4);
  await d.until(() => d.leader("n4") !== undefined, "n4 leads");
  d.rejoin("n3");
  for (const id of ["n1", "n2"]) {
    d.cut(id, "n3");
    d.cut("n3", id);
  }
  await d.until(() => d.of("n3").core?.leader === "n4", "n3 follows n4");
  await d.finds("n3", "x", "1");
  d.expect(n4.state === "up", "n4 goes on");
  await d.end();
}

async function emptyDirectoryJoins(): Promise<void> {
  const d = await Director.begin({ spares: 1 });
  await d.elect("n1");
  // n1 and n3 have the write, n2 does not.
  d.isolate("n2");
  await d.done(d.put("n1", "x", "kept"));
  d.of("n3").lose();
  const empty = d.of("n4");
  empty.settle("n3", { join: ["n1:9091"] });
  await d.ms(1_000);
  d.expect(empty.core === undefined, "an empty directory is no member");
  d.power("n1");
  d.rejoin("n2");
  await d.ms(1_000);
  d.expect(d.leader() === undefined, "n2 and an empty directory have no leader");
  await d.start("n1");
  await d.until(() => d.leader("n1", "n2") !== undefined, "one of n1 and n2 leads");
  await d.finds("n2", "x", "kept");
  // Once it is replaced, the same directory is bound and votes.
  d.leader()!.change({ type: "replace", id: "n3", address: empty.address, timeoutMs: TIMEOUT_MS });
  await d.until(() => empty.core !== undefined && d.votes("n3"), "it is bound and votes");
  await d.end();
}

async function replacedByItself(): Promise<void> {
  const d = await Director.begin({ spares: 1 });
  await d.elect("n1");
  d.of("n3").lose();
  const n3 = d.of("n4");
  n3.settle("n3", { wait: true });
  const replace = { type: "replace", id: "n3", address: n3.address, timeoutMs: 1_000 } as const;
  d.of("n1").change(replace);
  await d.until(() => n3.core !== undefined && d.votes("n3"), "the new n3 votes");
  await d.ms(500);
  // The same again, though that directory is there and well: it is what is replaced now.
  d.of("n1").change(replace);
  await d.until(() => n3.state === "removed", "it has left");
  await d.until(() => d.leader() !== undefined, "the others have a leader");
  await d.done(d.put("n1", "x", "1"));
  await d.end();
}

async function replacedIsNotHeard(): Promise<void> {
  const d = await Director.begin({ spares: 1 });
  await d.elect("n1");
  const n1 = d.of("n1");
  // Everything is committed by n1 and n2. That n3 has it, too, is said and takes its time.
  const late = d.hold(
    (from, to, { type }) => from === "n3" && to === "n1" && type === "append-entries-response",
  );
  await d.done(d.put("n1", "x", "1"));
  const next = d.of("n4");
  const joint = n1.core!.log.lastIndex + 1;
  // What follows the joint configuration is not committed: the old n3 may still speak.
  const held = d.hold(
    (from, to, message) =>
      from === "n2" && to === "n1" && "index" in message && message.index > joint,
  );
  n1.change({ type: "replace", id: "n3", address: next.address, timeoutMs: TIMEOUT_MS });
  await d.until(() => n1.core!.log.lastIndex > joint, "n3 is another one now");
  late.end();
  await d.ms(100);
  const theirs = n1.core!.status().peers.find(({ id }) => id === "n3");
  d.expect(theirs?.matchIndex === 0, "of the new n3 nothing is known");
  held.end();
  next.settle("n3", { wait: true });
  await d.until(() => next.core !== undefined && d.votes("n3"), "the new n3 votes");
  d.expect(d.of("n3").state === "removed", "the old one has left");
  await d.finds("n1", "x", "1");
  await d.end();
}

async function removedBeforeFirstEntry(): Promise<void> {
  const d = await Director.begin({ spares: 1 });
  await d.elect("n1");
  const n4 = d.of("n4");
  n4.settle("n4", { wait: true });
  const rule = d.lose((_from, to, { type }) => to === "n4" && type === "append-entries");
  const member = { id: "n4", address: n4.address, incarnation: NO_INCARNATION };
  d.of("n1").change({ type: "add", member, role: "learner", timeoutMs: TIMEOUT_MS });
  await d.until(() => n4.core !== undefined, "n4 is invited");
  d.expect(n4.core?.log.lastIndex === 0, "n4 holds no entry");
  d.kill("n4");
  d.of("n1").change({ type: "remove", id: "n4" });
  await d.ms(500);
  rule.end();
  n4.start();
  await d.until(() => n4.state === "removed", "n4 has learned it");
  await d.end();
}

async function removedWhileCutOff(): Promise<void> {
  const d = await Director.begin({ spares: 1 });
  await d.elect("n1");
  d.isolate("n3");
  await d.ms(500);
  const { term } = d.of("n1").core!;
  d.of("n1").change({ type: "remove", id: "n3" });
  await d.ms(2_000);
  d.expect(d.of("n3").state === "up", "n3 does not know it yet");
  d.rejoin("n3");
  await d.until(() => d.of("n3").state === "removed", "n3 has learned it");
  d.expect(d.of("n1").core?.role === "leader" && d.of("n1").core?.term === term, "n1 leads on");
  await d.end();
}
