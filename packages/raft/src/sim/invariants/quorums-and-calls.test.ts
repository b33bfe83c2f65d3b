/** Invariants of what a majority keeps, of machines, and of what callers are told. */
import { describe, test } from "vitest";
import { acknowledgedOnQuorum } from "./acknowledged-on-quorum.ts";
import { appliedMonotone } from "./applied-monotone.ts";
import { appliedWithinCommit } from "./applied-within-commit.ts";
import { committedOnQuorum } from "./committed-on-quorum.ts";
import { exactlyOnce } from "./exactly-once.ts";
import type { Invariant } from "./invariant.ts";
import { batch, found, Story } from "./invariants-harness.ts";
import { promisesSettle } from "./promises-settle.ts";
import { readIndexCovers } from "./read-index-covers.ts";
import { stateMachineSafety } from "./state-machine-safety.ts";

/** All members hold commands at 2, 3 and 4, committed. */
function withCommands(invariant: Invariant, members = 3): Story {
  const story = new Story(invariant, members);
  story.writeAll({ term: 1, entries: [batch(2, 1, "a", "b", "c")] });
  for (const member of story.members) story.output(member, { commit: 4 });
  return story;
}

describe("committed-on-quorum", () => {
  test("a majority is enough, also of members that are down or lost", () => {
    const story = new Story(committedOnQuorum, 5);
    for (const number of [1, 3, 5]) {
      story.write(story.n(number), { entries: [batch(2, 1, "a")] });
    }
    story.crash(story.n(3));
    story.n(5).state = "lost";
    story.output(story.n(1), { commit: 2 });
    story.restart(story.n(3));
    story.restart(story.n(2));
  });

  test("a leader's own entry does not count before it is durable", () => {
    const story = new Story(committedOnQuorum);
    story.output(story.n(1), { entries: [batch(2, 1, "a")] });
    story.write(story.n(2), { entries: [batch(2, 1, "a")] });
    story.breaks(
      () => story.output(story.n(1), { commit: 2 }),
      "entry 2 of term 1",
      "only on n2",
      "2 of 3",
      "n1",
    );
  });

  test("another entry under the same index does not count", () => {
    const story = new Story(committedOnQuorum);
    story.write(story.n(1), { entries: [batch(2, 2, "a")] });
    story.write(story.n(2), { entries: [batch(2, 1, "a")] });
    story.breaks(() => story.output(story.n(1), { commit: 2 }), "entry 2 of term 2", "only on n1");
  });

  test("a single member has to have it itself", () => {
    const story = new Story(committedOnQuorum, 1);
    story.output(story.n(1), { entries: [batch(2, 1, "a")] });
    story.breaks(() => story.output(story.n(1), { commit: 2 }), "nobody", "1 of 1");
  });

  test("a restart that breaks the majority is seen", () => {
    const story = new Story(committedOnQuorum);
    for (const number of [1, 2]) story.write(story.n(number), { entries: [batch(2, 1, "a")] });
    story.output(story.n(1), { commit: 2 });
    story.crash(story.n(2));
    story.breaks(
      () => story.start(story.n(2), found({}, 1, [1, 1])),
      "entry 2 of term 1",
      "only on n1",
      "n2 came back without it",
    );
  });

  test("a restart that a majority can do without is not", () => {
    const story = new Story(committedOnQuorum);
    story.writeAll({ entries: [batch(2, 1, "a")] });
    story.output(story.n(1), { commit: 2 });
    story.crash(story.n(2));
    story.start(story.n(2), found({}, 1, [1, 1]));
  });
});

describe("acknowledged-on-quorum", () => {
  test("an acknowledged write that a majority keeps is fine", () => {
    const story = withCommands(acknowledgedOnQuorum);
    const write = story.call(story.n(1), "write", 7);
    story.apply(story.n(1), 3, { operation: 7 });
    story.settle(write, "done");
    story.restart(story.n(1));
    story.restart(story.n(2));
    story.settle(story.call(story.n(1), "read", 8), "done");
  });

  test("one that only a minority has is seen", () => {
    const story = new Story(acknowledgedOnQuorum);
    story.write(story.n(1), { entries: [batch(2, 1, "a")] });
    const write = story.call(story.n(1), "write", 7);
    story.apply(story.n(1), 2, { operation: 7 });
    story.breaks(() => story.settle(write, "done"), "entry 2 of term 1", "acknowledged", "n1");
  });

  test("one that a restart loses is seen", () => {
    const story = new Story(acknowledgedOnQuorum);
    for (const number of [1, 2]) story.write(story.n(number), { entries: [batch(2, 1, "a")] });
    const write = story.call(story.n(1), "write", 7);
    story.apply(story.n(1), 2, { operation: 7 });
    story.settle(write, "done");
    story.crash(story.n(1));
    story.breaks(() => story.start(story.n(1), found({}, 1, [1, 1])), "n1 came back", "n2");
  });
});

describe("applied-monotone", () => {
  test("every command in order, and all of them again in the next life", () => {
    const story = new Story(appliedMonotone);
    story.write(story.n(1), { entries: [batch(2, 2, "", "a"), batch(4, 3, "", "b")] });
    for (let life = 0; life < 2; life++) {
      story.apply(story.n(1), 3);
      story.apply(story.n(1), 5);
      story.restart(story.n(1));
    }
  });

  test("a command that comes twice, or too late, is seen", () => {
    const story = withCommands(appliedMonotone);
    story.apply(story.n(1), 2);
    story.breaks(() => story.apply(story.n(1), 2), "n1", "index 2", "after 2");
  });

  test("a command that is skipped is seen", () => {
    const story = withCommands(appliedMonotone);
    story.apply(story.n(1), 2);
    story.breaks(() => story.apply(story.n(1), 4), "index 4", "skipping the command at 3");
    story.breaks(() => story.apply(story.n(2), 3), "n2", "skipping the command at 2");
  });
});

