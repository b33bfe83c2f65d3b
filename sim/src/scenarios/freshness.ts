/**
 * Reads that ask nobody: by a lease, or because this member knows how old its state is.
 *
 * Two of them are told with a single core: with clocks that keep going, a lease that survives a
 * pause or its leader does no harm by itself, and has to end all the same (core/lease.ts says why).
 */
import assert from "node:assert/strict";
import { Director, STORY_TIMEOUT_MS } from "quorate/sim";
import type { StoryOptions } from "quorate/sim";
import type { Scenario } from "../scenario.ts";
import { deposeUnnoticed } from "./issues-reads.ts";
import { tellsOfMore } from "./news.ts";
import { ackOf, Solo, TIMEOUT_MS } from "./solo.ts";

/** Scenarios about leases and bounded staleness. */
export const scenarios: readonly Scenario[] = [
  {
    name: "lease-late-answer",
    text: "The answer to an old heartbeat arrives late: the lease counts from when that was sent.",
    run: lateAnswer,
  },
  {
    name: "lease-before-own-commit",
    known: "tikv#6340",
    text: "A new leader holds no lease until it knows what its predecessor committed.",
    run: beforeOwnCommit,
  },
  {
    name: "lease-clocks-apart",
    text:
      "The clock of a leader is slow and those of the others are fast, each by as much as it may " +
      "be: the lease has ended when they elect another leader.",
    run: clocksApart,
  },
  {
    name: "lease-after-a-pause",
    known: "tikv#964",
    text: "A leader that was not running for half an election timeout has lost its lease.",
    run: afterPause,
  },
  {
    name: "lease-after-leading",
    text: "A leader that has stepped down has lost its lease.",
    run: afterLeading,
  },
  {
    name: "stale-late-answer",
    text:
      "The answer to a question for an index arrives late: how fresh it makes a member counts from " +
      "when the question was asked.",
    run: staleLateAnswer,
  },
];

/** A cluster with leases that n1 leads, with "old" at x. */
async function leading(options: StoryOptions = {}): Promise<Director> {
  const d = await Director.begin({ leaseReads: true, ...options });
  await d.elect("n1");
  await d.done(d.put("n1", "x", "old"));
  return d;
}

async function lateAnswer(): Promise<void> {
  const d = await leading();
  // All that is answered from here on are rounds.
  await d.ms(STORY_TIMEOUT_MS / 4);
  await deposeUnnoticed(d, "n2");
  await d.done(d.put("n2", "x", "new"));
  const read = d.getByLease("n1", "x");
  await d.ms(20);
  d.expect(read.outcome === "open", "n1 has not answered");
  await d.end();
}

async function beforeOwnCommit(): Promise<void> {
  const d = await leading();
  const n2 = d.of("n2");
  await d.until(() => n2.core?.commit === 3, "n2 knows that entry 3 is committed");
  // Entry 4 is committed with n2, but n2 is not told so. n3 does not get it.
  d.lose((from, to, { type }) => from === "n1" && to === "n3" && type === "append-entries");
  d.lose((from, _to, message) => from === "n1" && tellsOfMore(message, 3));
  await d.done(d.put("n1", "x", "new"));
  d.power("n1");
  // n2 leads and is heard by n3, but cannot commit the entry that opens its term.
  const opening = d.lose((from, _to, { type }) => from === "n2" && type === "append-entries");
  await d.electOnly("n2");
  await d.ms(STORY_TIMEOUT_MS / 4);
  const read = d.getByLease("n2", "x");
  await d.ms(20);
  d.expect(read.outcome === "open", "n2 has not answered");
  opening.end();
  await d.done(read);
  await d.end();
}

/** How long n2 waits before it campaigns is drawn: in some runs that is short enough. */
async function clocksApart(): Promise<void> {
  let found = 0;
  for (let seed = 1; seed <= 40 && found < 2; seed++) if (await clocksApartWith(seed)) found++;
  assert.ok(found > 0, "in no run another leader was elected while n1 believed that it leads");
}

async function clocksApartWith(seed: number): Promise<boolean> {
  const driftBoundPpm = 100_000;
  const d = await leading({ driftBoundPpm, seed });
  await d.open("n2");
  const { members } = d.world;
  for (const { id, clock } of members) clock!.runAt(id === "n1" ? -driftBoundPpm : driftBoundPpm);
  await d.ms(STORY_TIMEOUT_MS);
  const n1 = d.of("n1");
  const endMs = n1.core!.status().leaseEndMs;
  await d.until(() => n1.core!.status().leaseEndMs !== endMs, "n1 renews its lease");
  d.isolate("n1");
  await d.elect("n2");
  await d.done(d.put("n2", "x", "new"));
  if (n1.core?.isReady !== true) return false;
  const read = d.getByLease("n1", "x");
  await d.ms(5);
  d.expect(read.outcome === "open", "n1 has not answered");
  return true;
}

async function afterPause(): Promise<void> {
  await Promise.resolve();
  const core = leaseHolder();
  core.nowMs += TIMEOUT_MS / 2 + 1;
  core.raft.readIndex(core.nowMs, 1, true);
  core.act();
  assert.deepEqual(core.reads, [], "a lease from before a pause was used");
}

async function afterLeading(): Promise<void> {
  await Promise.resolve();
  const core = leaseHolder();
  const { term } = core.raft.status();
  core.hears("n2", { type: "heartbeat", term: term + 1, commit: 0, round: 0 });
  assert.equal(core.role, "follower");
  core.raft.readIndex(core.nowMs, 1, true);
  core.act();
  assert.deepEqual(core.reads, [], "a lease was used by a follower");
}

/** A leader whose lease has just been renewed. */
function leaseHolder(): Solo {
  const core = new Solo({ members: 3, leaseReads: true });
  const term = core.leads(["n2"]);
  core.hears("n2", ackOf(term, core.raft.status().lastIndex));
  core.waits(150);
  core.hears("n2", {
    type: "heartbeat-response",
    term,
    round: core.newest("heartbeat").round,
    health: "ok",
  });
  core.raft.readIndex(core.nowMs, 0, true);
  core.act();
  assert.equal(core.reads.splice(0).length, 1, "the lease is held");
  return core;
}

async function staleLateAnswer(): Promise<void> {
  const d = await Director.begin();
  const n3 = d.of("n3");
  await d.elect("n1");
  await d.done(d.put("n1", "x", "old"));
  await d.until(() => n3.core?.commit === 3, "n3 knows that entry 3 is committed");
  const answers = d.hold(
    (from, to, { type }) => from === "n1" && to === "n3" && type === "read-index-response",
  );
  const first = d.getStale("n3", "x", 0);
  await d.ms(5);
  // From now on n3 hears of nothing new.
  const news = [
    d.lose((from, to, { type }) => from === "n1" && to === "n3" && type === "append-entries"),
    d.lose((from, to, message) => from === "n1" && to === "n3" && tellsOfMore(message, 3)),
  ];
  await d.done(d.put("n1", "x", "new"));
  await d.ms(STORY_TIMEOUT_MS / 4);
  // What was answered before the write: right for the first read, and by now this old.
  answers.release(undefined, 1);
  await d.done(first);
  const second = d.getStale("n3", "x", STORY_TIMEOUT_MS / 8);
  await d.ms(5);
  d.expect(second.outcome === "open", "n3 has not answered");
  answers.end();
  answers.release();
  for (const rule of news) rule.end();
  await d.done(second);
  await d.end();
}
