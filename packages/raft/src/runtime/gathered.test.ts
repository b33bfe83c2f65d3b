import { expect, test } from "vitest";
import { Calls, WriteCall } from "./calls.ts";
import { Gathered } from "./gathered.ts";
import { OwnSession } from "./own-session.ts";

const session = new OwnSession(1);

function callOf(calls: Calls, deadlineMs: number, ends: string[]): WriteCall {
  const start = {
    startedMs: 0,
    deadlineMs,
    signal: undefined,
    resolve: () => ends.push("resolved"),
    reject: () => ends.push("rejected"),
  };
  return new WriteCall(calls, start, new Uint8Array(10));
}

// Found by the simulator: behind a leader that stayed overloaded the queue grew for ever.
test("calls that have ended are forgotten, even while nothing is ever taken", () => {
  const gathered = new Gathered(10_000);
  const calls = new Calls();
  const ends: string[] = [];
  for (let nowMs = 0; nowMs < 5_000; nowMs++) {
    gathered.add(callOf(calls, nowMs + 20, ends));
    const batch = gathered.nextBatch(nowMs, session);
    expect(batch?.calls.length).toBeLessThanOrEqual(20);
    expect(gathered.length).toBeLessThan(100);
  }
  expect(ends).toHaveLength(4_980);
});

test("whether anybody waits is asked of the living: the late end, the ended are forgotten", () => {
  const gathered = new Gathered(10_000);
  const calls = new Calls();
  const ends: string[] = [];
  for (const deadlineMs of [10, 20, 30]) gathered.add(callOf(calls, deadlineMs, ends));
  expect(gathered.hasPending(5)).toBe(true);
  expect(gathered.hasPending(20)).toBe(true);
  expect(ends).toEqual(["rejected", "rejected"]);
  expect(gathered.length).toBe(1);
  expect(gathered.hasPending(30)).toBe(false);
  expect(gathered.length).toBe(0);
});

test("an ended call is asked for no second error", () => {
  const gathered = new Gathered(10_000);
  const calls = new Calls();
  const [dead, live] = [callOf(calls, 5, []), callOf(calls, 500, [])];
  let errors = 0;
  const error = dead.timeoutError();
  dead.timeoutError = () => {
    errors++;
    return error;
  };
  for (const call of [dead, live]) gathered.add(call);
  for (let nowMs = 10; nowMs < 20; nowMs++) gathered.nextBatch(nowMs, session);
  expect(errors).toBe(1);
});

test("what is left keeps its order, and is taken behind what was forgotten", () => {
  const gathered = new Gathered(10_000);
  const calls = new Calls();
  const all = [1, 100, 1, 1, 100, 1].map((deadlineMs) => callOf(calls, deadlineMs, []));
  for (const call of all) gathered.add(call);
  const batch = gathered.nextBatch(50, session)!;
  expect(batch.calls).toEqual([all[1], all[4]]);
  expect(gathered.length).toBe(2);
  const last = callOf(calls, 100, []);
  gathered.add(last);
  gathered.taken(batch);
  expect([...gathered.pending()]).toEqual([last]);
});

test("beyond the window of the session writes wait, until its oldest have ended", () => {
  const gathered = new Gathered(10_000);
  const calls = new Calls();
  const narrow = new OwnSession(7, 3);
  const all = Array.from({ length: 5 }, () => callOf(calls, 100, []));
  for (const call of all) gathered.add(call);
  const first = gathered.nextBatch(1, narrow)!;
  expect(first.calls).toEqual(all.slice(0, 3));
  gathered.taken(first);
  all[1]!.resolve(0);
  expect(gathered.nextBatch(2, narrow)).toBeUndefined();
  expect(gathered.length).toBe(2);
  all[0]!.resolve(0);
  expect(gathered.nextBatch(3, narrow)!.calls.map(({ sequence }) => sequence)).toEqual([4, 5]);
  expect(narrow.lowest).toBe(3);
});
