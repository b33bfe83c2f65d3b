/** Invariants of terms, votes and leaders, and of what is said before it is durable. */
import { describe, expect, test } from "vitest";
import { INVARIANTS_OF_A_RUN } from "./catalogue.ts";
import {
  ack,
  append,
  batch,
  elected,
  found,
  grant,
  requestVote,
  Story,
  voteFor,
} from "./invariants-harness.ts";
import { oneLeaderPerTerm } from "./one-leader-per-term.ts";
import { persistedBeforeSaid } from "./persisted-before-said.ts";
import { termMonotone } from "./term-monotone.ts";
import { voteImmutable } from "./vote-immutable.ts";

test("the catalogue names each invariant once, with a sentence", () => {
  const names = INVARIANTS_OF_A_RUN.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { name, text } of INVARIANTS_OF_A_RUN) {
    expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/);
    expect(text).toMatch(/^[A-Z].*\.$/);
  }
});

describe("one-leader-per-term", () => {
  test("leaders of different terms, and one that goes on leading, are fine", () => {
    const story = new Story(oneLeaderPerTerm);
    const [a, b] = [story.n(1), story.n(2)];
    story.output(a, { term: 2, vote: "n1" });
    story.output(a, { events: [elected(2)] });
    story.send(a, b, append(2));
    story.output(b, { term: 3, vote: "n2" });
    story.output(b, { events: [elected(3)] });
    story.send(b, a, append(3));
    story.send(a, b, append(2));
  });

  test("two that are elected in one term are not", () => {
    const story = new Story(oneLeaderPerTerm);
    story.output(story.n(1), { events: [elected(2)] });
    story.breaks(() => story.output(story.n(3), { events: [elected(2)] }), "n1", "n3", "term 2");
  });

  test("nor one that only speaks as a leader", () => {
    const story = new Story(oneLeaderPerTerm);
    story.output(story.n(1), { events: [elected(2)] });
    story.breaks(() => story.send(story.n(2), story.n(1), append(2)), "n1", "n2", "term 2");
  });

  test("nor the same member in another life", () => {
    const story = new Story(oneLeaderPerTerm, 1);
    story.output(story.n(1), { events: [elected(2)] });
    story.restart(story.n(1));
    story.breaks(() => story.output(story.n(1), { events: [elected(2)] }), "life 1", "life 2");
  });
});

describe("vote-immutable", () => {
  test("a vote per term, and one that was neither said nor durable, may be given anew", () => {
    const story = new Story(voteImmutable);
    const [a, b, c] = [story.n(1), story.n(2), story.n(3)];
    story.write(a, { term: 2, vote: "n2" });
    story.send(a, b, grant(2));
    story.restart(a);
    story.send(a, b, grant(2));
    story.output(a, { term: 3, vote: "n3" });
    story.restart(a);
    story.write(a, { term: 3, vote: "n2" });
    story.send(a, b, grant(3));
    story.write(c, { term: 4, vote: "n3" });
    story.send(c, a, requestVote(4));
  });

  test("another vote in memory is seen", () => {
    const story = new Story(voteImmutable);
    story.output(story.n(1), { term: 2, vote: "n2" });
    story.breaks(() => story.output(story.n(1), { term: 2, vote: "n3" }), "n1", "n2", "n3");
  });

  test("a second granted vote is seen", () => {
    const story = new Story(voteImmutable);
    story.send(story.n(1), story.n(2), grant(2));
    story.breaks(() => story.send(story.n(1), story.n(3), grant(2)), "n1", "n2", "n3", "term 2");
  });

  test("a granted vote after asking for votes is seen", () => {
    const story = new Story(voteImmutable);
    story.send(story.n(1), story.n(2), requestVote(2));
    story.breaks(() => story.send(story.n(1), story.n(3), grant(2)), "n1", "n3", "term 2");
  });

  test("a restart that forgets a vote that was said is seen", () => {
    const story = new Story(voteImmutable);
    story.output(story.n(1), { term: 2, vote: "n2" });
    story.send(story.n(1), story.n(2), grant(2));
    story.crash(story.n(1));
    story.breaks(
      () => story.start(story.n(1), found({ term: 2, commit: 1 }, 1, [1, 1])),
      "n1",
      "life 2",
      "n2",
      "nobody",
    );
  });

  test("a durable vote that changes in a later life is seen", () => {
    const story = new Story(voteImmutable);
    story.write(story.n(1), { term: 2, vote: "n2" });
    story.crash(story.n(1));
    story.breaks(
      () => story.start(story.n(1), found({ term: 2, vote: voteFor("n3") }, 1, [1, 1])),
      "n2",
      "n3",
    );
  });
});

