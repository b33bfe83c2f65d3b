import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CommandFormatError, decodeCommand, encodeCommand } from "./command-codec.ts";
import type { Condition, KvCommand } from "./command.ts";
import { nameRequest } from "./request-name.ts";

const key = fc
  .uint8Array({ minLength: 1, maxLength: 40 })
  .map((bytes) => Buffer.from(bytes).toString("latin1"));
const condition: fc.Arbitrary<Condition> = fc.oneof(
  fc.constantFrom<Condition>({ type: "none" }, { type: "absent" }, { type: "present" }),
  fc.record({ type: fc.constant("revision" as const), revision: fc.maxSafeNat() }),
);
const bare: fc.Arbitrary<KvCommand> = fc.oneof(
  fc.record({ type: fc.constant("put" as const), key, value: fc.uint8Array(), condition }),
  fc.record({ type: fc.constant("delete" as const), key, condition }),
);
const name = fc.stringMatching(/^[!-~]{1,255}$/);
const command: fc.Arbitrary<KvCommand> = fc.oneof(
  bare,
  fc.tuple(bare, name).map(([c, n]) => nameRequest(c, n)),
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

  test("writes the name of a request behind its header, with a fingerprint of the rest", () => {
    const condition: Condition = { type: "none" };
    const put: KvCommand = { type: "put", key: "k", value: Uint8Array.of(1), condition };
    const named = nameRequest(put, "n-1");
    expect(Buffer.from(encodeCommand(named)).toString("hex")).toBe(
      "010100030100000000000000000000005bc06e8f6e9544d16e2d316b01",
    );
    // The name is no part of what it stands for; everything else is.
    const print = (c: KvCommand): string => nameRequest(c, "other").request!.fingerprint;
    expect(print(named)).toBe(named.request!.fingerprint);
    const others: KvCommand[] = [
      { ...put, key: "l" },
      { ...put, value: Uint8Array.of(2) },
      { ...put, condition: { type: "present" } },
      { type: "delete", key: "k", condition },
    ];
    expect(new Set([put, ...others].map(print)).size).toBe(5);
  });

  test("refuses to write or read a name that is none", () => {
    const condition: Condition = { type: "none" };
    const remove: KvCommand = { type: "delete", key: "k", condition };
    for (const bad of ["", "a b", "\x7f", "é", "n".repeat(256)]) {
      const request = { key: bad, fingerprint: "12345678" };
      expect(() => encodeCommand({ ...remove, request })).toThrow(CommandFormatError);
    }
    const bytes = Uint8Array.from(encodeCommand(nameRequest(remove, "name")));
    bytes[24] = 0x20;
    expect(() => decodeCommand(bytes)).toThrow("no visible ASCII");
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
