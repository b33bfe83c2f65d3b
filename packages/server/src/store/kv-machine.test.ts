import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Applied } from "quorate";
import { NO_CONDITION } from "./command.ts";
import type { Condition, Item, KvCommand, Page } from "./command.ts";
import { KvMachine } from "./kv-machine.ts";
import { SnapshotFormatError } from "./snapshot-format.ts";

const at = (index: number): Applied => ({ index, term: 1, timeMs: 0, version: 1 });
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));
const HOSTILE = [
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  ".",
  "..",
  "a/b",
  "\0",
  "\xff",
];

const key = fc.oneof(
  fc.constantFrom("a", "ab", "abc", "b", ...HOSTILE),
  fc.uint8Array({ minLength: 1, maxLength: 3 }).map((b) => Buffer.from(b).toString("latin1")),
);
const condition: fc.Arbitrary<Condition> = fc.oneof(
  { weight: 3, arbitrary: fc.constant(NO_CONDITION) },
  { weight: 1, arbitrary: fc.constantFrom<Condition>({ type: "absent" }, { type: "present" }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant("revision" as const), revision: fc.nat(60) }),
  },
);
const command: fc.Arbitrary<KvCommand> = fc.oneof(
  fc.record({ type: fc.constant("put" as const), key, value: fc.uint8Array(), condition }),
  fc.record({ type: fc.constant("delete" as const), key, condition }),
);

/** The naive model: a Map and the obvious rules. */
class Model {
  readonly items = new Map<string, Item>();

  apply(c: KvCommand, revision: number): unknown {
    const old = this.items.get(c.key);
    const wanted = {
      none: true,
      absent: old === undefined,
      present: old !== undefined,
      revision: c.condition.type === "revision" && old?.revision === c.condition.revision,
    };
    if (!wanted[c.condition.type]) return { type: "conflict", revision: old?.revision ?? 0 };
    if (c.type === "delete") return { type: "delete", revision, deleted: this.items.delete(c.key) };
    this.items.set(c.key, { value: c.value, revision });
    return { type: "put", revision, created: old === undefined };
  }

