import { describe, expect, test } from "vitest";
import { EntryKind } from "./entry.ts";
import type { Health } from "./health-watch.ts";
import { commands, incarnationOf } from "./member-harness.ts";
import type { AppendEntriesResponse } from "./message.ts";
import { append, batchOf, entryOf, Solo } from "./solo-harness.ts";

const T = 1_000;
const HEARTBEAT = 100;

interface PeerHealth {
  readonly [id: string]: Health | "silent";
}

/** A leader of term 1 over n2 and n3, which have everything; its disk takes what the test says. */
function leader(options: ConstructorParameters<typeof Solo>[0] = {}): Solo {
  const solo = new Solo(options).win("n2").ackAll("n2", "n3");
  solo.autoPersist = false;
  solo.forget();
  return solo;
}

/** Time passes on a leader while its peers answer every heartbeat and say how they are. */
function pass(solo: Solo, ms: number, peers: PeerHealth = { n2: "ok", n3: "ok" }): void {
  const until = solo.nowMs + ms;
  while (solo.nowMs < until) {
    solo.run(Math.min(HEARTBEAT, until - solo.nowMs));
    for (const [id, health] of Object.entries(peers)) {
      if (health === "silent") continue;
      const { term } = solo.status;
      solo.step(id, { type: "heartbeat-response", term, round: 0, health });
    }
  }
}

/** Tells the core whether the log waits for space. */
function full(solo: Solo, isFull = true): void {
  solo.raft.storage(solo.nowMs, isFull);
  solo.take();
}

/** The process stands still for so long. */
function standStill(solo: Solo, ms: number): void {
  solo.nowMs += ms;
  solo.raft.tick(solo.nowMs);
  solo.take();
}

/** The newest output that is not durable. */
function newest(solo: Solo): number {
  return solo.raft.state.persistence.newestPending;
}

const proposal = (solo: Solo): string => {
  const result = solo.raft.propose(solo.nowMs, commands("x"));
  return result.ok ? "ok" : result.reason;
};

describe("a leader whose disk stalls", () => {
  test("notices after T without anything durable, and not before", () => {
    const solo = leader();
    solo.propose("a");
    pass(solo, T - 1);
    expect(solo.status.health).toMatchObject({ state: "ok", stalls: 0 });
    pass(solo, 1);
    expect(solo.status.health).toMatchObject({ state: "stalled", stalls: 1 });
    expect(solo.status.health.stalledSinceMs).toBe(solo.nowMs - T);
    expect(solo.eventsOf("health")).toMatchObject([{ health: "stalled", previous: "ok" }]);
  });

  test("takes a slow disk for what it is, as long as something becomes durable within T", () => {
    const solo = leader();
    for (let i = 0; i < 5; i++) {
      solo.propose("a");
      const first = newest(solo);
      solo.propose("b");
      pass(solo, T - 1);
      solo.persist(first);
      pass(solo, T - 1);
      solo.persist(newest(solo));
    }
    expect(solo.status.health).toMatchObject({ state: "ok", stalls: 0 });
    expect(solo.status.role).toBe("leader");
  });

  test("hands over to a voter that has everything, without its own disk", () => {
    const solo = leader();
    solo.propose("a");
    solo.ackAll("n2");
    pass(solo, T + HEARTBEAT);
    const told = solo.messages.filter(({ message }) => message.type === "timeout-now");
    expect(told[0]).toMatchObject({ to: "n2", after: 0, message: { lastIndex: 2 } });
    expect(solo.status.health.yields).toBe(1);
  });

  test("steps down within 3 T where nobody takes over, and says so", () => {
    const solo = leader();
    solo.propose("a");
    pass(solo, T + HEARTBEAT);
    expect(solo.status.transfer).toBeDefined();
    pass(solo, T);
    expect(solo.status.role).toBe("follower");
    const told = solo.messages.filter(({ message }) => message.type === "resign");
    expect(told).toMatchObject([
      { to: "n2", after: 0, message: { term: 1 } },
      { to: "n3", after: 0 },
    ]);
    expect(solo.eventsOf("role").at(-1)?.reason).toContain("nothing has become durable");
  });

  test("does not campaign again while nothing becomes durable, and does afterwards", () => {
    const solo = leader();
    solo.propose("a");
    pass(solo, 3 * T);
    solo.forget();
    solo.run(20 * T);
    expect(solo.status).toMatchObject({ role: "follower", term: 1 });
    expect(solo.messages).toEqual([]);
    solo.persist(newest(solo));
    expect(solo.status.health.state).toBe("ok");
    solo.run(3 * T);
    expect(solo.sent("pre-vote").length).toBeGreaterThan(0);
  });

  test("stays where every voter that is heard is stalled as well", () => {
    const solo = leader();
    solo.propose("a");
    pass(solo, 10 * T, { n2: "stalled", n3: "stalled" });
    expect(solo.status).toMatchObject({ role: "leader", term: 1 });
    expect(solo.sent("timeout-now")).toEqual([]);
    expect(solo.sent("resign")).toEqual([]);
  });

  test("stays where those who are well make up no quorum", () => {
    const solo = leader();
    solo.propose("a");
    pass(solo, 10 * T, { n2: "ok", n3: "silent" });
    expect(solo.status).toMatchObject({ role: "leader", term: 1 });
    expect(solo.sent("timeout-now")).toEqual([]);
  });

  test("gives the transfer up when its target turns out to be stalled, and stays", () => {
    const solo = leader();
    solo.propose("a");
    pass(solo, T + HEARTBEAT);
    expect(solo.status.transfer).toBeDefined();
    pass(solo, HEARTBEAT, { n2: "stalled", n3: "stalled" });
    expect(solo.status.transfer).toBeUndefined();
    pass(solo, 5 * T, { n2: "stalled", n3: "stalled" });
    expect(solo.status.role).toBe("leader");
  });

  test("is well again with the first write that becomes durable", () => {
    const solo = leader();
    solo.propose("a");
    pass(solo, 5 * T, { n2: "stalled", n3: "stalled" });
    solo.persist(newest(solo));
    expect(solo.status.health).toMatchObject({ state: "ok", stalledSinceMs: undefined, stalls: 1 });
    pass(solo, 5 * T);
    expect(solo.status).toMatchObject({ role: "leader", term: 1 });
  });

  test("does not take time in which the process stood still for a stall", () => {
    const solo = leader();
    solo.propose("a");
    pass(solo, T / 2);
    standStill(solo, 0.9 * T);
    expect(solo.status.health.state).toBe("ok");
    pass(solo, T);
    expect(solo.status.health.state).toBe("stalled");
  });

  test("a sole voter has nobody to hand over to, and goes on", () => {
    const solo = new Solo({ voters: ["n1"] });
    solo.run(T);
    expect(solo.status.role).toBe("leader");
    solo.autoPersist = false;
    solo.propose("a");
    solo.run(5 * T);
    expect(solo.status).toMatchObject({ role: "leader", health: { state: "stalled" } });
    solo.persist(newest(solo));
    expect(solo.status).toMatchObject({ commit: 2, health: { state: "ok" } });
  });
});

