import { describe, expect, test } from "vitest";
import type { ProposeResult, RaftInputs } from "../core/contract.ts";
import type { PackedEntries } from "../core/entry.ts";
import type { ForwardResponse, PeerMessage } from "../transport/peer-message.ts";
import { writeU32 } from "../util/bytes.ts";
import { QuorateError } from "../util/error.ts";
import { Calls, WriteCall } from "./calls.ts";
import { Writes } from "./writes.ts";

const T = 1_000;

interface Bench {
  readonly writes: Writes;
  readonly sent: { to: string; message: PeerMessage }[];
  readonly proposed: number[];
  readonly core: RaftInputs;
  result: (entries: PackedEntries) => ProposeResult;
  accepts: boolean;
  readonly add: (bytes?: number, deadlineMs?: number) => () => string;
}

function bench(): Bench {
  const calls = new Calls();
  const sent: Bench["sent"] = [];
  const proposed: number[] = [];
  let index = 1;
  const writes = new Writes({
    id: "me",
    nonce: 100,
    electionTimeoutMs: T,
    batchBytesMax: 1_000,
    forwardBytesMax: 2_000,
    retryMs: 50,
    send: (to, message) => {
      if (it.accepts) sent.push({ to, message });
      return it.accepts;
    },
  });
  const it: Bench = {
    writes,
    sent,
    proposed,
    accepts: true,
    result: (entries) => {
      const firstIndex = index;
      index += entries.count;
      proposed.push(entries.count);
      return { ok: true, firstIndex, term: 3 };
    },
    core: {
      propose: (_nowMs: number, entries: PackedEntries) => it.result(entries),
    } as unknown as RaftInputs,
    add: (bytes = 10, deadlineMs = 5_000) => {
      let end = "waits";
      const start = {
        startedMs: 0,
        deadlineMs,
        signal: undefined,
        resolve: (value: unknown) => (end = `done ${String(value)}`),
        reject: (error: QuorateError) => (end = `${error.code} ${error.outcome}`),
      };
      writes.add(new WriteCall(calls, start, new Uint8Array(bytes)));
      return () => end;
    },
  };
  return it;
}

function answer(request: number, part: Partial<ForwardResponse>): ForwardResponse {
  return {
    type: "forward-response",
    request,
    status: "appended",
    firstIndex: 0,
    term: 0,
    leader: "",
    ...part,
  };
}

describe("on the leader", () => {
  test("what gathered is proposed in batches within the bound, and resolves when applied", () => {
    const { writes, core, proposed, add } = bench();
    const ends = Array.from({ length: 30 }, () => add(60));
    const large = add(5_000);
    writes.dispatch(1, core, "me");
    expect(proposed).toEqual([10, 10, 10, 1]);
    for (let index = 1; index <= 31; index++) writes.applied(index, 3, index);
    expect(ends.map((end) => end())).toEqual(ends.map((_, i) => `done ${i + 1}`));
    expect(large()).toBe("done 31");
  });

  test("a core that is overloaded leaves them gathered, in their order", () => {
    const it = bench();
    const { result } = it;
    it.result = () => ({ ok: false, reason: "overloaded", leader: "me" });
    const end = it.add();
    it.writes.dispatch(1, it.core, "me");
    expect(end()).toBe("waits");
    it.result = result;
    it.writes.dispatch(2, it.core, "me");
    expect(it.proposed).toEqual([1]);
  });

  test("what is past its deadline before it was handed on was certainly not done", () => {
    const { writes, core, proposed, add } = bench();
    const late = add(10, 5);
    writes.dispatch(5, core, "me");
    expect(late()).toBe("TIMEOUT not-done");
    expect(proposed).toEqual([]);
  });

  test("a write that was ruled out is proposed again, and ends by the new position", () => {
    const { writes, core, proposed, add } = bench();
    const end = add();
    writes.dispatch(1, core, "me");
    writes.termApplied(4);
    writes.applied(1, 4, "of another leader");
    expect(writes.hasRuledOut).toBe(true);
    writes.dispatch(2, core, "me");
    expect(proposed).toEqual([1, 1]);
    writes.applied(2, 3, "mine");
    expect(end()).toBe("done mine");
  });
});

