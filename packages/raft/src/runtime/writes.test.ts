import { describe, expect, test } from "vitest";
import type { ProposeResult, RaftInputs } from "../core/contract.ts";
import { EntryCursor, EntryBatch, EntryKind } from "../core/entry.ts";
import type { PackedEntries } from "../core/entry.ts";
import { Sessions } from "../machine/sessions.ts";
import type { ForwardResponse, PeerMessage } from "../transport/peer-message.ts";
import { writeU32 } from "../util/bytes.ts";
import { crc32 } from "../util/checksum.ts";
import { QuorateError } from "../util/error.ts";
import type { AppliedEntry } from "./applier.ts";
import { Calls, WriteCall } from "./calls.ts";
import { Writes } from "./writes.ts";

const T = 1_000;
/** The session that a bench begins with. */
const SESSION = 1;

interface Bench {
  readonly writes: Writes;
  readonly sent: { to: string; message: PeerMessage }[];
  readonly proposed: number[];
  /** Entries handed on, in their order: kind, session, sequence, lowest unanswered. */
  readonly entries: string[];
  readonly core: RaftInputs;
  result: (entries: PackedEntries) => ProposeResult;
  accepts: boolean;
  readonly add: (bytes?: number, deadlineMs?: number) => () => string;
  /** An entry of the log is applied: a command of the session, unless `part` says otherwise. */
  readonly applied: (index: number, part: Partial<AppliedEntry>) => void;
}

/** What was proposed or sent, by the heads of its entries. */
function headsOf({ bytes, count }: PackedEntries): string[] {
  const seal = { term: 1, firstIndex: 1, timeMs: 0, checksum: crc32 };
  const cursor = new EntryCursor().reset(EntryBatch.seal({ bytes, count }, seal));
  const heads: string[] = [];
  while (cursor.next()) {
    const { kind, session, sequence, lowestUnanswered } = cursor.view;
    heads.push(`${kind}:${session}.${sequence}>${lowestUnanswered}`);
  }
  return heads;
}

