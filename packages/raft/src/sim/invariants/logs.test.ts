/** Invariants of logs: what they hold, keep and find again. */
import { describe, expect, test } from "vitest";
import { commitMonotone } from "./commit-monotone.ts";
import { committedNeverTruncated } from "./committed-never-truncated.ts";
import { batch, committed, elected, found, Story, voteFor } from "./invariants-harness.ts";
import { leaderCompleteness } from "./leader-completeness.ts";
import { logMatching } from "./log-matching.ts";
import { recoveredWhatWasDurable } from "./recovered-what-was-durable.ts";
import { TermLog } from "./term-log.ts";

describe("what an invariant remembers of a log", () => {
  test("terms by index, through conflicts", () => {
    const log = TermLog.of(found({}, 3, [1, 1], [2, 2]));
    log.append(4, 6, 2);
    log.append(5, 5, 4);
    expect([1, 2, 3, 4, 5, 6].map((i) => log.termAt(i))).toEqual([1, 2, 2, 2, 4, undefined]);
    expect(log.lastTerm).toBe(4);
    expect(log.holds(5, 4)).toBe(true);
    expect(log.holds(5, 2)).toBe(false);
    log.append(1, 1, 5);
    expect([log.termAt(1), log.lastIndex]).toEqual([5, 1]);
  });

  test("where two logs differ", () => {
    const log = TermLog.of(found({}, 5, [1, 1], [3, 2]));
    expect(log.firstDifference(log.copy())).toBeUndefined();
    expect(log.firstDifference(TermLog.of(found({}, 4, [1, 1], [3, 2])))).toBe(5);
    expect(log.firstDifference(TermLog.of(found({}, 5, [1, 1], [4, 2])))).toBe(3);
    expect(log.firstDifference(TermLog.of(found({}, 7, [1, 1], [3, 2], [5, 3])))).toBe(5);
    expect(log.firstDifference(new TermLog())).toBe(1);
  });
});

describe("recovered-what-was-durable", () => {
  test("what was durable, with none, some or all of what was under way, is fine", () => {
    const written = [batch(2, 2, "", "a"), batch(4, 2, "b")];
    for (const last of [1, 3, 4]) {
      const story = new Story(recoveredWhatWasDurable);
      const a = story.n(1);
      story.write(a, { term: 2, vote: "n1" });
      story.output(a, { term: 3, entries: written, commit: 1 });
      story.crash(a);
      const runs: [number, number][] =
        last === 1
          ? [[1, 1]]
          : [
              [1, 1],
              [2, 2],
            ];
      story.start(a, found({ term: 2, vote: voteFor("n1"), commit: 1 }, last, ...runs));
      story.restart(a);
    }
  });

  test("an overwriting under way may have been written, or not", () => {
    for (const isWritten of [true, false]) {
      const story = new Story(recoveredWhatWasDurable);
      const a = story.n(1);
      story.write(a, { term: 2, entries: [batch(2, 2, "a", "b", "c")] });
      story.output(a, { term: 3, entries: [batch(3, 3, "")] });
      story.crash(a);
      if (isWritten) story.start(a, found({ term: 3 }, 3, [1, 1], [2, 2], [3, 3]));
      else story.start(a, found({ term: 2 }, 4, [1, 1], [2, 2]));
    }
  });

  test("a durable entry that is gone is seen", () => {
    const story = new Story(recoveredWhatWasDurable);
    story.write(story.n(1), { term: 2, entries: [batch(2, 2, "a", "b")] });
    story.crash(story.n(1));
    story.breaks(
      () => story.start(story.n(1), found({ term: 2 }, 2, [1, 1], [2, 2])),
      "n1",
      "no entry 3",
      "entry 3 of term 2",
    );
  });

  test("an entry that nobody wrote is seen, and one of another term", () => {
    const story = new Story(recoveredWhatWasDurable);
    story.write(story.n(1), { term: 2, entries: [batch(2, 2, "a")] });
    story.crash(story.n(1));
    const invented = found({ term: 2 }, 3, [1, 1], [2, 2]);
    story.breaks(() => story.start(story.n(1), invented), "entry 3 of term 2", "no entry 3");
    const other = found({ term: 2 }, 2, [1, 1]);
    story.breaks(() => story.start(story.n(1), other), "entry 2 of term 1", "entry 2 of term 2");
  });

  test("a term or vote that was not written is seen", () => {
    const story = new Story(recoveredWhatWasDurable);
    story.write(story.n(1), { term: 2, vote: "n1" });
    story.crash(story.n(1));
    const start = (state: Parameters<typeof found>[0]): void =>
      story.start(story.n(1), found(state, 1, [1, 1]));
    story.breaks(() => start({ term: 1 }), "term 1", "term 2", "n1");
    story.breaks(() => start({ term: 2 }), "nobody");
    story.breaks(() => start({ term: 2, vote: voteFor("n3") }), "n3");
  });

  test("a commit index that was never shown is seen", () => {
    const story = new Story(recoveredWhatWasDurable);
    story.write(story.n(1), { entries: [batch(2, 1, "a")] });
    story.crash(story.n(1));
    story.breaks(
      () => story.start(story.n(1), found({ commit: 2 }, 2, [1, 1])),
      "commit index 2",
      "more than 1",
    );
  });

  test("a member that comes up for the first time with a vote or a log is seen", () => {
    const story = new Story(recoveredWhatWasDurable, 1);
    const stranger = new Story(recoveredWhatWasDurable, 2).n(2);
    story.breaks(() => story.start(stranger, found({}, 2, [1, 1])), "n2", "entry 2 of term 1");
  });
});

