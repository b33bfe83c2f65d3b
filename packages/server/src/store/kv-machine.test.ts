import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Applied } from "quorate";
import { checkSnapshots } from "quorate/testing";
import { NO_CONDITION } from "./command.ts";
import type { Condition, Item, KvCommand, Page } from "./command.ts";
import { kvCodec } from "./command-codec.ts";
import { KvMachine } from "./kv-machine.ts";
import { OUTCOME_LIMITS } from "./outcomes.ts";
import { nameRequest } from "./request-name.ts";
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
const bare: fc.Arbitrary<KvCommand> = fc.oneof(
  fc.record({ type: fc.constant("put" as const), key, value: fc.uint8Array(), condition }),
  fc.record({ type: fc.constant("delete" as const), key, condition }),
);
/** Few names, so that requests are repeated and names reused. */
const name = fc.constantFrom("1", "2", "__proto__", "toString");
const command: fc.Arbitrary<KvCommand> = fc.oneof(
  { weight: 2, arbitrary: bare },
  { weight: 1, arbitrary: fc.tuple(bare, name).map(([c, n]) => nameRequest(c, n)) },
);

/** The naive model: Maps and the obvious rules. */
class Model {
  readonly items = new Map<string, Item>();
  readonly outcomes = new Map<string, { fingerprint: string; outcome: object }>();

  apply(c: KvCommand, revision: number): unknown {
    const { request } = c;
    if (request === undefined) return this.#change(c, revision);
    const kept = this.outcomes.get(request.key);
    if (kept?.fingerprint === request.fingerprint) return { ...kept.outcome, repeated: true };
    if (kept !== undefined) return { type: "name-refused", reason: "reused" };
    const outcome = this.#change(c, revision);
    this.outcomes.set(request.key, { fingerprint: request.fingerprint, outcome });
    return outcome;
  }