describe("elsewhere", () => {
  test("they are forwarded in one message and wait for the position that is answered", () => {
    const { writes, core, sent, add } = bench();
    const ends = [add(10, 300), add(10, 900)];
    writes.dispatch(100, core, "n2");
    expect(sent).toMatchObject([
      { to: "n2", message: { type: "forward", request: 101, count: 2, deadlineMs: 800 } },
    ]);
    writes.takeForwardResponse("n3", answer(101, { firstIndex: 1, term: 3 }), 101, 0);
    writes.applied(1, 3, "not yet known");
    expect(ends[0]!()).toBe("waits");
    writes.takeForwardResponse("n2", answer(101, { firstIndex: 7, term: 3 }), 101, 5);
    writes.applied(7, 3, "a");
    writes.applied(8, 3, "b");
    expect(ends.map((end) => end())).toEqual(["done a", "done b"]);
  });

  test.each(["not-leader", "overloaded", "expired"] as const)(
    "an answer of %s means that nothing was done: they are sent again, a little later",
    (status) => {
      const { writes, core, sent, add } = bench();
      const end = add();
      writes.dispatch(0, core, "n2");
      writes.takeForwardResponse("n2", answer(101, { status }), 10, 0);
      expect(end()).toBe("waits");
      expect(writes.nextMs("n2")).toBe(60);
      writes.dispatch(59, core, "n2");
      expect(sent).toHaveLength(1);
      writes.dispatch(60, core, "n2");
      expect(sent).toHaveLength(2);
      // And what ends now is certain.
      writes.takeForwardResponse("n2", answer(102, { status }), 70, 0);
      writes.endLeaderless(80, () => 0);
      expect(end()).toBe("NO_LEADER not-done");
    },
  );

  test("what the transport does not take is not sent, and tried again later", () => {
    const it = bench();
    it.accepts = false;
    const end = it.add();
    it.writes.dispatch(0, it.core, "n2");
    expect(it.writes.hasForwards).toBe(false);
    expect(it.writes.nextMs("n2")).toBe(50);
    it.accepts = true;
    it.writes.dispatch(50, it.core, "n2");
    expect(it.sent).toHaveLength(1);
    expect(end()).toBe("waits");
  });

  test("without an answer from a lost leader they end as unknown after T / 2", () => {
    const { writes, core, add } = bench();
    const [byConnection, byElection] = [add(), add()];
    writes.dispatch(0, core, "n2");
    writes.disconnected("n3", 5);
    writes.disconnected("n2", 10);
    writes.leaderChanged("n3", 400);
    writes.endLostForwards(509);
    expect(byConnection()).toBe("waits");
    writes.endLostForwards(510);
    expect(byConnection()).toBe("OUTCOME_UNKNOWN unknown");
    expect(byElection()).toBe("OUTCOME_UNKNOWN unknown");
    expect(writes.hasForwards).toBe(false);
  });

  test("a leader that was replaced without a word counts as lost, too", () => {
    const { writes, core, add } = bench();
    const end = add();
    writes.dispatch(0, core, "n2");
    writes.leaderChanged("n2", 20);
    writes.endLostForwards(5_000);
    expect(end()).toBe("waits");
    writes.leaderChanged("n3", 30);
    writes.endLostForwards(30 + T / 2);
    expect(end()).toBe("OUTCOME_UNKNOWN unknown");
  });

  test("an answer that comes after its entries were applied cannot give their results", () => {
    const { writes, core, add } = bench();
    const [late, timely] = [add(), add()];
    writes.dispatch(0, core, "n2");
    writes.takeForwardResponse("n2", answer(101, { firstIndex: 7, term: 3 }), 5, 7);
    expect(late()).toBe("OUTCOME_UNKNOWN unknown");
    writes.applied(8, 3, "b");
    expect(timely()).toBe("done b");
  });
});

describe("asked by another member", () => {
  const forward = { type: "forward", request: 9, deadlineMs: 100, count: 1 } as const;
  const command = new Uint8Array(40).fill(1, 0, 1);

  test("appends and answers where, or says why not", () => {
    const it = bench();
    const ask = (part: object, arrivedMs = 0): unknown => {
      const message = { ...forward, entries: command, ...part };
      it.writes.takeForward("n2", message, { nowMs: 50, core: it.core, arrivedMs });
      return it.sent.at(-1)!.message;
    };
    expect(ask({})).toMatchObject({ request: 9, status: "appended", firstIndex: 1, term: 3 });
    expect(ask({ deadlineMs: 50 })).toMatchObject({ status: "expired" });
    expect(ask({ entries: new Uint8Array(40).fill(2, 0, 1) })).toMatchObject({ status: "expired" });
    const large = new Uint8Array(2_001).fill(1, 0, 1);
    writeU32(large, 4, 1_961);
    expect(ask({ entries: large })).toMatchObject({ status: "overloaded" });
    it.result = () => ({ ok: false, reason: "not-leader", leader: "n3" });
    expect(ask({})).toMatchObject({ status: "not-leader", leader: "n3" });
    it.result = () => ({ ok: false, reason: "overloaded", leader: "me" });
    expect(ask({})).toMatchObject({ status: "overloaded" });
    it.result = () => ({ ok: false, reason: "full", leader: "me" });
    expect(ask({})).toMatchObject({ status: "full" });
    expect(it.proposed).toEqual([1]);
  });
});

test("a call ends once: later ends are ignored and counted once", () => {
  const calls = new Calls();
  const ends: string[] = [];
  const start = {
    startedMs: 0,
    deadlineMs: 10,
    signal: undefined,
    resolve: () => ends.push("resolved"),
    reject: () => ends.push("rejected"),
  };
  const call = new WriteCall(calls, start, new Uint8Array(4));
  call.resolve(1);
  call.reject(new QuorateError("TIMEOUT", "late"));
  call.resolve(2);
  calls.expire(1_000);
  expect(ends).toEqual(["resolved"]);
  expect(calls).toMatchObject({ writes: 0, gatheredBytes: 0 });
  expect(calls.deadlines.count).toBe(0);
});
