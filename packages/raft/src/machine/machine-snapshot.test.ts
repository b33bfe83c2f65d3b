import { describe, expect, test } from "vitest";
import { fromUtf8, utf8 } from "../util/bytes.ts";
import type { MachineSnapshot } from "./machine-host.ts";
import { machineSnapshotOf, pieceOf } from "./machine-snapshot.ts";
import { readBytes, readJson } from "./read-json.ts";

function textOf(snapshot: MachineSnapshot): string {
  if (snapshot.kind !== "whole") throw new Error(`it is ${snapshot.kind}`);
  return fromUtf8(snapshot.bytes);
}

describe("what snapshot() returned", () => {
  test("a plain value is JSON text, an array too", () => {
    for (const value of [0, "text", null, true, { a: [1] }, [1, [2]], []]) {
      expect(textOf(machineSnapshotOf(value))).toBe(JSON.stringify(value));
    }
  });

  test("bytes are copied at once", () => {
    const bytes = utf8("abc");
    const snapshot = machineSnapshotOf(bytes);
    bytes.fill(0);
    expect(textOf(snapshot)).toBe("abc");
  });

  test("iterables are told apart, and an asynchronous one has begun when the call returns", async () => {
    let state = "now";
    async function* live(): AsyncGenerator<Uint8Array> {
      const then = state;
      yield utf8(then);
      yield utf8(state);
    }
    const snapshot = machineSnapshotOf(live());
    state = "later";
    if (snapshot.kind !== "live") throw new Error(snapshot.kind);
    expect(await snapshot.first).toEqual({ done: false, value: utf8("now") });
    expect(machineSnapshotOf([utf8("a")].values()).kind).toBe("held");
    expect(machineSnapshotOf(new Set([utf8("a")])).kind).toBe("held");
  });

  test("what is none of these is refused", () => {
    expect(() => machineSnapshotOf(undefined)).toThrow("returned a undefined");
    expect(() => machineSnapshotOf(() => 1)).toThrow("returned a function");
    expect(() => machineSnapshotOf(Promise.reject(new Error("late")))).toThrow("promise");
    expect(() => pieceOf("text")).toThrow("no Uint8Array");
    expect(pieceOf(utf8("a"))).toEqual(utf8("a"));
  });
});

test("pieces become one again", async () => {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    yield utf8('{"a":');
    yield utf8("[1,2]}");
  }
  expect(await readJson(pieces())).toEqual({ a: [1, 2] });
  expect(fromUtf8(await readBytes(pieces()))).toBe('{"a":[1,2]}');
});
