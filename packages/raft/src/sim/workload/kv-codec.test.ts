/**
 * Commands of the key-value machine cross bytes unharmed, and the machine does what it says.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BytesError } from "../../util/bytes.ts";
import { kvCodec } from "./kv-codec.ts";
import type { KvCommand } from "./kv-machine.ts";
import { KvMachine, PIECES_MAX } from "./kv-machine.ts";
import { HOSTILE_KEYS } from "./kv-workload.ts";

// Units, not characters: lone surrogates are texts of JavaScript too.
const unit = fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code));
const text = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.array(unit, { maxLength: 40 }).map((units) => units.join("")),
  fc.constantFrom(...HOSTILE_KEYS),
);

const command: fc.Arbitrary<KvCommand> = fc.oneof(
  fc.record({ type: fc.constant("put" as const), key: text, value: text }),
  fc.record({ type: fc.constant("append" as const), key: text, value: text }),
  fc.record({
    type: fc.constant("cas" as const),
    key: text,
    expected: fc.option(text),
    value: text,
  }),
  fc.record({ type: fc.constant("delete" as const), key: text }),
);

describe("the codec of key-value commands", () => {
  test("gives back every command, whatever its texts hold", () => {
    fc.assert(
      fc.property(command, (command) => {
        expect(kvCodec.decode(kvCodec.encode(command))).toEqual(command);
      }),
      { numRuns: 300 },
    );
  });

  test("keeps texts longer than one call can take", () => {
    for (const value of ["x".repeat(70_001), "€".repeat(9_000)]) {
      const command: KvCommand = { type: "put", key: "k", value };
      expect(kvCodec.decode(kvCodec.encode(command))).toEqual(command);
    }
  });

  test("refuses every beginning of a command, and more than one", () => {
    const bytes = kvCodec.encode({ type: "cas", key: "k", expected: null, value: "€" });
    for (let length = 0; length < bytes.length; length++) {
      expect(() => kvCodec.decode(bytes.slice(0, length))).toThrow(BytesError);
    }
    expect(() => kvCodec.decode(Uint8Array.of(...bytes, 0))).toThrow("1 bytes too many");
    expect(() => kvCodec.decode(Uint8Array.of(9, 0, 0, 0, 0))).toThrow("no command has the type 9");
  });
});

describe("the key-value machine", () => {
  const machineWith = (...commands: KvCommand[]): KvMachine => {
    const machine = new KvMachine();
    commands.forEach((command, i) => machine.apply(command, { index: i + 1 }));
    return machine;
  };
  const get = (machine: KvMachine, key: string): unknown => machine.query({ type: "get", key });

  test("keeps hostile keys apart", () => {
    const machine = machineWith(
      ...HOSTILE_KEYS.map((key, i): KvCommand => ({ type: "put", key, value: `|${i}` })),
    );
    HOSTILE_KEYS.forEach((key, i) => {
      expect(get(machine, key)).toEqual({ value: `|${i}`, revision: i + 1 });
    });
    expect(get(machine, "valueOf")).toEqual({ value: null, revision: 0 });
  });

  test("answers with what it found, and a deleted key keeps its revision", () => {
    const machine = new KvMachine();
    const answers = [
      machine.apply({ type: "put", key: "k", value: "|a" }, { index: 3 }),
      machine.apply({ type: "append", key: "k", value: "|b" }, { index: 5 }),
      machine.apply({ type: "cas", key: "k", expected: "|a", value: "|c" }, { index: 6 }),
      machine.apply({ type: "cas", key: "k", expected: "|a|b", value: "|c" }, { index: 7 }),
      machine.apply({ type: "delete", key: "k" }, { index: 9 }),
      machine.apply({ type: "delete", key: "k" }, { index: 10 }),
      machine.apply({ type: "cas", key: "k", expected: null, value: "|d" }, { index: 11 }),
    ];
    expect(answers).toEqual([
      { ok: true, index: 3, value: null, revision: 0 },
      { ok: true, index: 5, value: "|a", revision: 3 },
      { ok: false, index: 6, value: "|a|b", revision: 5 },
      { ok: true, index: 7, value: "|a|b", revision: 5 },
      { ok: true, index: 9, value: "|c", revision: 7 },
      { ok: false, index: 10, value: null, revision: 9 },
      { ok: true, index: 11, value: null, revision: 9 },
    ]);
  });

  test("bounds what is appended", () => {
    const pieces = Array.from({ length: PIECES_MAX + 1 }, (_, i) => `|${i}`);
    const machine = machineWith(
      ...pieces.map((value): KvCommand => ({ type: "append", key: "k", value })),
    );
    expect(get(machine, "k")).toEqual({ value: `|${PIECES_MAX}`, revision: PIECES_MAX + 1 });
  });

  test("restores what it gave as a snapshot, lone surrogates included", async () => {
    const machine = machineWith(
      { type: "put", key: "\ud800", value: "|\udc00" },
      { type: "put", key: "__proto__", value: "|x" },
      { type: "delete", key: "__proto__" },
    );
    const bytes = new TextEncoder().encode(JSON.stringify(machine.snapshot()));
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += 7) yield bytes.slice(at, at + 7);
    };
    const restored = machineWith({ type: "put", key: "gone", value: "|y" });
    await restored.restore(chunks());
    expect(restored.snapshot()).toEqual(machine.snapshot());
    expect(get(restored, "gone")).toEqual({ value: null, revision: 0 });
  });
});