describe("term-monotone", () => {
  test("terms that rise, and a restart that forgets what was not promised, are fine", () => {
    const story = new Story(termMonotone);
    const a = story.n(1);
    story.write(a, { term: 2 });
    story.output(a, { term: 5 });
    story.restart(a);
    story.write(a, { term: 3, vote: "n2" });
    story.send(a, story.n(2), grant(3));
    // What waited for the disk may leave after the term has risen.
    story.output(a, { term: 4 });
    story.send(a, story.n(2), ack(3, 1));
  });

  test("a term that falls within a life is seen", () => {
    const story = new Story(termMonotone);
    story.output(story.n(1), { term: 5 });
    story.breaks(() => story.output(story.n(1), { term: 4 }), "n1", "term 4", "term 5");
  });

  test("a restart below what was durable or promised is seen", () => {
    const story = new Story(termMonotone);
    story.write(story.n(1), { term: 5 });
    story.crash(story.n(1));
    story.breaks(() => story.start(story.n(1), found({ term: 4 }, 1, [1, 1])), "term 4", "term 5");
    const other = new Story(termMonotone);
    other.output(other.n(2), { term: 6 });
    other.send(other.n(2), other.n(1), ack(6, 1));
    other.breaks(() => other.restart(other.n(2)), "n2", "term 1", "promised something in 6");
  });

  test("a durable term that falls is seen", () => {
    const story = new Story(termMonotone);
    story.write(story.n(1), { term: 5 });
    story.n(1).durable.term = 3;
    story.breaks(() => story.persist(story.n(1)), "term 3", "term 5");
  });
});

