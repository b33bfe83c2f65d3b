/** Invariants of a run's end: all is healed and quiet. */
import { describe, test } from "vitest";
import type { PeerStatus } from "../../core/contract.ts";
import { converged } from "./converged.ts";
import type { Invariant } from "./invariant.ts";
import { batch, elected, Story } from "./invariants-harness.ts";
import { leaderAfterHeal } from "./leader-after-heal.ts";
import { memoryAtBase } from "./memory-at-base.ts";

/** n1 leads in term 2; all have the same two entries, committed and applied. */
function healed(invariant: Invariant, members = 3): Story {
  const story = new Story(invariant, members);
  story.writeAll({ term: 2, entries: [batch(2, 2, "")] });
  story.output(story.n(1), { events: [elected(2)] });
  for (const member of story.members) {
    story.output(member, { commit: 2 });
    member.live.leader = "n1";
    member.live.appliedIndex = 2;
  }
  story.n(1).live.isReady = true;
  return story;
}

describe("leader-after-heal", () => {
  test.each([1, 2, 3, 5])("one leader that all of %i know is fine", (members) => {
    healed(leaderAfterHeal, members).end();
  });

  test("a lost member need not know it; without a majority nothing is owed", () => {
    const story = healed(leaderAfterHeal);
    story.crash(story.n(3));
    story.n(3).state = "lost";
    story.end();
    story.crash(story.n(1));
    story.n(1).state = "lost";
    story.end();
  });

  test("no leader, two of them, or one that cannot serve yet, are seen", () => {
    const story = healed(leaderAfterHeal);
    story.n(1).live.isReady = false;
    story.breaks(() => story.end(), "0 leaders", "n1 up, leader in term 2");
    story.n(1).live.isReady = true;
    Object.assign(story.n(2).live, { role: "leader", isReady: true });
    story.breaks(() => story.end(), "2 leaders");
  });

  test("a member that is down, or follows nobody, or is in another term, is seen", () => {
    const story = healed(leaderAfterHeal);
    story.n(2).live.term = 3;
    story.breaks(() => story.end(), "n2 not following n1", "term 3");
    story.n(3).live.leader = undefined;
    story.breaks(() => story.end(), "n2, n3 not following n1", "follows nobody");
    story.crash(story.n(2));
    story.breaks(() => story.end(), "n2 not up", "n2 down");
  });
});

describe("converged", () => {
  test("the same log everywhere, committed, applied and durable, is fine", () => {
    healed(converged).end();
    healed(converged, 1).end();
  });

  test("less committed, applied or durable is seen", () => {
    const story = healed(converged);
    story.n(2).live.commit = 1;
    story.breaks(() => story.end(), "n2", "committed up to 1");
    story.n(2).live.commit = 2;
    story.n(2).live.appliedIndex = 1;
    story.breaks(() => story.end(), "n2", "applied up to 1");
    story.n(2).live.appliedIndex = 2;
    story.n(2).durable.log.truncateFrom(2);
    story.breaks(() => story.end(), "n2", "durable up to 1");
  });

  test("another log is seen, by its length, terms and contents", () => {
    const story = healed(converged);
    const grow = (number: number, term: number, text: string): void => {
      story.write(story.n(number), { entries: [batch(3, term, text)], commit: 3 });
      story.n(number).live.appliedIndex = 3;
    };
    grow(3, 2, "a");
    story.breaks(() => story.end(), "n3", "up to 3");
    grow(1, 3, "a");
    grow(2, 3, "a");
    story.breaks(() => story.end(), "n3", "n1 has a log up to 3 of term 3");
    grow(3, 3, "b");
    story.breaks(() => story.end(), "n3");
  });
});

describe("memory-at-base", () => {
  const peer: PeerStatus = {
    id: "n2",
    role: "voter",
    matchIndex: 2,
    nextIndex: 3,
    state: "replicate",
    lastHeardMs: 0,
    health: "ok",
    inflightMessages: 0,
    inflightBytes: 0,
  };

  test("nothing that waits is fine; what waits for a lost member, too", () => {
    const story = healed(memoryAtBase);
    const gone = { ...peer, id: "n3", matchIndex: 0, state: "probe", inflightMessages: 1 } as const;
    story.n(1).live.more = { peers: [peer, gone] };
    story.crash(story.n(3));
    story.end();
  });

  test.each([
    [{ uncommittedBytes: 40 }, "40 uncommitted bytes"],
    [{ persisted: 1 }, "entries 2 to 2"],
    [{ role: "follower", peers: [peer] } as const, "1 peers"],
    [{ peers: [{ ...peer, inflightMessages: 3, inflightBytes: 9 }] }, "3 messages with 9 bytes"],
    [{ peers: [{ ...peer, state: "probe" } as const] }, "n2 in state probe"],
    [{ peers: [{ ...peer, matchIndex: 1 }] }, "up to 1 of 2"],
  ])("%j is seen", (more, text) => {
    const story = healed(memoryAtBase);
    story.n(1).live.more = more;
    story.breaks(() => story.end(), "n1", text);
  });
});
