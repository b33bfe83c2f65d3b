import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesCodec, bytesViewCodec } from "./bytes-codec.ts";
import { InProcessMachine } from "./in-process-machine.ts";
import { jsonCodec } from "./json-codec.ts";
import type { StateMachine } from "./state-machine.ts";

describe("the JSON codec", () => {
  test("gives back whatever JSON can hold", () => {
    const codec = jsonCodec<unknown>();
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), (value) => {
        const text = JSON.stringify(value);
        expect(codec.decode(codec.encode(value))).toEqual(JSON.parse(text));
      }),
      { numRuns: 50 },
    );
  });

  test("keeps keys that mean something to JavaScript", () => {
    const codec = jsonCodec<unknown>();
    const value = JSON.parse('{"__proto__":1,"constructor":2,"toString":3}') as unknown;
    expect(JSON.stringify(codec.decode(codec.encode(value)))).toBe(JSON.stringify(value));
  });

  test("refuses what JSON cannot hold, and bytes that are no JSON", () => {
    const codec = jsonCodec<unknown>();
    expect(() => codec.encode(undefined)).toThrow("JSON cannot hold a undefined");
    expect(() => codec.encode(() => 1)).toThrow(TypeError);
    expect(() => codec.encode(1n)).toThrow(TypeError);
    expect(() => codec.decode(new Uint8Array([0xff, 0xfe]))).toThrow("not valid UTF-8");
    expect(() => codec.decode(new Uint8Array([0x7b]))).toThrow(SyntaxError);
  });
});

describe("the bytes codec", () => {
  test("copies in both directions, whatever the size", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 5_000 }), { maxLength: 12 }), (values) => {
        const originals = values.map((value) => [...value]);
        const copies = values.map((value) => bytesCodec.decode(bytesCodec.encode(value)));
        for (const value of values) value.fill(0xee);
        // No copy shares a byte with another one, or with its original.
        copies.forEach((copy, i) => {
          expect([...copy]).toEqual(originals[i]);
          copy.fill(i);
        });
        copies.forEach((copy, i) => expect(copy.every((byte) => byte === i)).toBe(true));
      }),
      { numRuns: 50 },
    );
  });

  test("without copies hands on the very bytes", () => {
    const value = Uint8Array.of(1, 2, 3);
    expect(bytesViewCodec.encode(value)).toBe(value);
    expect(bytesViewCodec.decode(value)).toBe(value);
  });

  test.each([bytesCodec, bytesViewCodec])("refuses what is not bytes", (codec) => {
    expect(() => codec.encode("text" as never)).toThrow("must be a Uint8Array");
  });
});

describe("the machine in this process", () => {
  const at = { index: 7, term: 2, timeMs: 5, version: 1 };
  const machineOf = (
    apply: StateMachine<number, string>["apply"],
  ): StateMachine<number, string> => ({
    apply,
    query: (query) => `asked ${query}`,
    snapshot: () => 0,
    restore: async () => {},
  });

  test("decodes, calls and hands back", () => {
    const calls: unknown[] = [];
    const machine = machineOf((command, applied) => {
      calls.push([command, applied]);
      return command + 1;
    });
    const host = new InProcessMachine(machine, jsonCodec<number>());
    expect(host.apply(new TextEncoder().encode("41"), at)).toBe(42);
    expect(calls).toEqual([[41, at]]);
    expect(host.query("how")).toBe("asked how");
  });

  test("treats an apply that returns a promise as one that threw", () => {
    const host = new InProcessMachine(
      machineOf(() => Promise.reject(new Error("late"))),
      jsonCodec<number>(),
    );
    expect(() => host.apply(new TextEncoder().encode("1"), at)).toThrow("must be synchronous");
  });
});
