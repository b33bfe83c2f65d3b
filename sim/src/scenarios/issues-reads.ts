/**
 * Historical bugs of reads: answers that were right once.
 */
import { Director, STORY_TIMEOUT_MS } from "quorate/sim";
import type { Rule } from "quorate/sim";
import type { Scenario } from "../scenario.ts";
import { tellsOfMore } from "./news.ts";

/** Bugs of reads. */
export const scenarios: readonly Scenario[] = [
  {
    name: "issue-etcd-741",
    known: "etcd#741",
    text: "A leader that was deposed without noticing must not answer reads by itself.",
    run: localRead,
  },
  {
    name: "issue-openraft-d60f1e85",
    known: "openraft d60f1e85",
    text: "A read is confirmed by a majority: two of five are none.",
    run: smallQuorum,
  },
  {
    name: "issue-etcd-20418",
    known: "etcd#20418",
    text: "Answers to heartbeats from before a read, arriving after it, must not confirm it.",
    run: lateAnswers,
  },
  {
    name: "issue-etcd-7331",
    known: "etcd#7331",
    text: "A new leader answers reads only when it knows what its predecessor committed.",
    run: beforeOwnCommit,
  },
  {
    name: "issue-dragonboat-25",
    known: "dragonboat#25",
    text: "A read that was confirmed waits until the machine, new after a restart, is that far.",
    run: restartBeforeRead,
  },
];

/**
 * n1 leads without noticing that n2, or n3 of five, has been elected: all it hears are answers to
 * old heartbeats, one now and then. Returns the rule that keeps the rest of them.
 */
export async function deposeUnnoticed(
  d: Director,
  next: "n2" | "n3",
  withN1: readonly string[] = ["n1"],
): Promise<Rule> {
  const isOld = (id: string): boolean => withN1.includes(id);
  const answers = d.hold(
    (from, to, { type }) => !isOld(from) && to === "n1" && type === "heartbeat-response",
  );
  await d.ms(100);
  // From here on the two sides hear nothing of each other.
  d.lose((from, to, { type }) => isOld(from) !== isOld(to) && type !== "heartbeat-response");
  const late = [0.3, 0.8, 1.3].map((share) => share * STORY_TIMEOUT_MS * 1_000);
  for (const us of late) d.world.after(us, () => void answers.release(undefined, 1));
  await d.elect(next);
  d.expect(d.of("n1").core?.isReady === true, "n1 believes that it leads");
  return answers;
}

async function localRead(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.done(d.put("n1", "x", "old"));
  await deposeUnnoticed(d, "n2");
  await d.done(d.put("n2", "x", "new"));
  const read = d.get("n1", "x");
  await d.ms(20);
  // There it would have answered "old" by now.
  d.expect(read.outcome === "open", "n1 has not answered");
  await d.end();
  d.expect(read.outcome === "done", "it answers when it has found the leader");
}

async function smallQuorum(): Promise<void> {
  const d = await Director.begin({ members: 5 });
  await d.elect("n1");
  await d.done(d.put("n1", "x", "old"));
  // n2 still follows n1: its answers come, and are those of one voter too few.
  await deposeUnnoticed(d, "n3", ["n1", "n2"]);
  await d.done(d.put("n3", "x", "new"));
  const read = d.get("n1", "x");
  await d.ms(20);
  d.expect(d.of("n2").core?.leader === "n1", "n2 follows n1");
  d.expect(read.outcome === "open", "n1 has not answered");
  await d.end();
}

async function lateAnswers(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.done(d.put("n1", "x", "old"));
  const answers = await deposeUnnoticed(d, "n2");
  await d.done(d.put("n2", "x", "new"));
  // The read is called. Now all the answers come that were held up: a majority speaks, of the past.
  const read = d.get("n1", "x");
  await d.ms(5);
  d.expect(answers.release() > 0, "answers were held up");
  await d.ms(20);
  d.expect(read.outcome === "open", "n1 has not answered");
  await d.end();
}

async function beforeOwnCommit(): Promise<void> {
  const d = await Director.begin();
  const n2 = d.of("n2");
  await d.elect("n1");
  await d.done(d.put("n1", "x", "old"));
  await d.until(() => n2.core?.commit === 3, "n2 knows that entry 3 is committed");
  // Entry 4 is committed with n2, but n2 is not told so. n3 does not get it.
  d.lose((from, to, { type }) => from === "n1" && to === "n3" && type === "append-entries");
  d.lose((from, _to, message) => from === "n1" && tellsOfMore(message, 3));
  await d.done(d.put("n1", "x", "new"));
  d.power("n1");
  // n2 leads, and cannot commit the entry that opens its term yet. So it cannot know of entry 4.
  const opening = d.lose((from, _to, { type }) => from === "n2" && type === "append-entries");
  await d.electOnly("n2");
  const read = d.get("n2", "x");
  await d.ms(50);
  d.expect(read.outcome === "open", "n2 has not answered");
  opening.end();
  await d.done(read);
  await d.finds("n2", "x", "new");
  await d.end();
}

async function restartBeforeRead(): Promise<void> {
  const d = await Director.begin();
  const n3 = d.of("n3");
  await d.elect("n1");
  for (const value of ["|a", "|b", "|c"]) await d.done(d.append("n1", "x", value));
  // n3 starts anew, with an empty machine, and its disk is slow: what was applied is applied again
  // only when it has been read.
  d.kill("n3");
  n3.start();
  await d.until(() => n3.isUp, "n3 is up");
  n3.disk.stall(150_000);
  // The leader confirms the read at once.
  const read = d.get("n3", "x");
  await d.until(() => n3.core?.leader === "n1", "n3 follows n1");
  await d.ms(50);
  d.expect(read.outcome === "open", "n3 has not answered");
  await d.done(read);
  await d.end();
}
