import { expect, test } from "vitest";
import { SimDisk } from "../disk/sim-disk.ts";
import { crc32 } from "../util/checksum.ts";
import { utf8, fromUtf8 } from "../util/bytes.ts";
import { SeededRandom } from "../util/random.ts";
import type { DiskStateMachine } from "../machine/disk-machine.ts";
import type { StoreBackend, StoreItem } from "./backend.ts";
import { FileBackend } from "./file-backend.ts";
import { keyText, textKey } from "./keys.ts";
import { Layers } from "./layers.ts";
import { onStore } from "./store-machine.ts";
import type { StoreMachine } from "./store-machine.ts";

type Command = { key: string; value: string | null };

const NOTES: StoreMachine<Command, string> = {
  apply: ({ key, value }, store) => {
    if (value === null) store.delete(textKey(key));
    else store.put(textKey(key), utf8(value));
  },
  query: (prefix, store) => {
    const found: string[] = [];
    for (const [key, value] of store.items(textKey(prefix))) {
      found.push(`${keyText(key)}=${fromUtf8(value)}`);
    }
    return found.join(" ");
  },
};

function notes(disk = new SimDisk()): DiskStateMachine<Command, string> {
  return onStore(NOTES, backendOn(disk));
}

function backendOn(disk: SimDisk): FileBackend {
  return new FileBackend({ disk, directory: "/m", checksum: crc32 });
}

let index = 0;
function apply(machine: DiskStateMachine<Command, string>, ...commands: Command[]): unknown {
  const entries = commands.map((command) => {
    return { index: ++index, term: 1, timeMs: 0, version: 1, command };
  });
  const records = () => [{ key: "base", value: utf8(String(index)) }];
  return machine.apply({ entries, records });
}

test("effects and records are one, and keys of the user are never the engine's", async () => {
  const disk = new SimDisk();
  const machine = notes(disk);
  expect(await machine.open()).toEqual([]);
  await apply(machine, { key: "ä", value: "1" }, { key: "base", value: "2" });
  await apply(machine, { key: "ebase", value: "3" }, { key: "ä", value: null });
  expect(await machine.query("")).toBe("base=2 ebase=3");
  await machine.sync();
  const again = notes(disk);
  expect(await again.open()).toEqual([{ key: "base", value: utf8(String(index)) }]);
  expect(await again.query("")).toBe("base=2 ebase=3");
});

test("a checkpoint is a point in time, and another machine becomes it", async () => {
  const machine = notes();
  await machine.open();
  for (let i = 0; i < 3_000; i++) await apply(machine, { key: `k${i}`, value: "x".repeat(60) });
  const before = await machine.query("");
  const checkpoint = machine.checkpoint();
  const chunks: Uint8Array[] = [];
  let n = 0;
  for await (const chunk of checkpoint.stream()) {
    chunks.push(chunk);
    await apply(machine, { key: `k${n++}`, value: null }, { key: `new${n}`, value: "y" });
  }
  checkpoint.release();
  expect(chunks.length).toBeGreaterThan(3);
  const other = notes();
  await other.open();
  await apply(other, { key: "of before", value: "z" });
  // Cut anywhere.
  async function* cut(): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks) {
      for (let at = 0; at < chunk.length; at += 997) yield chunk.subarray(at, at + 997);
    }
  }
  await other.restore(cut(), [{ key: "base", value: utf8("other") }]);
  expect(await other.query("")).toBe(before);
  await expect(
    other.restore(
      (async function* () {
        yield chunks[0]!.subarray(0, 50);
      })(),
      [],
    ),
  ).rejects.toThrow("within an item");
  expect(await other.query("")).toBe(before);
});

/** A backend whose commits the test ends. */
class Slow implements StoreBackend {
  readonly keyBytesMax = 100;
  readonly items = new Map<string, Uint8Array>();
  commits: (() => void)[] = [];
  async open(): Promise<void> {}
  get(key: string): Uint8Array | undefined {
    return this.items.get(key);
  }
  view(): ReturnType<StoreBackend["view"]> {
    const items = [...this.items].toSorted(([a], [b]) => (a < b ? -1 : 1));
    return { items: (from) => items.filter(([key]) => key >= from).values(), release: () => {} };
  }
  commit(changes: Parameters<StoreBackend["commit"]>[0]): Promise<void> {
    return new Promise((resolve) => {
      this.commits.push(() => {
        for (const [key, value] of changes) {
          if (value === undefined) this.items.delete(key);
          else this.items.set(key, value);
        }
        resolve();
      });
    });
  }
  replace(): never {
    throw new Error("no");
  }
  async close(): Promise<void> {}
}

