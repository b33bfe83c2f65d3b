/**
 * One member alone, with the server's keys in memory or on disk, in a process of its own: writes,
 * reads, memory, bytes on disk, and a start on what is there. Prints its figures as JSON.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { openReplica } from "quorate";
import type { Replica } from "quorate";
import { onLmdb } from "quorate/lmdb";
import { kvCodec, KvMachine, KvStoreMachine, NO_CONDITION } from "quorate-server";
import type { KvCommand, KvQuery } from "quorate-server";
import type { StoreFigures, StoreRun } from "./store.ts";

const OUTSTANDING = 1_024;
const READS = 200_000;
/** Spreads numbers over 32 bits, each once: keys come in no order. */
const SPREAD = 2_654_435_761;

const run = JSON.parse(process.argv[2]!) as StoreRun;
process.stdout.write(`${JSON.stringify(await measure(run))}\n`);

async function measure({ kind, directory, keys, valueBytes }: StoreRun): Promise<StoreFigures> {
  const dataDir = join(directory, kind);
  let node = await open(kind, dataDir);
  await node.leader();
  const value = new Uint8Array(valueBytes).fill(7);
  const writeMs = await timed(keys, (i) =>
    node.write({ type: "put", key: keyOf(i), value, condition: NO_CONDITION }),
  );
  const readMs = await timed(READS, (i) =>
    node.read({ type: "get", key: keyOf((i * 7_919) % keys) }, { consistency: "local" }),
  );
  const anonymousBytes = anonymousMemory();
  // What a start in memory has to read.
  if (kind === "memory") await node.snapshot({ timeoutMs: 600_000 });
  await node.close();
  const storeBytes = sizeOf(join(dataDir, kind === "disk" ? "machine" : "snapshot"));
  const startedMs = performance.now();
  node = await open(kind, dataDir);
  await node.read({ type: "get", key: keyOf(1) }, { timeoutMs: 600_000 });
  const startMs = performance.now() - startedMs;
  await node.close();
  return {
    writesPerSecond: (keys / writeMs) * 1_000,
    readsPerSecond: (READS / readMs) * 1_000,
    bytesPerKey: storeBytes / keys,
    anonymousBytes,
    startMs,
  };
}

function open(kind: StoreRun["kind"], dataDir: string): Promise<Replica<KvCommand, KvQuery>> {
  const machine =
    kind === "memory"
      ? new KvMachine()
      : onLmdb(new KvStoreMachine(), { path: join(dataDir, "machine") });
  return openReplica<KvCommand, KvQuery>({
    id: "n1",
    listen: "127.0.0.1:0",
    dataDir,
    machine,
    codec: kvCodec,
    start: { bootstrap: true },
    callTimeoutMs: 60_000,
  });
}

/** How long so many calls take, with some thousand of them under way. */
async function timed(count: number, call: (i: number) => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < count) await call(next++);
  };
  await Promise.all(Array.from({ length: OUTSTANDING }, caller));
  return performance.now() - startedMs;
}

function keyOf(i: number): string {
  return `key-${String((i * SPREAD) % 2 ** 32).padStart(10, "0")}`;
}

function anonymousMemory(): number {
  try {
    const [, kib] = /RssAnon:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    return Number(kib) * 1_024;
  } catch {
    return process.memoryUsage().rss;
  }
}

/** The space that the files of a directory take. */
function sizeOf(directory: string): number {
  let bytes = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    bytes += entry.isDirectory() ? sizeOf(path) : statSync(path).blocks * 512;
  }
  return bytes;
}