  #change(c: KvCommand, revision: number): object {
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
          expect(machine.size).toMatchObject({ keys: all.length, bytes: size });
        },
      ),
      { seed: 1, numRuns: 300 },
    );
  });

  test("a named request is forgotten when it is too old, by cluster time", () => {
    const machine = new KvMachine();
    const put = nameRequest(
      { type: "put", key: "k", value: bytes("1"), condition: NO_CONDITION },
      "name",
    );
    const { keptMsMax } = OUTCOME_LIMITS;
    const apply = (index: number, timeMs: number): unknown =>
      machine.apply(put, { ...at(index), timeMs });
    const first = { type: "put", revision: 1 };
    expect(apply(1, 5)).toEqual({ ...first, created: true });
    expect(apply(2, keptMsMax + 4)).toEqual({ ...first, created: true, repeated: true });
    expect(apply(3, keptMsMax + 5)).toEqual({ type: "put", revision: 3, created: false });
    expect(machine.size.requests).toBe(1);
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
            const later = { type: "put", key: k, value: bytes("later") } as const;
            const put = { ...later, condition: NO_CONDITION };
            machine.apply(put, at(1_000));
            machine.apply(nameRequest(put, `later-${k}`), at(1_001));
          }
          const whole = Buffer.concat(await collect(snapshot));
          const other = new KvMachine();
          await other.restore(inPieces(whole, pieces));
          expect(listAll(other, "", 9)).toEqual(model.sorted().map(([k]) => k));
          for (const [k, item] of model.items) {
            expect(other.query({ type: "get", key: k })).toEqual(item);
          }
          expect(Buffer.concat(await collect(other.snapshot()))).toEqual(whole);
          for (const c of commands.filter(({ request }) => request !== undefined)) {
            expect(other.apply(c, at(2_000))).toEqual(model.apply(c, 2_000));
          }
        },
      ),
      { seed: 1, numRuns: 60 },
    );
  });

  test("keeps what the contract of snapshots asks for, over many chunks", async () => {
    const commands = Array.from({ length: 600 }, (_, i): KvCommand => {
      const key = `key-${(i * 37) % 190}`;
      if (i % 4 === 3) return { type: "delete", key, condition: NO_CONDITION };
      return { type: "put", key, value: new Uint8Array(1_500).fill(i), condition: NO_CONDITION };
    });
    await checkSnapshots({
      machine: () => new KvMachine(),
      commands: commands.map((command, i) =>
        i % 3 === 0 ? nameRequest(command, `name-${i}`) : command,
      ),
      codec: kvCodec,
      queries: [{ type: "get", key: "key-5" }],
      pieceBytes: 1_000,
    });
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

  test("writes the bytes that the table of the format says", async () => {
    const machine = new KvMachine();
    const put: KvCommand = { type: "put", key: "k", value: bytes("v"), condition: NO_CONDITION };
    machine.apply(nameRequest(put, "one"), { ...at(7), timeMs: 300 });
    machine.apply(nameRequest({ ...put, condition: { type: "absent" } }, "two"), {
      ...at(8),
      timeMs: 301,
    });
    const whole = Buffer.concat(await collect(machine.snapshot())).toString("hex");
    expect(whole).toBe(
      `${Buffer.from("QKVSNAP").toString("hex")}02` +
        "01000000000000000200000000000000" +
        "010000000100000007000000000000006b76" +
        "2c01000000000000070000000000000001010300" +
        "896a96c97da413866f6e65" +
        "2d01000000000000070000000000000003000300" +
        "96c2dc4a3df915b474776f",
    );
  });

  test("refuses outcomes that cannot be", async () => {
    const { machine } = run([
      nameRequest({ type: "delete", key: "a", condition: NO_CONDITION }, "one"),
      nameRequest({ type: "delete", key: "a", condition: NO_CONDITION }, "two"),
    ]);
    const whole = Buffer.concat(await collect(machine.snapshot()));
    const wrong: [(copy: Buffer) => void, string][] = [
      [(copy) => copy.fill(0, 24 + 16, 24 + 17), "of no known kind"],
      [(copy) => copy.fill(2, 24 + 17, 24 + 18), "of no known kind"],
      [(copy) => copy.fill(1, 24 + 19, 24 + 20), "of no known kind"],
      [(copy) => copy.fill(9, 24 + 1, 24 + 2), "times of outcomes descend"],
      [(copy) => copy.fill(0x20, 24 + 28, 24 + 29), "without a name of its own"],
      [(copy) => copy.write("one", copy.indexOf("two")), "without a name of its own"],
      [(copy) => copy.writeUInt8(1, 16), "behind the last outcome"],
      [(copy) => copy.writeUInt8(3, 16), "3 outcomes announced"],
    ];
    for (const [change, message] of wrong) {
      const copy = Buffer.from(whole);
      change(copy);
      const other = new KvMachine();
      await expect(other.restore(inPieces(copy, 9))).rejects.toThrow(message);
      expect(other.size.requests).toBe(0);
    }
  });

  test("reads a value of many chunks in time that grows with its length alone", async () => {
    const machine = new KvMachine();
    const value = new Uint8Array(24 * 1_048_576).fill(7);
    machine.apply({ type: "put", key: "k", value, condition: NO_CONDITION }, at(1));
    const whole = Buffer.concat(await collect(machine.snapshot()));
    const since = performance.now();
    const restored = new KvMachine();
    await restored.restore(inPieces(whole, 4_096));
    // Joined again with each of 6,144 chunks, it would be 72 GB that are copied.
    expect(performance.now() - since).toBeLessThan(5_000);
    const item = restored.query({ type: "get", key: "k" }) as Item;
    expect([Buffer.compare(item.value, value), item.revision]).toEqual([0, 1]);
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
    swapped.write("b", whole.indexOf("a", 24));
    await expect(other.restore(inPieces(swapped, 7))).rejects.toThrow("keys do not ascend");
    await expect(
      other.restore(inPieces(Buffer.concat([whole, bytes("more")]), 7)),
    ).rejects.toThrow();
    expect(listAll(other, "", 9)).toEqual(["old"]);
  });
});