describe("log-matching", () => {
  test("equal logs, and different ones of different terms, are fine", () => {
    const story = new Story(logMatching);
    story.writeAll({ entries: [batch(2, 2, "", "a", "b")] });
    story.write(story.n(1), { entries: [batch(5, 2, "c")] });
    story.write(story.n(2), { entries: [batch(5, 3, "")] });
    story.restart(story.n(1));
    story.write(story.n(1), { entries: [batch(5, 3, "")] });
    story.write(story.n(3), { entries: [batch(5, 2, "c")] });
  });

  test("another content is seen", () => {
    const story = new Story(logMatching);
    story.write(story.n(1), { entries: [batch(2, 2, "", "a")] });
    story.breaks(
      () => story.write(story.n(3), { entries: [batch(2, 2, "", "b")] }),
      "n1",
      "n3",
      "entry 3 of term 2",
      "contents differ",
    );
  });

  test("another entry before it is seen", () => {
    const story = new Story(logMatching);
    story.write(story.n(1), { entries: [batch(2, 2, "a")] });
    story.write(story.n(2), { entries: [batch(2, 3, "a")] });
    story.write(story.n(1), { entries: [batch(3, 4, "")] });
    story.breaks(
      () => story.write(story.n(2), { entries: [batch(3, 4, "")] }),
      "entry 3 of term 4",
      "follows term 3",
      "term 2",
    );
  });

  test("a recovered log that does not fit is seen", () => {
    const story = new Story(logMatching);
    story.writeAll({ entries: [batch(2, 2, "a", "b")] });
    story.write(story.n(1), { entries: [batch(4, 3, "")] });
    story.crash(story.n(2));
    story.breaks(() => story.start(story.n(2), found({}, 4, [1, 1], [4, 3])), "entry 4 of term 3");
  });
});

describe("leader-completeness", () => {
  /** Two of three have committed entry 2 of term 2 in term 4. */
  function afterCommit(): Story {
    const story = new Story(leaderCompleteness);
    story.write(story.n(1), { term: 2, entries: [batch(2, 2, "a")] });
    story.write(story.n(2), { term: 2, entries: [batch(2, 2, "a")] });
    story.output(story.n(1), { term: 4, commit: 2, events: [committed(2, 4)] });
    return story;
  }

  test("a leader that has what was committed before, and one of an older term, are fine", () => {
    const story = afterCommit();
    story.output(story.n(2), { term: 5, events: [elected(5)] });
    // Won an old term, while an entry was committed in a later one without it.
    story.output(story.n(3), { term: 3, events: [elected(3)] });
    story.output(story.n(3), { term: 4, events: [elected(4)] });
  });

  test("a later leader without the entry is seen", () => {
    const story = afterCommit();
    story.breaks(
      () => story.output(story.n(3), { term: 5, events: [elected(5)] }),
      "n3",
      "term 5",
      "no entry 2",
      "entry 2 of term 2",
      "committed in term 4",
    );
  });
});