  sorted(): [string, Item][] {
    return [...this.items].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

function run(commands: readonly KvCommand[]): { machine: KvMachine; model: Model } {
  const machine = new KvMachine();
  const model = new Model();
  for (const [i, c] of commands.entries()) {
    expect(machine.apply(c, at(i + 1))).toEqual(model.apply(c, i + 1));
  }
  return { machine, model };
}

function listAll(machine: KvMachine, prefix: string, limit: number): string[] {
  const keys: string[] = [];
  for (let after: string | undefined; ;) {
    const query = {
      type: "list",
      prefix,
      after,
      limit,
      bytesMax: 1_000,
      withValues: true,
    } as const;
    const page = machine.query(query) as Page;
    keys.push(...page.items.map((item) => item.key));
    if (!page.more) return keys;
    expect(page.items.length).toBeGreaterThan(0);
    after = keys.at(-1);
  }
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

async function* inPieces(whole: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < whole.length; i += size) yield whole.subarray(i, i + size);
}

describe("KvMachine", () => {
  test("does what a sorted map with conditions does", () => {
    fc.assert(
      fc.property(
        fc.array(command, { maxLength: 60 }),
        key,
        fc.integer({ min: 1, max: 5 }),
        (commands, prefix, limit) => {
          const { machine, model } = run(commands);
          const all = model.sorted();
          for (const [k, item] of all) expect(machine.query({ type: "get", key: k })).toEqual(item);
          expect(listAll(machine, "", limit)).toEqual(all.map(([k]) => k));
          const some = all.map(([k]) => k).filter((k) => k.startsWith(prefix));
          expect(listAll(machine, prefix, limit)).toEqual(some);
          const size = all.reduce((sum, [k, item]) => sum + k.length + item.value.length, 0);
          expect(machine.size).toEqual({ keys: all.length, bytes: size });
        },
      ),
      { seed: 1, numRuns: 300 },
    );
  });

  test("keeps a copy of a value, in memory of its own", () => {
    const machine = new KvMachine();
    const network = new Uint8Array(65_536).fill(7);
    const value = Buffer.from(network.buffer, 100, 3);
    machine.apply({ type: "put", key: "k", value, condition: NO_CONDITION }, at(1));
    network.fill(9);
    const item = machine.query({ type: "get", key: "k" }) as Item;
    expect(item.value).toEqual(Uint8Array.of(7, 7, 7));
    expect(item.value.buffer.byteLength).toBe(3);
  });

  test("a page ends before its bytes run over, and still holds one item that is larger", () => {
    const machine = new KvMachine();
    const put = (k: string, size: number, index: number): unknown =>
      machine.apply(
        { type: "put", key: k, value: new Uint8Array(size), condition: NO_CONDITION },
        at(index),
      );
    put("a", 50, 1);
    put("b", 5_000, 2);
    put("c", 50, 3);
    const page = (after: string | undefined, withValues = true): [string[], boolean] => {
      const query = { type: "list", prefix: "", after, limit: 10, bytesMax: 100 } as const;
      const { items, more } = machine.query({ ...query, withValues }) as Page;
      return [items.map((item) => item.key), more];
    };
    expect(page(undefined)).toEqual([["a"], true]);
    expect(page("a")).toEqual([["b"], true]);
    expect(page("b")).toEqual([["c"], false]);
    expect(page("zzz")).toEqual([[], false]);
    expect(page(undefined, false)).toEqual([["a", "b", "c"], false]);
  });

  test("restores what it was at the moment of the snapshot, whatever is applied meanwhile", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(command, { maxLength: 60 }),
        fc.integer({ min: 1, max: 70 }),
        async (commands, pieces) => {
          const { machine, model } = run(commands);
          const snapshot = machine.snapshot();
          for (const k of ["a", "ab", "b"]) {
            machine.apply(
              { type: "put", key: k, value: bytes("later"), condition: NO_CONDITION },
              at(1_000),
            );
          }
          const whole = Buffer.concat(await collect(snapshot));
          const other = new KvMachine();
          await other.restore(inPieces(whole, pieces));
          expect(listAll(other, "", 9)).toEqual(model.sorted().map(([k]) => k));
          for (const [k, item] of model.items) {
            expect(other.query({ type: "get", key: k })).toEqual(item);
          }
          expect(Buffer.concat(await collect(other.snapshot()))).toEqual(whole);
        },
      ),
      { seed: 1, numRuns: 60 },
    );
  });

  test("a snapshot of many items comes in chunks and keeps their number", async () => {
    const machine = new KvMachine();
    for (let i = 0; i < 3_000; i++) {
      const value = new Uint8Array(100).fill(i);
      machine.apply({ type: "put", key: `key-${i}`, value, condition: NO_CONDITION }, at(i + 1));
    }
    const chunks = await collect(machine.snapshot());
    expect(chunks.length).toBeGreaterThan(3);
    expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThan(70_000);
    const other = new KvMachine();
    await other.restore(inPieces(Buffer.concat(chunks), 100_000));
    expect(other.size).toEqual(machine.size);
  });

  test("refuses a snapshot that is cut or altered in form, and stays as it was", async () => {
    const { machine } = run([
      { type: "put", key: "a", value: bytes("1"), condition: NO_CONDITION },
      { type: "put", key: "b", value: bytes("2"), condition: NO_CONDITION },
    ]);
    const whole = Buffer.concat(await collect(machine.snapshot()));
    const other = new KvMachine();
    other.apply({ type: "put", key: "old", value: bytes("x"), condition: NO_CONDITION }, at(1));
    for (let length = 0; length < whole.length; length++) {
      await expect(other.restore(inPieces(whole.subarray(0, length), 7))).rejects.toThrow(
        SnapshotFormatError,
      );
    }
    const swapped = Buffer.from(whole);
    swapped.write("b", whole.indexOf("a", 16));
    await expect(other.restore(inPieces(swapped, 7))).rejects.toThrow("keys do not ascend");
    await expect(
      other.restore(inPieces(Buffer.concat([whole, bytes("more")]), 7)),
    ).rejects.toThrow();
    expect(listAll(other, "", 9)).toEqual(["old"]);
  });
});
