/**
 * Commands keep the number of their operation across bytes, and a host reports what it applies.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { jsonCodec } from "../../machine/json-codec.ts";
import type { StateMachine } from "../../machine/state-machine.ts";
import { crc32 } from "../../util/checksum.ts";
import type { AppliedCommand } from "../observer.ts";
import { resultHash, simCodec, SimMachineHost } from "./sim-codec.ts";

const at = { index: 7, term: 2, timeMs: 5, version: 1 };

function hostOf(
  apply: (command: string) => unknown,
): [SimMachineHost<string, string>, AppliedCommand[]] {
  const machine: StateMachine<string, string> = {
    apply,
    query: (query) => `asked ${query}`,
    snapshot: () => 0,
    restore: async () => {},
  };
  const reports: AppliedCommand[] = [];
  const options = { machine, codec: jsonCodec<string>(), checksum: crc32 };
  return [new SimMachineHost({ ...options, applied: (c) => void reports.push(c) }), reports];
}

describe("the codec of numbered commands", () => {
  const codec = simCodec(jsonCodec<unknown>());

  test("gives back number and command", () => {
    const operation = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
    fc.assert(
      fc.property(operation, fc.string(), (operation, command) => {
        const numbered = { operation, command };
        expect(codec.decode(codec.encode(numbered))).toEqual(numbered);
      }),
      { numRuns: 100 },
    );
  });

  test("refuses numbers that are none, and bytes without a number", () => {
    expect(() => codec.encode({ operation: -1, command: 0 })).toThrow("not a u64");
    expect(() => codec.encode({ operation: 0.5, command: 0 })).toThrow("not a u64");
    expect(() => codec.decode(new Uint8Array(7))).toThrow("too short");
  });
});

describe("the host of a simulated machine", () => {
  const codec = simCodec(jsonCodec<string>());

  test("reports every command with its number and hands the result on", () => {
    const [host, reports] = hostOf((command) => command.toUpperCase());
    const payload = codec.encode({ operation: 41, command: "x" });
    expect(host.apply(payload, at)).toBe("X");
    expect(host.query("how")).toBe("asked how");
    expect(reports).toEqual([
      {
        index: 7,
        term: 2,
        timeMs: 5,
        operation: 41,
        commandHash: crc32(payload),
        resultHash: crc32(new TextEncoder().encode('"X"')),
      },
    ]);
  });

  test("reports nothing where the machine throws or returns a promise", () => {
    for (const apply of [() => Promise.resolve(1), () => JSON.parse("{")]) {
      const [host, reports] = hostOf(apply);
      expect(() => host.apply(codec.encode({ operation: 1, command: "x" }), at)).toThrow(Error);
      expect(reports).toEqual([]);
    }
  });

  test("has a checksum for every result, and different ones for different results", () => {
    const cycle: unknown[] = [];
    cycle.push(cycle, 1);
    const bare = Object.create(null) as Record<string, unknown>;
    bare["big"] = 1n;
    const results = [undefined, null, 0, 1, "1", 5n, { a: 1 }, [1], "x".repeat(5_000), cycle, bare];
    const hashes = results.map((result) => resultHash(result, crc32));
    expect(new Set(hashes).size).toBe(results.length);
    expect(results.map((result) => resultHash(result, crc32))).toEqual(hashes);
  });
});
