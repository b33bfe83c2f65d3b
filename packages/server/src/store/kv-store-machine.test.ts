import type { Applied } from "quorate";
import { onLmdb } from "quorate/lmdb";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { NO_CONDITION } from "./command.ts";
import type { Condition, KvCommand, KvQuery } from "./command.ts";
import { KvMachine } from "./kv-machine.ts";
import { KvStoreMachine } from "./kv-store-machine.ts";

const made: string[] = [];
afterAll(async () => {
  for (const path of made) await rm(path, { recursive: true, force: true });
});

type Disk = ReturnType<typeof onLmdb<KvCommand, KvQuery>>;

async function onDisk(): Promise<{ machine: Disk; store: KvStoreMachine; again: () => Disk }> {
  const path = await mkdtemp(join(tmpdir(), "quorate-kv-"));
  made.push(path);
  const store = new KvStoreMachine();
  const again = (): Disk => onLmdb(new KvStoreMachine(), { path: join(path, "machine") });
  const machine = onLmdb(store, { path: join(path, "machine") });
  await machine.open();
  return { machine, store, again };
}

/** The same draws each time. */
function draws(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
}

function commandOf(draw: (below: number) => number): KvCommand {
  const conditions: Condition[] = [
    NO_CONDITION,
    NO_CONDITION,
    { type: "absent" },
    { type: "present" },
    { type: "revision", revision: 1 + draw(60) },
  ];
  const condition = conditions[draw(conditions.length)]!;
  const key = String.fromCharCode(97 + draw(12), draw(256));
  const request =
    draw(3) === 0 ? { key: `r${draw(30)}`, fingerprint: `${draw(2)}2345678` } : undefined;
  const named = request === undefined ? {} : { request };
  if (draw(4) === 0) return { type: "delete", key, condition, ...named };
  const value = new Uint8Array(draw(40)).fill(draw(256));
  return { type: "put", key, value, condition, ...named };
}

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

const nothing = (): [] => [];

test("answers as the machine in memory does, and their snapshots are the same bytes", async () => {
  for (const seed of [1, 2, 3]) {
    const draw = draws(seed);
    const memory = new KvMachine();
    const { machine, store, again } = await onDisk();
    let [index, timeMs] = [0, 0];
    for (let step = 0; step < 120; step++) {
      const entries: (Applied & { command: KvCommand })[] = [];
      for (let i = 0; i <= draw(8); i++) {
        timeMs += draw(60) * 1_000;
        entries.push({ index: ++index, term: 1, timeMs, version: 1, command: commandOf(draw) });
      }
      const wanted = entries.map((entry) => memory.apply(entry.command, entry));
      expect(await machine.apply({ entries, records: nothing })).toEqual(wanted);
      const key = String.fromCharCode(97 + draw(12), draw(256));
      expect(await machine.query({ type: "get", key })).toEqual(memory.query({ type: "get", key }));
      const list: KvQuery = {
        type: "list",
        prefix: ["", "c", "k"][draw(3)]!,
        after: draw(2) === 0 ? undefined : key,
        limit: 1 + draw(9),
        bytesMax: 20 + draw(300),
        withValues: draw(2) === 0,
      };
      expect(await machine.query(list)).toEqual(memory.query(list));
      if (draw(10) === 0) await machine.sync();
    }
    expect(store.size).toEqual(memory.size);
    const checkpoint = machine.checkpoint();
    const bytes = await bytesOf(checkpoint.stream());
    checkpoint.release();
    expect(bytes).toEqual(await bytesOf(memory.snapshot()));
    await machine.close();
    // From one kind to the other, and back.
    const other = await onDisk();
    await other.machine.restore(memory.snapshot(), []);
    const back = new KvMachine();
    await back.restore(other.machine.checkpoint().stream());
    expect(await bytesOf(back.snapshot())).toEqual(bytes);
    expect(other.store.size).toEqual(memory.size);
    const reopened = again();
    await reopened.open();
    expect(await bytesOf(reopened.checkpoint().stream())).toEqual(bytes);
    await reopened.close();
    await other.machine.close();
  }
});

test("a stream that is not whole changes nothing", async () => {
  const { machine } = await onDisk();
  const command: KvCommand = {
    type: "put",
    key: "a",
    value: Uint8Array.of(1),
    condition: NO_CONDITION,
  };
  const at = { index: 1, term: 1, timeMs: 0, version: 1 };
  await machine.apply({ entries: [{ ...at, command }], records: nothing });
  const whole = await bytesOf(machine.checkpoint().stream());
  await expect(
    machine.restore(
      (async function* () {
        yield whole.subarray(0, whole.length - 1);
      })(),
      [],
    ),
  ).rejects.toThrow("it ends too early");
  expect(await machine.query({ type: "get", key: "a" })).toMatchObject({ revision: 1 });
  await machine.close();
});