describe("a follower whose disk stalls", () => {
  /** Follows n2 in term 2; an entry has been on its way to the disk for T and longer. */
  function stalled(): Solo {
    const solo = new Solo({ log: [1], term: 1 });
    solo.autoPersist = false;
    const batches = [batchOf(2, 2, "b")];
    solo.step("n2", append({ term: 2, prevIndex: 1, prevTerm: 1, batches }));
    for (let ms = 0; ms <= T; ms += HEARTBEAT) {
      solo.run(HEARTBEAT);
      solo.step("n2", { type: "heartbeat", term: 2, commit: 0, round: 0 });
    }
    solo.forget();
    return solo;
  }

  test("tells its leader with the answers to heartbeats", () => {
    const solo = stalled();
    const [answer] = solo.step("n2", { type: "heartbeat", term: 2, commit: 0, round: 3 });
    expect(answer).toMatchObject({ after: 0, message: { round: 3, health: "stalled" } });
    solo.persist(newest(solo));
    const [later] = solo.step("n2", { type: "heartbeat", term: 2, commit: 0, round: 4 });
    expect(later).toMatchObject({ message: { round: 4, health: "ok" } });
  });

  test("does not campaign when its leader falls silent", () => {
    const solo = stalled();
    solo.run(10 * T);
    expect(solo.status).toMatchObject({ role: "follower", leader: undefined, term: 2 });
    expect(solo.messages).toEqual([]);
  });

  test("does not obey timeout-now", () => {
    const solo = stalled();
    solo.step("n2", { type: "timeout-now", term: 2, lastIndex: 2, lastTerm: 2 });
    expect(solo.status.role).toBe("follower");
  });

  test("as a candidate it stands back when its own vote does not become durable", () => {
    const solo = new Solo();
    solo.autoPersist = false;
    solo.timeOut();
    solo.step("n2", { type: "pre-vote-response", term: 1, granted: true });
    expect(solo.status.role).toBe("candidate");
    solo.run(10 * T);
    expect(solo.status).toMatchObject({ role: "follower", term: 1 });
  });
});

