/**
 * Historical bugs of elections: votes given twice or too early, and clusters that elect nobody.
 *
 * Each is told again on whole members. That it would be seen is shown by the planted defect of the
 * same name in `sim/mutations`.
 */
import { Director } from "quorate/sim";
import type { Scenario } from "../scenario.ts";

/** Bugs of elections. */
export const scenarios: readonly Scenario[] = [
  {
    name: "issue-camunda-5356",
    known: "camunda#5356",
    text: "Two candidates of one term ask the same member, which has to refuse the second one.",
    run: twoCandidates,
  },
  {
    name: "issue-openraft-ee460f37",
    known: "openraft ee460f37",
    text: "A vote must not be heard of before it is durable: the power may fail.",
    run: forgottenVote,
  },
  {
    name: "issue-openraft-a48a3282",
    known: "openraft a48a3282",
    text: "Of a longer log and one of a later term, one is ahead: somebody can be elected.",
    run: incomparableLogs,
  },
  {
    name: "issue-etcd-8501",
    known: "etcd#8501",
    text: "A long log of a low term and a short one of a high term must be able to elect.",
    run: preVoteDeadlock,
  },
  {
    name: "issue-raft-rs-83",
    known: "raft-rs#83",
    text: "Who was refused while there was a leader can win once there is none.",
    run: oldRefusals,
  },
  {
    name: "issue-hashicorp-609",
    known: "hashicorp/raft#609",
    text: "Who grants a pre-vote has heard no leader, and votes when it is asked.",
    run: grantIsNoContact,
  },
  {
    name: "issue-openraft-5e15946d",
    known: "openraft 5e15946d",
    text: "Two members that lose their leader at the same moment do not campaign in step forever.",
    run: lockStep,
  },
  {
    name: "issue-cloudflare-2020-11-02",
    known: "Cloudflare 2020-11-02",
    text: "Two members do not hear each other, a third hears both: leadership must not go round.",
    run: partialPartition,
  },
];

async function twoCandidates(): Promise<void> {
  const d = await Director.begin();
  const [n1, n2, n3] = [d.of("n1"), d.of("n2"), d.of("n3")];
  // n1 and n2 win the pre-vote of n3 and become candidates, neither hearing of the other.
  d.lose((from, _to, { type }) => from === "n3" && type === "pre-vote");
  d.lose((from, to, { type }) => from !== "n3" && to !== "n3" && type === "pre-vote-response");
  const asked = d.hold((_from, _to, { type }) => type === "request-vote");
  const areCandidates = (): boolean =>
    n1.core?.role === "candidate" && n2.core?.role === "candidate";
  await d.until(areCandidates, "n1 and n2 are candidates");
  await d.ms(5);
  d.expect(n1.core?.term === n2.core?.term, "they are candidates of one term");
  // n3 hears of n1 first and votes, durably.
  asked.release((from, to) => from === "n1" && to === "n3");
  await d.until(() => n3.durable.vote?.id === "n1", "n3 votes for n1");
  // There a broker that was asked again wrote the new vote over the old one: two leaders.
  asked.release((from, to) => from === "n2" && to === "n3");
  await d.ms(10);
  d.expect(n3.durable.vote?.id === "n1", "n3 keeps its vote");
  d.expect(d.leader() === n1, "n1 leads");
  await d.end();
}

async function forgottenVote(): Promise<void> {
  const d = await Director.begin();
  const [n1, n3] = [d.of("n1"), d.of("n3")];
  // n1 campaigns; only n3 is asked, and its disk has come to a stand.
  d.lose((from, to, { type }) => type === "request-vote" && from === "n1" && to === "n2");
  d.lose((from, _to, { type }) => type === "pre-vote" && from === "n3");
  const first = d.lose((from, _to, { type }) => type === "pre-vote" && from === "n2");
  n3.disk.stall(600_000);
  await d.until(() => n3.core?.vote?.id === "n1", "n3 votes for n1, in memory");
  await d.ms(5);
  const term = n3.core!.term;
  // There the answer was under way before the disk had the vote. Whoever leads by it is not heard.
  d.isolate("n1");
  d.power("n3");
  n3.disk.healAll();
  await d.start("n3");
  d.expect(n3.core!.term < term, "the power cut has taken the vote");
  // n3 knows of no vote and gives it to n2, in the very same term.
  first.end();
  await d.elect("n2");
  d.expect(d.of("n2").core?.term === term, "n2 leads the term in which n1 asked");
  d.expect(n1.core?.role !== "leader", "n1 does not lead");
  await d.end();
}