function freshBench(): Bench {
  const calls = new Calls();
  const sent: Bench["sent"] = [];
  const proposed: number[] = [];
  const entries: string[] = [];
  let index = 1;
  const writes = new Writes({
    id: "me",
    nonce: 100,
    electionTimeoutMs: T,
    calls,
    sessionTimeoutMs: 60_000,
    batchBytesMax: 1_000,
    forwardBytesMax: 2_000,
    retryMs: 50,
    send: (to, message) => {
      if (!it.accepts) return false;
      sent.push({ to, message });
      if (message.type === "forward") {
        entries.push(...headsOf({ bytes: message.entries, count: message.count }));
      }
      return true;
    },
  });
  const it: Bench = {
    writes,
    sent,
    proposed,
    entries,
    accepts: true,
    result: (packed) => {
      const firstIndex = index;
      index += packed.count;
      proposed.push(packed.count);
      entries.push(...headsOf(packed));
      return { ok: true, firstIndex, term: 3 };
    },
    core: {
      propose: (_nowMs: number, packed: PackedEntries) => it.result(packed),
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
    applied: (at, part) =>
      writes.applied({
        index: at,
        term: 3,
        kind: EntryKind.command,
        session: SESSION,
        sequence: 0,
        verdict: "new",
        value: undefined,
        ...part,
      }),
  };
  return it;
}

/** The entry at `index` opened a session. */
function opens(index: number, term = 3): Partial<AppliedEntry> {
  return { kind: EntryKind.session, session: 0, sequence: 0, value: index, term };
}

/** A bench whose session is there: the next index of its log is 2. */
function bench(): Bench {
  const it = freshBench();
  const end = it.add(0, 1);
  it.writes.dispatch(0, it.core, "me");
  it.applied(1, opens(SESSION));
  // The write that opened it is over before it was handed on.
  it.writes.dispatch(1, it.core, "me");
  expect(end()).toBe("TIMEOUT not-done");
  it.proposed.length = 0;
  it.entries.length = 0;
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

describe("a session", () => {
  test("is opened once, before the first write, and all that wait go when it is there", () => {
    const it = freshBench();
    const ends = [it.add(), it.add()];
    it.writes.dispatch(0, it.core, "me");
    it.writes.dispatch(1, it.core, "me");
    expect(it.entries).toEqual(["3:0.101>0"]);
    it.applied(1, opens(1));
    expect(it.writes.needsTurn).toBe(true);
    it.writes.dispatch(2, it.core, "me");
    expect(it.entries.slice(1)).toEqual(["1:1.1>1", "1:1.2>1"]);
    it.applied(2, { sequence: 1, value: "a" });
    it.applied(3, { sequence: 2, value: "b" });
    expect(ends.map((end) => end())).toEqual(["done a", "done b"]);
  });

  test("is opened through the leader, again where that got lost or was ruled out", () => {
    const it = freshBench();
    it.add();
    it.writes.dispatch(0, it.core, "n2");
    expect(it.writes.nextMs("n2")).toBe(Infinity);
    it.writes.repeatLost(T / 2);
    it.writes.dispatch(T / 2, it.core, "n2");
    it.writes.takeForwardResponse("n2", answer(102, { firstIndex: 5, term: 3 }), T, 4);
    it.applied(5, { kind: EntryKind.noop, term: 4 });
    it.writes.dispatch(T, it.core, "n2");
    it.writes.takeForwardResponse("n2", answer(103, { firstIndex: 6, term: 4 }), T, 5);
    it.applied(6, opens(6, 4));
    it.writes.dispatch(T, it.core, "n2");
    expect(it.entries).toEqual(["3:0.101>0", "3:0.101>0", "3:0.101>0", "1:6.1>1"]);
  });

  test("is not asked for again where it was refused and nobody waits any more", () => {
    const it = freshBench();
    const end = it.add();
    it.writes.dispatch(0, it.core, "n2");
    it.writes.takeForwardResponse("n2", answer(101, { status: "full" }), 1, 0);
    expect(end()).toContain("DISK_FULL");
    for (let ms = 1; ms < 20; ms++) it.writes.dispatch(ms, it.core, "n2");
    expect(it.entries).toEqual(["3:0.101>0"]);
    expect(it.writes.hasGathered).toBe(false);
  });

  test("says of each entry which writes are over, and never more", () => {
    const it = bench();
    it.add();
    const [, third] = [it.add(), it.add()];
    it.writes.dispatch(1, it.core, "me");
    it.applied(2, { sequence: 1, value: 1 });
    it.applied(4, { sequence: 3, value: 3 });
    expect(third()).toBe("done 3");
    it.add();
    it.writes.dispatch(2, it.core, "me");
    // The second one waits.
    expect(it.entries).toEqual(["1:1.1>1", "1:1.2>1", "1:1.3>1", "1:1.4>2"]);
  });

  test("is known by its mark, even where no answer ever came", () => {
    const it = freshBench();
    it.add();
    it.writes.dispatch(0, it.core, "n2");
    it.applied(8, { ...opens(8), sequence: 77 });
    it.applied(9, { ...opens(9), sequence: 101 });
    it.applied(10, { ...opens(10), sequence: 101 });
    it.writes.dispatch(1, it.core, "n2");
    expect(it.entries.slice(1)).toEqual(["1:9.1>1"]);
  });

  test("that has expired is followed by a new one, for a write with one attempt", () => {
    const it = bench();
    const end = it.add();
    it.writes.dispatch(1, it.core, "me");
    it.applied(2, { sequence: 1, verdict: "expired" });
    expect(end()).toBe("waits");
    it.writes.dispatch(2, it.core, "me");
    it.applied(3, opens(3));
    it.writes.dispatch(3, it.core, "me");
    expect(it.entries).toEqual(["1:1.1>1", "3:0.102>0", "1:3.1>1"]);
    it.applied(4, { session: 3, sequence: 1, value: "there" });
    expect(end()).toBe("done there");
  });

  test("a write that was attempted twice never moves to another session", () => {
    const it = bench();
    const [twice, sent] = [it.add(), it.add()];
    it.writes.dispatch(0, it.core, "n2");
    it.writes.repeatLost(T / 2);
    it.writes.dispatch(T / 2, it.core, "n2");
    const once = it.add();
    it.writes.dispatch(T / 2, it.core, "n2");
    it.applied(7, { sequence: 1, verdict: "expired" });
    it.applied(9, { sequence: 3, verdict: "expired" });
    expect(twice()).toBe("OUTCOME_UNKNOWN unknown");
    // Its answer is not here: only then is it known that there was this one attempt.
    expect(once()).toBe("waits");
    it.writes.takeForwardResponse("n2", answer(103, { firstIndex: 9, term: 3 }), T, 9);
    expect(once()).toBe("waits");
    expect(sent()).toBe("waits");
    // The third one had one attempt, as is known now; the second one waits to hear of both.
    it.applied(8, { sequence: 2, verdict: "expired" });
    expect(sent()).toBe("OUTCOME_UNKNOWN unknown");
    it.writes.dispatch(T, it.core, "me");
    it.applied(2, opens(2));
    it.writes.dispatch(T, it.core, "me");
    expect(it.entries.slice(-2)).toEqual(["3:0.102>0", "1:2.1>1"]);
  });

  test("is closed where the handle leaves and nobody waits in it", () => {
    const it = bench();
    it.writes.dispatch(1, it.core, "n2");
    expect(it.writes.leave(["n2", "n3"])).toBe(true);
    expect(it.entries).toEqual(["3:1.0>0"]);
    expect(it.sent.map(({ message }) => message.type)).toEqual(["forward", "leaving", "leaving"]);
  });
});

describe("on the leader", () => {
  test("what gathered is proposed in batches within the bound, and resolves when applied", () => {
    const { writes, core, proposed, add, applied } = bench();
    const ends = Array.from({ length: 30 }, () => add(60));
    const large = add(5_000);
    writes.dispatch(1, core, "me");
    expect(proposed).toEqual([10, 10, 10, 1]);
    for (let i = 1; i <= 31; i++) applied(i + 1, { sequence: i, value: i });
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
    expect(it.entries).toEqual(["1:1.1>1"]);
  });

  test("what is past its deadline before it was handed on was certainly not done", () => {
    const { writes, core, proposed, add } = bench();
    const late = add(10, 5);
    writes.dispatch(5, core, "me");
    expect(late()).toBe("TIMEOUT not-done");
    expect(proposed).toEqual([]);
  });

  test("a write that was ruled out is proposed again, and ends by the new position", () => {
    const it = bench();
    const { writes, core, add, applied } = it;
    const end = add();
    writes.dispatch(1, core, "me");
    writes.termApplied(4);
    applied(2, { term: 4, session: 9, sequence: 1, value: "of another member" });
    expect(writes.needsTurn).toBe(true);
    writes.dispatch(2, core, "me");
    expect(it.entries).toEqual(["1:1.1>1", "1:1.1>1"]);
    applied(3, { sequence: 1, value: "mine" });
    expect(end()).toBe("done mine");
  });
});

describe("while writes are under way", () => {
  test("later ones gather until they are as many, or those are applied", () => {
    const it = bench();
    for (let i = 0; i < 4; i++) it.add();
    it.writes.dispatch(2, it.core, "me");
    it.add();
    it.writes.dispatch(2, it.core, "me");
    expect(it.proposed).toEqual([4]);
    for (let index = 2; index <= 5; index++) it.applied(index, { sequence: index - 1 });
    expect(it.writes.needsTurn).toBe(true);
    it.writes.dispatch(2, it.core, "me");
    expect(it.proposed).toEqual([4, 1]);
    expect(it.writes.needsTurn).toBe(false);
  });

  test("and for two milliseconds at most", () => {
    const it = bench();
    for (let i = 0; i < 4; i++) it.add();
    it.writes.dispatch(2, it.core, "me");
    it.add();
    expect(it.writes.nextMs("me")).toBe(Infinity);
    it.writes.dispatch(3, it.core, "me");
    expect(it.writes.nextMs("me")).toBe(5);
    it.writes.dispatch(5, it.core, "me");
    expect(it.proposed).toEqual([4, 1]);
    expect(it.writes.nextMs("me")).toBe(Infinity);
  });

  test("a session that ends meanwhile keeps nobody awake", () => {
    const it = bench();
    for (let i = 0; i < 4; i++) it.add();
    it.writes.dispatch(2, it.core, "me");
    it.add();
    it.writes.dispatch(3, it.core, "me");
    it.applied(2, { sequence: 1, verdict: "expired" });
    it.writes.dispatch(5, it.core, "me");
    expect(it.entries.at(-1)).toMatch(/^3:/);
    expect(it.writes.nextMs("me")).toBe(Infinity);
    for (let index = 3; index <= 5; index++) {
      it.applied(index, { sequence: index - 1, verdict: "expired" });
    }
    it.writes.dispatch(6, it.core, "me");
    expect(it.writes.needsTurn).toBe(false);
  });

  test("nor does one that is refused its successor", () => {
    const it = bench();
    for (let i = 0; i < 4; i++) it.add();
    it.writes.dispatch(2, it.core, "me");
    const end = it.add();
    it.writes.dispatch(3, it.core, "me");
    for (let index = 2; index <= 5; index++) {
      it.applied(index, { sequence: index - 1, verdict: "expired" });
    }
    it.result = () => ({ ok: false, reason: "full", leader: undefined });
    for (const nowMs of [4, 5]) it.writes.dispatch(nowMs, it.core, "me");
    expect(end()).toBe("DISK_FULL not-done");
    expect([it.writes.hasGathered, it.writes.needsTurn]).toEqual([false, false]);
    expect(it.writes.nextMs("me")).toBe(Infinity);
  });
});

describe("elsewhere", () => {
  test("they are forwarded in one message and end when this member applies them", () => {
    const { writes, core, sent, add, applied } = bench();
    const ends = [add(10, 300), add(10, 900)];
    writes.dispatch(100, core, "n2");
    expect(sent).toMatchObject([
      { to: "n2", message: { type: "forward", request: 101, count: 2, deadlineMs: 800 } },
    ]);
    writes.takeForwardResponse("n3", answer(101, { firstIndex: 1, term: 3 }), 101, 0);
    applied(2, { session: 0, sequence: 1, value: "of nobody" });
    expect(ends[0]!()).toBe("waits");
    writes.takeForwardResponse("n2", answer(101, { firstIndex: 7, term: 3 }), 101, 5);
    applied(7, { sequence: 1, value: "a" });
    applied(8, { sequence: 2, value: "b" });
    expect(ends.map((end) => end())).toEqual(["done a", "done b"]);
  });

  test("a lost answer costs nothing: what is applied in their session ends them", () => {
    const { writes, core, add, applied } = bench();
    const [first, second] = [add(), add()];
    writes.dispatch(0, core, "n2");
    applied(7, { sequence: 1, value: "a" });
    expect(first()).toBe("done a");
    applied(8, { sequence: 2, verdict: "duplicate", value: "b" });
    expect(second()).toBe("done b");
    writes.takeForwardResponse("n2", answer(101, { firstIndex: 7, term: 3 }), 5, 8);
    expect(writes.hasGathered).toBe(false);
  });

  test("a result that was not kept ends the repetition with the truth", () => {
    const { writes, core, add, applied } = bench();
    const end = add();
    writes.dispatch(0, core, "n2");
    applied(7, { sequence: 1, verdict: "lost" });
    expect(end()).toBe("OUTCOME_UNKNOWN unknown");
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

  test("without an answer they are sent again, and what ends then is in doubt", () => {
    const it = bench();
    const end = it.add();
    it.writes.dispatch(0, it.core, "n2");
    it.writes.disconnected("n3", 5);
    it.writes.repeatLost(T / 2 - 1);
    expect(it.writes.hasGathered).toBe(false);
    it.writes.repeatLost(T / 2);
    it.writes.dispatch(T / 2, it.core, "n2");
    expect(it.entries).toEqual(["1:1.1>1", "1:1.1>1"]);
    // The next time it is waited for longer.
    it.writes.repeatLost(T + T / 2 - 1);
    expect(it.writes.hasGathered).toBe(false);
    // The first attempt may have been taken, whatever is said of the second one.
    it.writes.takeForwardResponse("n2", answer(102, { status: "not-leader" }), T, 0);
    it.writes.endLeaderless(3 * T - 1, () => 0);
    expect(end()).toBe("waits");
    it.writes.endLeaderless(3 * T, () => 0);
    expect(end()).toBe("OUTCOME_UNKNOWN unknown");
  });

  test("a lost connection or leader is waited for a moment only", () => {
    const it = bench();
    it.add();
    it.writes.dispatch(0, it.core, "n2");
    it.writes.disconnected("n2", 10);
    it.writes.repeatLost(10 + T / 16 - 1);
    expect(it.writes.hasGathered).toBe(false);
    it.writes.repeatLost(10 + T / 16);
    it.writes.dispatch(100, it.core, "n2");
    it.writes.leaderChanged("n2", 120);
    it.writes.repeatLost(120 + T / 16);
    expect(it.writes.hasGathered).toBe(false);
    it.writes.leaderChanged("n3", 200);
    it.writes.repeatLost(200 + T / 16);
    it.writes.dispatch(300, it.core, "n3");
    expect(it.sent.map(({ to }) => to)).toEqual(["n2", "n2", "n3"]);
    expect(new Set(it.entries)).toEqual(new Set(["1:1.1>1"]));
  });

  test("an answer for a place where something else stood repeats the write", () => {
    const it = bench();
    const [late, timely] = [it.add(), it.add()];
    it.writes.dispatch(0, it.core, "n2");
    it.writes.takeForwardResponse("n2", answer(101, { firstIndex: 7, term: 3 }), 5, 7);
    it.applied(8, { sequence: 2, value: "b" });
    expect(timely()).toBe("done b");
    it.writes.dispatch(9, it.core, "n2");
    it.applied(9, { sequence: 1, value: "a" });
    expect(late()).toBe("done a");
  });
});

test("after a snapshot the sessions in it say what became of the writes below it", () => {
  const it = bench();
  const ends = [it.add(), it.add(), it.add(), it.add()];
  it.writes.dispatch(1, it.core, "me");
  const sessions = new Sessions();
  sessions.open(SESSION, 0, T);
  for (const [sequence, value] of [
    [1, "kept"],
    [2, () => 1],
  ] as const) {
    sessions.judge(SESSION, sequence, 1, 0);
    sessions.keep(sequence, value);
  }
  it.writes.restored(4, 3, sessions);
  expect(ends.map((end) => end())).toEqual([
    "done kept",
    "OUTCOME_UNKNOWN unknown",
    "waits",
    "waits",
  ]);
  it.writes.dispatch(2, it.core, "me");
  // The third was below it and is not done; the fourth waits at index 5.
  expect(it.entries.slice(4)).toEqual(["1:1.3>3"]);
  it.applied(5, { sequence: 4, value: "four" });
  it.applied(6, { sequence: 3, value: "three" });
  expect(ends.slice(2).map((end) => end())).toEqual(["done three", "done four"]);
});

describe("asked by another member", () => {
  const forward = { type: "forward", request: 9, deadlineMs: 100, count: 1 } as const;
  const command = new Uint8Array(40).fill(1, 0, 1);

  test("appends and answers where, or says why not", () => {
    const it = bench();
    let request = 8;
    const ask = (part: object, arrivedMs = 0): unknown => {
      const message = { ...forward, request: ++request, entries: command, ...part };
      const arrival = { atMs: arrivedMs };
      it.writes.takeForward("n2", message, { nowMs: 50, core: it.core, arrival });
      return it.sent.at(-1)!.message;
    };
    expect(ask({})).toMatchObject({ request: 9, status: "appended", firstIndex: 2, term: 3 });
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

  test("takes a request once, however often and however late its copies come", () => {
    const it = bench();
    const take = (from: string, request: number): void => {
      const message = { ...forward, request, entries: command };
      it.writes.takeForward(from, message, { nowMs: 50, core: it.core, arrival: { atMs: 50 } });
    };
    for (const request of [9, 10, 9, 11, 10, 9]) take("n2", request);
    take("n3", 9);
    // A member that was restarted begins anywhere.
    take("n2", 3);
    expect(it.proposed).toHaveLength(5);
    expect(it.sent).toHaveLength(5);
    for (let request = 100; request < 1_200; request++) take("n2", request);
    expect(it.proposed).toHaveLength(1_105);
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