describe("a leader that resigns", () => {
  function follower(): Solo {
    const solo = new Solo({ log: [1], term: 1 });
    solo.step("n2", { type: "heartbeat", term: 2, commit: 0, round: 0 });
    solo.forget();
    return solo;
  }

  test("is not waited for any longer: within T/2 somebody campaigns", () => {
    const solo = follower();
    solo.step("n2", { type: "resign", term: 2 });
    expect(solo.status.leader).toBeUndefined();
    solo.run(T / 2);
    expect(solo.sent("pre-vote").length).toBeGreaterThan(0);
  });

  test("is no objection to a vote any more", () => {
    const solo = follower();
    const incarnation = incarnationOf("n3");
    const request = { type: "request-vote", term: 3, transfer: false, incarnation } as const;
    solo.step("n3", { ...request, lastIndex: 1, lastTerm: 1 });
    expect(solo.sent("request-vote-response")).toEqual([]);
    solo.step("n2", { type: "resign", term: 2 });
    solo.step("n3", { ...request, lastIndex: 1, lastTerm: 1 });
    expect(solo.sent("request-vote-response")).toMatchObject([{ granted: true }]);
  });

  test("is believed only of itself and of its term", () => {
    const solo = follower();
    solo.step("n3", { type: "resign", term: 2 });
    solo.step("n2", { type: "resign", term: 1 });
    solo.step("n2", { type: "resign", term: 3 });
    expect(solo.status).toMatchObject({ leader: "n2", term: 2 });
  });
});

describe("a leader without space", () => {
  test("hands over at once to a voter that has some, and refuses nothing meanwhile", () => {
    const solo = leader();
    pass(solo, HEARTBEAT);
    full(solo);
    // Already before its next tick, which is due now.
    expect(proposal(solo)).toBe("transferring");
    expect(solo.raft.nextDeadlineMs).toBe(solo.nowMs);
    solo.run(0);
    expect(solo.sent("timeout-now")).toHaveLength(1);
    expect(proposal(solo)).toBe("transferring");
  });

  test("stays where every other voter is full, and refuses writes", () => {
    const solo = leader();
    pass(solo, HEARTBEAT, { n2: "full", n3: "full" });
    full(solo);
    pass(solo, 10 * T, { n2: "full", n3: "full" });
    expect(solo.status).toMatchObject({ role: "leader", term: 1 });
    expect(solo.sent("timeout-now")).toEqual([]);
    expect(proposal(solo)).toBe("full");
  });

  test("takes writes again when space is back", () => {
    const solo = leader();
    pass(solo, HEARTBEAT, { n2: "full", n3: "full" });
    full(solo);
    pass(solo, HEARTBEAT, { n2: "full", n3: "full" });
    full(solo, false);
    expect(proposal(solo)).toBe("full");
    pass(solo, HEARTBEAT, { n2: "full", n3: "ok" });
    expect(proposal(solo)).toBe("ok");
  });

  test("does not step down where the others do not take over: reads go on", () => {
    const solo = leader();
    solo.propose("a");
    solo.persist(newest(solo));
    full(solo);
    pass(solo, 10 * T);
    expect(solo.status.role).toBe("leader");
    expect(solo.status.health.yields).toBeGreaterThan(2);
  });

  test("refuses writes while too many of those that are heard have none", () => {
    const solo = leader();
    pass(solo, HEARTBEAT, { n2: "full", n3: "ok" });
    expect(proposal(solo)).toBe("ok");
    pass(solo, HEARTBEAT, { n2: "full", n3: "full" });
    expect(proposal(solo)).toBe("full");
    const other = leader();
    pass(other, 2 * T, { n2: "full", n3: "silent" });
    expect(proposal(other)).toBe("full");
  });

  test("refuses none before it can have heard of everybody: it has just been elected", () => {
    const solo = new Solo().win("n2");
    solo.step("n2", { type: "heartbeat-response", term: 1, round: 0, health: "full" });
    expect(proposal(solo)).toBe("ok");
    pass(solo, T, { n2: "full", n3: "silent" });
    expect(proposal(solo)).toBe("full");
  });

  test("sends a member without space only what opens a term or changes the members", () => {
    const solo = leader();
    pass(solo, HEARTBEAT, { n2: "full", n3: "ok" });
    solo.forget();
    solo.propose("a");
    expect(solo.sent("append-entries", "n2")).toEqual([]);
    expect(solo.sent("append-entries", "n3")).toHaveLength(1);
    pass(solo, HEARTBEAT);
    expect(solo.sent("append-entries", "n2").flatMap(({ batches }) => [...batches])).toHaveLength(
      1,
    );
  });
});

