/**
 * Changes of the members at the moments at which they are easiest to get wrong. Each story has a
 * free place that nobody takes, so that who decides is what the configurations say.
 */
import { Director, STORY_TIMEOUT_MS } from "quorate/sim";
import { QuorateError } from "quorate";
import type { MemberId, Members } from "quorate";
import type { Scenario } from "../scenario.ts";

/** Scenarios about changes of the members. */
export const scenarios: readonly Scenario[] = [
  {
    name: "joint-needs-both-halves",
    known: "openraft 6c0ccaf3",
    text: "Five become three, and the old majority is cut off: the new half alone commits nothing.",
    run: jointNeedsBothHalves,
  },
  {
    name: "change-before-own-commit",
    known: "raft-dev 2015",
    text: "A new leader that has committed nothing in its term is asked for a change: it waits.",
    run: changeBeforeOwnCommit,
  },
  {
    name: "learner-never-counts",
    known: "YugabyteDB 1.1.9",
    text: "One of two voters is cut off while a learner is well: nothing is committed.",
    run: learnerNeverCounts,
  },
  {
    name: "two-changes-at-once",
    text: "A second change comes before the first one is committed: it waits for it.",
    run: twoChangesAtOnce,
  },
  {
    name: "joint-failover",
    known: "etcd-io/raft#80",
    text: "The leader dies when it alone knows that the joint configuration is committed: the next one leaves it.",
    run: jointFailover,
  },
  {
    name: "removed-leader-counts-not",
    text: "The leader removes itself, and one of the two others gets nothing: it is not done yet.",
    run: removedLeaderCountsNot,
  },
  {
    name: "promotion-waits",
    known: "etcd#15107",
    text: "A learner that is cut off is to vote: writes go on, and the change is taken back in time.",
    run: promotionWaits,
  },
  {
    name: "rollback-takes-out",
    text: "The directory that replaces a lost one never comes: it is no member any more.",
    run: rollbackTakesOut,
  },
];

/** A wish of a caller of that member, and how it ends. */
function wish(d: Director, id: MemberId, make: (members: Members) => Promise<unknown>) {
  const end = { outcome: "open" };
  const { process, replica } = d.of(id);
  process?.enter(() => {
    make(replica!.members).then(
      () => {
        end.outcome = "done";
      },
      (error: unknown) => {
        end.outcome = QuorateError.is(error) ? error.code : String(error);
      },
    );
  });
  return end;
}

async function done(d: Director, id: MemberId, make: (members: Members) => Promise<unknown>) {
  const end = wish(d, id, make);
  await d.until(() => end.outcome !== "open", "the change ends");
  d.expect(end.outcome === "done", `the change is done, and not ${end.outcome}`);
}

/** Who votes by what that member holds; both halves where there are two. */
function votersOf(d: Director, id: MemberId): string {
  const { voters, outgoing } = d.of(id).core!.status().configuration;
  return [voters, outgoing].map((ids) => ids.join(" ")).join("|");
}

async function begin(members: number): Promise<Director> {
  const d = await Director.begin({ members, spares: 1 });
  await d.elect("n1");
  await d.ms(2 * STORY_TIMEOUT_MS);
  return d;
}

async function jointNeedsBothHalves(): Promise<void> {
  const d = await begin(5);
  const kept = ["n1", "n2", "n3"].map((id) => ({
    id,
    address: d.of(id).address,
    role: "voter" as const,
  }));
  const rule = d.lose((from, to) => isAcross(from, to));
  wish(d, "n1", (members) => members.set(kept, { timeoutMs: 60_000 }));
  await d.until(() => votersOf(d, "n1") === "n1 n2 n3|n1 n2 n3 n4 n5", "the voters are joint");
  await d.ms(3 * STORY_TIMEOUT_MS);
  d.expect(d.leader("n3", "n4", "n5") !== undefined, "the old majority elects without the others");
  rule.end();
  await d.end();
}

function isAcross(from: MemberId, to: MemberId): boolean {
  const isFew = (id: MemberId): boolean => id === "n1" || id === "n2";
  return isFew(from) !== isFew(to);
}