test("layers answer as a map does, wherever their commits are", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new SeededRandom(seed);
    const backend = new Slow();
    const layers = new Layers(backend);
    const model = new Map<string, Uint8Array>();
    for (let step = 0; step < 400; step++) {
      const key = `k${random.below(40)}`;
      const draw = random.below(10);
      if (draw < 5) {
        const value = Uint8Array.of(random.below(256));
        layers.set(key, value);
        model.set(key, value);
      } else if (draw < 7) {
        layers.set(key, undefined);
        model.delete(key);
      } else if (draw === 7) void layers.flush();
      else if (draw === 8) backend.commits.shift()?.();
      else await Promise.resolve();
      expect(layers.get(key)).toEqual(model.get(key));
      if (step % 20 > 0) continue;
      const from = `k${random.below(40)}`;
      const wanted = [...model].filter(([k]) => k >= from).toSorted(([a], [b]) => (a < b ? -1 : 1));
      expect([...layers.items(from).items()]).toEqual(wanted satisfies StoreItem[]);
    }
  }
});

test("whoever writes more than is committed is told to wait, and a failure is final", async () => {
  const backend = new Slow();
  const layers = new Layers(backend);
  let wait: Promise<void> | undefined;
  for (let i = 0; i < 40 && wait === undefined; i++) {
    layers.set(`k${i}`, new Uint8Array(1_000_000));
    wait = layers.endBatch();
  }
  expect(wait).toBeDefined();
  await Promise.resolve();
  backend.commits.shift()!();
  await wait;
  backend.commit = async () => {
    throw new Error("no luck");
  };
  backend.commits.shift()?.();
  await expect(layers.flush()).rejects.toThrow("no luck");
  expect(() => layers.endBatch()).toThrow("no luck");
});

test("without space it takes in memory what it can, says so, and stores all of it later", async () => {
  const disk = new SimDisk();
  const limits = { changes: 1, bytes: 1_000, waitingBytes: 4_000 };
  const machine = onStore(NOTES, backendOn(disk), limits);
  await machine.open();
  await apply(machine, { key: "a", value: "1" });
  await machine.sync();
  expect(machine.isFull).toBe(false);
  disk.capacityBytes = disk.usedBytes;
  const commands = Array.from({ length: 40 }, (_, i) => ({ key: `k${i}`, value: "x".repeat(100) }));
  let taken = 0;
  let refused: unknown;
  for (const command of commands) {
    try {
      await apply(machine, command);
      taken++;
    } catch (error) {
      refused = error;
      break;
    }
  }
  expect(refused).toMatchObject({ code: "DISK_FULL" });
  expect(machine.isFull).toBe(true);
  expect(taken).toBeGreaterThan(5);
  // What it has taken is there, what it refused is not.
  expect(String(await machine.query("k")).split(" ")).toHaveLength(taken);
  await expect(machine.sync()).rejects.toMatchObject({ code: "DISK_FULL" });
  await expect(apply(machine, commands[taken]!)).rejects.toMatchObject({ code: "DISK_FULL" });
  const before = notes(disk.clone());
  await before.open();
  const stored = String(await before.query("")).split(" ");
  expect(stored[0]).toBe("a=1");
  expect(stored.length).toBeLessThan(taken);

  disk.capacityBytes = Number.MAX_SAFE_INTEGER;
  for (const command of commands.slice(taken)) await apply(machine, command);
  expect(machine.isFull).toBe(false);
  await machine.sync();
  await machine.close();
  const again = notes(disk.kill(new SeededRandom(1)));
  await again.open();
  expect(String(await again.query("k")).split(" ")).toHaveLength(40);
});

test("a restore without space leaves what was there, and may be made again", async () => {
  const source = notes();
  await source.open();
  for (let i = 0; i < 50; i++) await apply(source, { key: `k${i}`, value: "x".repeat(400) });
  const disk = new SimDisk();
  const machine = notes(disk);
  await machine.open();
  await apply(machine, { key: "mine", value: "1" });
  const records = [{ key: "base", value: utf8("other") }];
  const restore = async (): Promise<void> => {
    const checkpoint = source.checkpoint();
    await machine.restore(checkpoint.stream(), records).finally(() => checkpoint.release());
  };
  disk.capacityBytes = disk.usedBytes + 8_192;
  await expect(restore()).rejects.toMatchObject({ code: "DISK_FULL" });
  expect(await machine.query("")).toBe("mine=1");
  disk.capacityBytes = Number.MAX_SAFE_INTEGER;
  await restore();
  expect(await machine.query("")).toBe(await source.query(""));
});
