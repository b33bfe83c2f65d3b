import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CommandFormatError, decodeCommand, encodeCommand } from "./command-codec.ts";
import type { Condition, KvCommand } from "./command.ts";

const key = fc
  .uint8Array({ minLength: 1, maxLength: 40 })
  .map((bytes) => Buffer.from(bytes).toString("latin1"));
const condition: fc.Arbitrary<Condition> = fc.oneof(
  fc.constantFrom<Condition>({ type: "none" }, { type: "absent" }, { type: "present" }),
  fc.record({ type: fc.constant("revision" as const), revision: fc.maxSafeNat() }),
);
const command: fc.Arbitrary<KvCommand> = fc.oneof(
  fc.record({ type: fc.constant("put" as const), key, value: fc.uint8Array(), condition }),
  fc.record({ type: fc.constant("delete" as const), key, condition }),
);

describe("the command codec", () => {
  test("gives back every command", () => {
    fc.assert(
      fc.property(command, (original) => {
        const decoded = decodeCommand(Uint8Array.from(encodeCommand(original)));
        expect(decoded).toEqual(original);
      }),
      { seed: 1 },
    );
  });

  test("writes the bytes that its table says", () => {
    const condition: Condition = { type: "revision", revision: 2 ** 40 + 7 };
    const value = Uint8Array.of(1, 2, 3);
    expect(
      Buffer.from(encodeCommand({ type: "put", key: "k\xff", value, condition })).toString("hex"),
    ).toBe("010101000200000007000000000100006bff010203");
    const absent: Condition = { type: "none" };
    expect(
      Buffer.from(encodeCommand({ type: "delete", key: "k", condition: absent })).toString("hex"),
    ).toBe("010200000100000000000000000000006b");
  });

  test("refuses or reads foreign bytes, and what it reads it would write the same", () => {
    const mutated = fc.tuple(command, fc.nat(), fc.nat(255)).map(([original, at, byte]) => {
      const bytes = Uint8Array.from(encodeCommand(original));
      bytes[at % bytes.length] = byte;
      return bytes;
    });
    const cut = fc.tuple(command, fc.nat()).map(([original, length]) => {
      const bytes = encodeCommand(original);
      return bytes.slice(0, length % bytes.length);
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), mutated, cut), (bytes) => {
        let decoded: KvCommand;
        try {
          decoded = decodeCommand(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(CommandFormatError);
          return;
        }
        expect(Uint8Array.from(encodeCommand(decoded))).toEqual(Uint8Array.from(bytes));
      }),
      { seed: 1, numRuns: 2_000 },
    );
  });

  test("names the version that it does not know", () => {
    const bytes = Uint8Array.from(
      encodeCommand({ type: "delete", key: "k", condition: { type: "none" } }),
    );
    bytes[0] = 2;
    expect(() => decodeCommand(bytes)).toThrow("version 2: this software knows version 1");
  });

  test("refuses to write a key that the format cannot hold", () => {
    const none: Condition = { type: "none" };
    for (const bad of ["", "k".repeat(65_536)]) {
      expect(() => encodeCommand({ type: "delete", key: bad, condition: none })).toThrow(
        CommandFormatError,
      );
    }
  });
});