async function changeBeforeOwnCommit(): Promise<void> {
  const d = await begin(3);
  d.isolate("n1");
  const rule = d.lose((_from, _to, { type }) => type === "append-entries-response");
  const next = (): MemberId | undefined =>
    ["n2", "n3"].find((one) => d.of(one).core?.role === "leader");
  await d.until(() => next() !== undefined, "another leader");
  const id = next()!;
  // A learner takes no majority that is well: nothing but that commit is waited for.
  const { address } = d.of("n4");
  const end = wish(d, id, (members) =>
    members.add({ id: "n4", address, role: "learner" }, { timeoutMs: 20 }),
  );
  await d.ms(10);
  const { learners } = d.of(id).core!.status().configuration;
  d.expect(learners.length === 0, "nothing is changed before the first own commit");
  rule.end();
  d.rejoin("n1");
  await d.until(() => end.outcome !== "open", "the call ends");
  await d.end();
}

async function learnerNeverCounts(): Promise<void> {
  const d = await begin(3);
  await done(d, "n2", (members) => members.demote("n3"));
  await d.ms(20);
  d.isolate("n2");
  const put = d.put("n1", "key", "value");
  await d.ms(STORY_TIMEOUT_MS / 2);
  d.expect(put.outcome === "open", "what one of two voters has is not done");
  d.rejoin("n2");
  await d.ended(put);
  await d.end();
}

async function twoChangesAtOnce(): Promise<void> {
  const d = await begin(3);
  await done(d, "n1", (members) => members.demote("n3"));
  await d.ms(20);
  const first = wish(d, "n1", (members) => members.promote("n3"));
  const second = wish(d, "n1", (members) => members.cancel());
  await d.until(() => first.outcome !== "open" && second.outcome !== "open", "both end");
  await d.end();
}

async function jointFailover(): Promise<void> {
  const d = await begin(4);
  const asked = wish(d, "n1", (members) => members.demote("n4"));
  await d.until(() => votersOf(d, "n1") === "n1 n2 n3|n1 n2 n3 n4", "the voters are joint");
  const rule = d.lose((from, _to, { type }) => from === "n1" && type === "append-entries");
  await d.ms(10);
  d.power("n1");
  rule.end();
  d.expect(asked.outcome === "open", "its caller has died with it");
  await d.until(() => d.leader("n2", "n3", "n4") !== undefined, "another leader");
  await d.until(() => votersOf(d, "n2") === "n1 n2 n3|", "the joint configuration is left");
  await d.start("n1");
  await d.end();
}

async function removedLeaderCountsNot(): Promise<void> {
  const d = await begin(3);
  const isFinal = (): boolean => votersOf(d, "n1") === "n2 n3|";
  const rule = d.lose(
    (_from, to, { type }) => to === "n3" && type === "append-entries" && isFinal(),
  );
  wish(d, "n1", (members) => members.remove("n1"));
  await d.until(() => votersOf(d, "n1") === "n2 n3|n1 n2 n3", "the voters are joint");
  await d.until(isFinal, "the final configuration is there");
  await d.ms(STORY_TIMEOUT_MS / 2);
  rule.end();
  await d.until(() => d.leader("n2", "n3") !== undefined, "another leader");
  await d.end();
}

async function promotionWaits(): Promise<void> {
  const d = await begin(2);
  await done(d, "n1", (members) => members.demote("n2"));
  d.isolate("n2");
  await d.ms(2 * STORY_TIMEOUT_MS);
  const asked = wish(d, "n1", (members) => members.promote("n2", { timeoutMs: 500 }));
  await d.ms(100);
  await d.done(d.put("n1", "key", "value"));
  await d.until(() => asked.outcome !== "open", "the change ends");
  d.expect(asked.outcome === "MEMBERSHIP_TIMEOUT", `taken back, and not ${asked.outcome}`);
  d.rejoin("n2");
  await d.end();
}

async function rollbackTakesOut(): Promise<void> {
  const d = await begin(3);
  d.kill("n3");
  await d.ms(STORY_TIMEOUT_MS);
  const asked = wish(d, "n1", (members) => members.replace("n3", { timeoutMs: 500 }));
  await d.until(() => asked.outcome !== "open", "the change ends");
  d.expect(asked.outcome === "MEMBERSHIP_TIMEOUT", `taken back, and not ${asked.outcome}`);
  const { members } = d.of("n1").core!.status().configuration;
  d.expect(!members.some(({ id }) => id === "n3"), "who never came is no member");
  await d.end();
}