describe("committed-never-truncated", () => {
  /** Entry 2 of term 2 is committed in term 4 by n1 and n2; n3 has it, too, and is in term 2. */
  function afterCommit(): Story {
    const story = new Story(committedNeverTruncated);
    story.writeAll({ term: 2, entries: [batch(2, 2, "a", "b")] });
    story.write(story.n(2), { term: 4 });
    story.output(story.n(1), { term: 4, commit: 2, events: [committed(2, 4)] });
    return story;
  }

  test("what is not committed may go, and what one in an older term was not counted for", () => {
    const story = afterCommit();
    story.output(story.n(2), { term: 5, entries: [batch(3, 5, "")] });
    story.output(story.n(3), { term: 3, entries: [batch(2, 3, "")] });
  });

  test("a member that drops what it showed as committed is seen", () => {
    const story = afterCommit();
    story.breaks(
      () => story.output(story.n(1), { term: 5, entries: [batch(2, 5, "")] }),
      "n1",
      "had entry 2 of term 2",
      "entry 2 of term 5",
    );
  });

  test("a member in that term that drops what others committed is seen", () => {
    const story = afterCommit();
    story.breaks(
      () => story.output(story.n(2), { term: 5, entries: [batch(2, 5, "")] }),
      "n2",
      "committed in term 4",
      "commit index 1",
    );
  });

  test("an earlier batch that cuts the log short is seen", () => {
    const story = afterCommit();
    story.output(story.n(2), { commit: 2 });
    story.breaks(
      () => story.output(story.n(2), { entries: [batch(1, 1, "")] }),
      "n2",
      "no entry 2",
    );
  });
});

describe("commit-monotone", () => {
  test("advances, and a restart that knows less, are fine", () => {
    const story = new Story(commitMonotone);
    story.writeAll({ entries: [batch(2, 2, "", "a")] });
    for (const member of story.members) story.output(member, { commit: 2 });
    story.output(story.n(1), { commit: 3 });
    story.restart(story.n(1));
    story.output(story.n(1), { commit: 1 });
    story.output(story.n(1), { commit: 3 });
  });

  test("a commit index that falls is seen", () => {
    const story = new Story(commitMonotone);
    story.writeAll({ entries: [batch(2, 2, "", "a")] });
    story.output(story.n(1), { commit: 3 });
    story.breaks(() => story.output(story.n(1), { commit: 2 }), "n1", "3 back to 2");
  });

  test("a commit index beyond the log is seen", () => {
    const story = new Story(commitMonotone);
    story.breaks(() => story.output(story.n(1), { commit: 2 }), "n1", "no entry 2");
  });

  test("another entry under a committed index is seen, live and recovered", () => {
    const story = new Story(commitMonotone);
    story.write(story.n(1), { entries: [batch(2, 2, "a")] });
    story.write(story.n(2), { entries: [batch(2, 3, "a")] });
    story.write(story.n(3), { entries: [batch(2, 2, "b")] });
    story.output(story.n(1), { commit: 2 });
    story.breaks(() => story.output(story.n(2), { commit: 2 }), "n2", "entry 2 of term 3");
    story.breaks(() => story.output(story.n(3), { commit: 2 }), "n3", "another content");
    story.crash(story.n(2));
    const recovered = found({ commit: 2, term: 3 }, 2, [1, 1], [2, 3]);
    story.breaks(() => story.start(story.n(2), recovered), "n2", "life 2", "entry 2 of term 3");
  });
});