async function incomparableLogs(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.open("n1");
  // n1 writes what nobody gets: its log is the longest one.
  const toNobody = d.lose((from, _to, { type }) => from === "n1" && type === "append-entries");
  const writes = ["|a", "|b", "|c"].map((value) => d.append("n1", "x", value));
  await d.until(() => d.of("n1").durable.log.lastIndex >= 7, "n1 has three entries more");
  d.power("n1");
  for (const write of writes) await d.ended(write);
  toNobody.end();
  // n2 is elected and gets no further than the entry that opens its term: the latest term.
  await d.elect("n2");
  d.power("n2");
  d.power("n3");
  // n3 stays away. Compared index and term each by itself, neither of the two logs was "at least as
  // up to date", and the cluster had no leader any more.
  await d.start("n1");
  await d.start("n2");
  await d.until(() => d.leader("n1", "n2") !== undefined, "one of n1 and n2 leads");
  d.expect(d.leader()?.id === "n2", "it is n2, whose term is the later one");
  await d.end();
}

async function preVoteDeadlock(): Promise<void> {
  const d = await Director.begin();
  const [n1, n2] = [d.of("n1"), d.of("n2")];
  await d.elect("n1");
  // n1 gets a longer log than the others, in term 2, and is cut off.
  const toNobody = d.lose((from, _to, { type }) => from === "n1" && type === "append-entries");
  d.append("n1", "x", "a");
  await d.until(() => n1.durable.log.lastIndex === 3, "n1 has one entry more");
  d.isolate("n1");
  toNobody.end();
  // n2 becomes a candidate, of term 3, and reaches nobody: a short log, a high term.
  const unheard = d.lose((_from, _to, { type }) => type === "request-vote");
  const alone = d.lose((from, _to, { type }) => type === "pre-vote" && from !== "n2");
  await d.until(() => n2.durable.term === 3, "n2 has asked for votes in term 3");
  unheard.end();
  alone.end();
  d.power("n3");
  await d.until(() => n1.core?.role !== "leader", "n1 finds that nobody follows");
  // Only these two are left. n2 cannot win, its log is too short. n1 asks from term 2: there the
  // refusal told it nothing, it asked the same again, and so for ever.
  d.rejoin("n1");
  await d.until(() => d.leader("n1") !== undefined, "n1 leads");
  d.expect(n1.core!.term > 3, "n1 has learned of term 3");
  await d.end();
}

async function oldRefusals(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n3");
  for (const id of ["n1", "n2"] as const) {
    // It does not hear n3 for a while and asks. All others hear n3 and refuse.
    const deaf = d.lose((from, to) => from === "n3" && to === id);
    await d.until(() => d.of(id).core?.role === "pre-candidate", `${id} asks`);
    await d.ms(5);
    d.expect(d.of("n3").core?.isReady === true, "n3 still leads");
    deaf.end();
    await d.until(() => d.of(id).core?.leader === "n3", `${id} follows n3 again`);
  }
  // n3 dies. The refusals from that time, were they kept, would count once more.
  d.power("n3");
  await d.until(() => d.leader("n1", "n2") !== undefined, "one of n1 and n2 leads");
  await d.end();
}

async function grantIsNoContact(): Promise<void> {
  const d = await Director.begin();
  // A granted pre-vote counted there as a sign of the leader. So the vote that is asked for right
  // after it was refused, as "we have a leader": nobody could be elected, even at the beginning.
  await d.elect("n1");
  d.kill("n1");
  await d.until(() => d.leader("n2", "n3") !== undefined, "one of n2 and n3 leads");
  await d.end();
}

async function lockStep(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.ms(100);
  // The last heartbeat of n1 reaches n2 and n3 at the same microsecond. If both wait equally long,
  // both campaign at once, vote for themselves, lose, and wait equally long again.
  d.kill("n1");
  await d.until(() => d.leader("n2", "n3") !== undefined, "one of n2 and n3 leads");
  await d.end();
}

async function partialPartition(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.ms(50);
  const { term } = d.of("n1").core!;
  // A switch fails in part: n1 and n2 do not reach each other, n3 reaches both.
  d.cut("n1", "n2");
  d.cut("n2", "n1");
  // n2 misses its leader and campaigns. There n3 voted for it although it heard n1; then n1 missed
  // its leader and campaigned, and so on, for six and a half hours.
  await d.ms(4_000);
  d.expect(d.leader() === d.of("n1"), "n1 still leads");
  d.expect(d.of("n3").core?.term === term, "no other term has begun");
  await d.done(d.put("n3", "x", "served"));
  await d.end();
}