describe("applied-within-commit", () => {
  test("what is committed may be applied", () => {
    const story = withCommands(appliedWithinCommit);
    story.apply(story.n(1), 2);
    story.apply(story.n(1), 4);
  });

  test("what is not, or is not what the log holds, is seen", () => {
    const story = withCommands(appliedWithinCommit);
    story.write(story.n(1), { entries: [batch(5, 1, "d")] });
    story.breaks(() => story.apply(story.n(1), 5), "n1", "index 5", "commit index 4");
    story.breaks(() => story.apply(story.n(1), 4, { term: 2 }), "index 4 of term 2", "term 1");
  });
});

describe("state-machine-safety", () => {
  test("the same everywhere, in every life, is fine", () => {
    const story = withCommands(stateMachineSafety);
    story.apply(story.n(1), 2);
    story.apply(story.n(2), 2);
    story.restart(story.n(1));
    story.apply(story.n(1), 2);
  });

  test.each([
    [{ operation: 9 }, "operation 9, not operation 2"],
    [{ commandHash: 9 }, "operation 2, not operation 2"],
    [{ resultHash: 9 }, "another result"],
    [{ term: 9 }, "term 9, not 1"],
    [{ timeMs: 9 }, "cluster time 9, not 0"],
  ])("%j at the same index is seen", (other, text) => {
    const story = withCommands(stateMachineSafety);
    story.apply(story.n(1), 2);
    story.breaks(() => story.apply(story.n(3), 2, other), "n3", "n1", "index 2", text);
  });
});

describe("exactly-once", () => {
  test("done once, perhaps done, and certainly not done", () => {
    const story = withCommands(exactlyOnce);
    const [done, unknown, refused] = [1, 2, 3].map((n) => story.call(story.n(1), "write", n));
    story.apply(story.n(1), 2, { operation: 1 });
    story.apply(story.n(2), 2, { operation: 1 });
    story.settle(done!, "done");
    story.settle(unknown!, "unknown");
    story.apply(story.n(1), 3, { operation: 2 });
    story.settle(refused!, "not-done");
    story.settle(story.call(story.n(1), "read", 4), "done");
  });

  test("an operation that is applied twice is seen", () => {
    const story = withCommands(exactlyOnce);
    story.apply(story.n(1), 2, { operation: 1 });
    story.breaks(
      () => story.apply(story.n(1), 3, { operation: 1 }),
      "operation 1",
      "index 3",
      "index 2",
    );
  });

  test("an operation that is done and was applied nowhere is seen", () => {
    const story = withCommands(exactlyOnce);
    const write = story.call(story.n(2), "write", 1);
    story.breaks(() => story.settle(write, "done"), "operation 1", "n2", "applied nowhere");
  });

  test("a refused operation that was applied is seen, before and after", () => {
    const story = withCommands(exactlyOnce);
    story.apply(story.n(1), 2, { operation: 1 });
    const early = story.call(story.n(2), "write", 1);
    story.breaks(() => story.settle(early, "not-done"), "operation 1", "index 2");
    const late = story.call(story.n(2), "write", 2);
    story.settle(late, "not-done");
    story.breaks(
      () => story.apply(story.n(1), 3, { operation: 2 }),
      "operation 2",
      "index 3 by n1",
      "must never be applied",
    );
  });
});

describe("promises-settle", () => {
  test("calls that end once are fine", () => {
    const story = new Story(promisesSettle);
    const calls = (["write", "read", "local-read"] as const).map((k) => story.call(story.n(1), k));
    story.settle(calls[1]!, "not-done");
    story.settle(calls[0]!, "unknown");
    story.settle(calls[2]!, "done");
    story.end();
  });

  test("one that stays open, ends twice or ends without an end is seen", () => {
    const story = new Story(promisesSettle);
    const call = story.call(story.n(1), "write");
    story.breaks(() => story.end(), "operation 1", "n1", "still open");
    story.settle(call, "done");
    story.breaks(() => story.settle(call, "done"), "operation 1", "twice");
    story.breaks(() => story.settle(story.call(story.n(1), "read"), "open"), "without an outcome");
  });
});

describe("read-index-covers", () => {
  test("a read by a member that has applied what others had when it was called", () => {
    const story = withCommands(readIndexCovers);
    story.apply(story.n(1), 2);
    const read = story.call(story.n(2), "read");
    story.apply(story.n(1), 3);
    story.apply(story.n(2), 2);
    story.settle(read, "done");
    story.settle(story.call(story.n(3), "local-read"), "done");
    story.settle(story.call(story.n(3), "read"), "not-done");
  });

  test("a read that misses something is seen", () => {
    const story = withCommands(readIndexCovers);
    story.apply(story.n(2), 2);
    story.apply(story.n(1), 2);
    story.apply(story.n(1), 3);
    const read = story.call(story.n(2), "read");
    story.breaks(() => story.settle(read, "done"), "n2", "index 2", "index 3");
  });

  test("a new life has applied nothing yet", () => {
    const story = withCommands(readIndexCovers);
    story.apply(story.n(1), 2);
    story.restart(story.n(1));
    const read = story.call(story.n(1), "read");
    story.breaks(() => story.settle(read, "done"), "n1 (life 2)", "index 0");
  });
});