describe("a follower without space", () => {
  function follower(): Solo {
    const solo = new Solo({ log: [1], term: 1 });
    solo.step("n2", { type: "heartbeat", term: 2, commit: 0, round: 0 });
    full(solo);
    solo.forget();
    return solo;
  }

  const answer = (solo: Solo): AppendEntriesResponse =>
    solo.sent("append-entries-response").at(-1)!;

  test("takes no commands, and acknowledges what it has", () => {
    const solo = follower();
    const batches = [batchOf(2, 2, "b"), batchOf(2, 3, "c")];
    solo.step("n2", append({ term: 2, prevIndex: 1, prevTerm: 1, batches }));
    expect(solo.status.lastIndex).toBe(1);
    expect(answer(solo)).toMatchObject({ success: true, index: 1 });
  });

  test("takes what opens a term", () => {
    const solo = follower();
    const batches = [entryOf(2, 2, EntryKind.noop, new Uint8Array(0)), batchOf(2, 3, "c")];
    solo.step("n2", append({ term: 2, prevIndex: 1, prevTerm: 1, batches }));
    expect(solo.status.lastIndex).toBe(2);
    expect(answer(solo)).toMatchObject({ success: true, index: 2 });
  });

  test("acknowledges entries that it has already", () => {
    const solo = new Solo({ log: [1, 2, 2], term: 2 });
    full(solo);
    const batches = [batchOf(2, 2, "2@2", "3@2", "more")];
    solo.step("n2", append({ term: 2, prevIndex: 1, prevTerm: 1, batches }));
    expect(answer(solo)).toMatchObject({ success: true, index: 3 });
    expect(solo.status.lastIndex).toBe(3);
  });

  test("votes, and lets others go first", () => {
    const solo = follower();
    solo.step("n2", { type: "heartbeat", term: 2, commit: 0, round: 0 });
    solo.raft.state.electionDeadlineMs = 0;
    solo.run(0);
    solo.forget();
    solo.run(2 * T - 1);
    expect(solo.sent("pre-vote")).toEqual([]);
    const incarnation = incarnationOf("n3");
    const request = { type: "request-vote", term: 3, transfer: false, incarnation } as const;
    solo.step("n3", { ...request, lastIndex: 1, lastTerm: 1 });
    expect(solo.sent("request-vote-response")).toMatchObject([{ granted: true }]);
  });
});

describe("the choice of a target", () => {
  const transfer = (solo: Solo, target?: string): unknown => {
    const result = solo.raft.transferLeadership(solo.nowMs, target);
    return result.ok ? result.target : result.reason;
  };

  test("prefers the healthy, and takes a full one rather than none", () => {
    const solo = leader();
    pass(solo, HEARTBEAT, { n2: "full", n3: "late" });
    expect(transfer(solo)).toBe("n3");
    const other = leader();
    pass(other, HEARTBEAT, { n2: "full", n3: "stalled" });
    expect(transfer(other)).toBe("n2");
  });

  test("refuses a wished one that is stalled or full", () => {
    const solo = leader();
    pass(solo, HEARTBEAT, { n2: "full", n3: "stalled" });
    expect(transfer(solo, "n2")).toBe("unhealthy");
    expect(transfer(solo, "n3")).toBe("unhealthy");
    pass(solo, HEARTBEAT, { n2: "stalled", n3: "stalled" });
    expect(transfer(solo)).toBe("unhealthy");
    pass(solo, HEARTBEAT, { n2: "ok", n3: "stalled" });
    expect(transfer(solo, "n2")).toBe("n2");
  });
});

describe("a leader whose process stands still again and again", () => {
  /** Stands still so many times, a few heartbeats apart. */
  function limp(solo: Solo, times: number, peers?: PeerHealth): void {
    for (let i = 0; i < times; i++) {
      standStill(solo, 0.6 * T);
      pass(solo, 2 * HEARTBEAT, peers);
    }
  }

  test("hands over after the fourth time within 60 T", () => {
    const solo = leader();
    pass(solo, HEARTBEAT);
    limp(solo, 3);
    expect(solo.status.health.state).toBe("ok");
    expect(solo.sent("timeout-now")).toEqual([]);
    limp(solo, 1);
    expect(solo.status.health.state).toBe("late");
    expect(solo.sent("timeout-now").length).toBeGreaterThan(0);
  });

  test("keeps leadership where the others are no better", () => {
    const solo = leader();
    const peers = { n2: "late", n3: "late" } as const;
    pass(solo, HEARTBEAT, peers);
    limp(solo, 10, peers);
    expect(solo.status).toMatchObject({ role: "leader", health: { state: "late" } });
    expect(solo.sent("timeout-now")).toEqual([]);
  });

  test("is well again when that is long ago", () => {
    const solo = leader();
    const peers = { n2: "late", n3: "late" } as const;
    limp(solo, 4, peers);
    pass(solo, 61 * T, peers);
    expect(solo.status.health).toMatchObject({ state: "ok" });
  });

  test("does not hold back writes for long where nobody takes over", () => {
    const solo = leader();
    solo.propose("a");
    solo.persist(newest(solo));
    pass(solo, HEARTBEAT);
    limp(solo, 4);
    expect(proposal(solo)).toBe("transferring");
    pass(solo, T);
    expect(proposal(solo)).toBe("ok");
    expect(solo.status.role).toBe("leader");
  });
});