describe("persisted-before-said", () => {
  test("what is durable may be said", () => {
    const story = new Story(persistedBeforeSaid);
    const [a, b] = [story.n(1), story.n(2)];
    story.write(a, { term: 2, vote: "n1" });
    story.send(a, b, requestVote(2));
    story.write(b, { term: 2, vote: "n1" });
    story.send(b, a, grant(2));
    story.write(a, { entries: [batch(2, 2, "")], events: [elected(2)] });
    story.send(a, b, append(2));
    story.write(b, { entries: [batch(2, 2, "")] });
    story.send(b, a, ack(2, 2));
    story.end();
  });

  test("what becomes durable in the same moment may be said just before", () => {
    const story = new Story(persistedBeforeSaid);
    story.output(story.n(2), { term: 2, vote: "n1" });
    story.pass(10);
    story.send(story.n(2), story.n(1), grant(2));
    story.persist(story.n(2));
    story.end();
  });

  test("refusals and pre-votes bind nobody", () => {
    const story = new Story(persistedBeforeSaid);
    story.output(story.n(2), { term: 9 });
    const { id: _, ...refusal } = { id: 0, type: "request-vote-response", term: 9 } as const;
    story.send(story.n(2), story.n(1), { ...refusal, granted: false });
    story.send(story.n(2), story.n(1), { type: "pre-vote", term: 10, lastIndex: 1, lastTerm: 1 });
    story.end();
  });

  test("a later durable term covers what is said of an earlier one", () => {
    const story = new Story(persistedBeforeSaid);
    story.output(story.n(2), { term: 2, vote: "n1", entries: [batch(2, 2, "a", "b")] });
    story.output(story.n(2), { term: 3, entries: [batch(2, 3, "")] });
    story.persist(story.n(2));
    story.send(story.n(2), story.n(1), grant(2));
    story.send(story.n(2), story.n(1), ack(2, 3));
    story.end();
  });

  test("a vote that is durable only later is seen", () => {
    const story = new Story(persistedBeforeSaid);
    story.output(story.n(2), { term: 2, vote: "n1" });
    story.send(story.n(2), story.n(1), grant(2));
    story.pass(10);
    story.breaks(
      () => story.persist(story.n(2)),
      "n2",
      "request-vote-response of term 2",
      "term 1",
    );
  });

  test("so is one that a death took, and one that nobody wrote until the end", () => {
    const story = new Story(persistedBeforeSaid);
    story.output(story.n(2), { term: 2, vote: "n2" });
    story.send(story.n(2), story.n(1), requestVote(2));
    story.breaks(() => story.crash(story.n(2)), "n2", "request-vote of term 2");
    const other = new Story(persistedBeforeSaid);
    other.send(other.n(2), other.n(1), requestVote(2));
    other.breaks(() => other.end(), "n2");
  });

  test("a vote for another than the durable one is seen", () => {
    const story = new Story(persistedBeforeSaid);
    story.write(story.n(2), { term: 2, vote: "n3" });
    story.send(story.n(2), story.n(1), grant(2));
    story.breaks(() => story.persist(story.n(2)), "n1", "vote for n3");
  });

  test("a leader whose own term is not durable is seen", () => {
    const story = new Story(persistedBeforeSaid);
    story.output(story.n(1), { term: 2, vote: "n1", events: [elected(2)] });
    story.send(story.n(1), story.n(2), append(2));
    story.breaks(() => story.output(story.n(1), {}), "n1", "append-entries of term 2");
  });

  test("one of entries that a snapshot has taken the place of meanwhile is fine", () => {
    const story = new Story(persistedBeforeSaid);
    story.write(story.n(2), { term: 2, entries: [batch(2, 2, "a")] });
    story.n(2).live.log.reset(9, 2);
    story.send(story.n(2), story.n(1), ack(2, 2));
    story.end();
  });

  test("an acknowledgement beyond the durable log is seen", () => {
    const story = new Story(persistedBeforeSaid);
    story.write(story.n(2), { term: 2 });
    story.output(story.n(2), { entries: [batch(2, 2, "", "a")] });
    story.send(story.n(2), story.n(1), ack(2, 3));
    story.pass(1);
    story.breaks(() => story.persist(story.n(2)), "acknowledged entry 3 in term 2");
  });

  test("an acknowledgement over a durable log of other terms is seen", () => {
    const story = new Story(persistedBeforeSaid);
    story.write(story.n(2), { term: 2, entries: [batch(2, 2, "a")] });
    story.write(story.n(2), { term: 3 });
    story.output(story.n(2), { entries: [batch(2, 3, "b")] });
    story.send(story.n(2), story.n(1), ack(3, 2));
    story.breaks(() => story.output(story.n(2), {}), "acknowledged entry 2", "term 2 at 2");
  });

  test("an acknowledgement of what the leader does not have is seen", () => {
    const story = new Story(persistedBeforeSaid);
    story.write(story.n(1), { term: 3, vote: "n1" });
    story.write(story.n(1), { entries: [batch(2, 3, "")], events: [elected(3)] });
    story.write(story.n(2), { term: 2, entries: [batch(2, 2, "a")] });
    story.write(story.n(2), { term: 3 });
    story.send(story.n(2), story.n(1), ack(3, 2));
    story.breaks(() => story.end(), "n2", "n1", "term 2 at 2");
  });
});
