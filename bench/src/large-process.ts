/**
 * A member with very many keys on disk, told what to do line by line, for the proof that they may
 * be more than memory holds (test/cluster/large-store.test.ts). Prints one line of JSON for each.
 *
 *   fill <keys>      as the leader: brings keys 0 to <keys> in, some hundred in one command
 *   rate <ms>        as the leader: writes keys again for so long; how many per second
 *   get <i>          whether this member has key i, by a local read
 *   replace <id>     another one takes the place of that member
 *   status
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { openReplica } from "quorate";
import type { Returns, StaticMember } from "quorate";
import { onLmdb } from "quorate/lmdb";
import type { StoreMachine, StoreReader, StoreWriter } from "quorate/store";

type Fill = { from: number; count: number; of: number } & Returns<number>;
type Has = { i: number } & Returns<boolean>;

const KEYS_EACH = 200;
const OUTSTANDING = 16;
const VALUE_BYTES = 100;
/** Spreads numbers over 32 bits, each once: keys come in no order. */
const SPREAD = 2_654_435_761;

class Filled implements StoreMachine<Fill, Has> {
  apply({ from, count, of }: Fill, store: StoreWriter): number {
    for (let i = from; i < from + count; i++) {
      const value = new Uint8Array(VALUE_BYTES).fill(i & 255);
      store.put(keyOf(i % of), value);
    }
    return count;
  }

  query({ i }: Has, store: StoreReader): boolean {
    return store.get(keyOf(i)) !== undefined;
  }
}

interface Setup {
  readonly id: string;
  readonly members: readonly StaticMember[];
  readonly directory: string;
  readonly waits: boolean;
}

const { id, members, directory, waits } = JSON.parse(process.argv[2]!) as Setup;
const node = await openReplica<Fill, Has>({
  id,
  listen: members.find((member) => member.id === id)!.address,
  dataDir: directory,
  machine: onLmdb(new Filled(), { path: join(directory, "machine") }),
  start: waits ? { wait: true } : { members },
  callTimeoutMs: 60_000,
});
let filled = 0;
say({ open: id });
for (const name of ["SIGTERM", "SIGINT"] as const) {
  process.once(name, () => void node.close().then(() => process.exit(0)));
}
for await (const line of createInterface({ input: process.stdin })) {
  const [word = "", text = ""] = line.split(" ");
  carryOut(word, text).then(say, (error: unknown) => say({ failed: String(error) }));
}

async function carryOut(word: string, text: string): Promise<object> {
  if (word === "fill") return fill(Number(text));
  if (word === "rate") return rate(Number(text));
  if (word === "get") {
    return { has: await node.read({ i: Number(text) }, { consistency: "local" }) };
  }
  if (word === "replace") {
    await node.members.replace(text, { timeoutMs: 3_600_000 });
    return { replaced: text };
  }
  const { leader, applied, startIndex, snapshot } = node.status();
  const isRestoring = snapshot.restoring !== undefined;
  return { leader, applied, startIndex, isRestoring, filled, anonymousBytes: anonymousMemory() };
}

async function fill(keys: number): Promise<object> {
  const startedMs = performance.now();
  await writers(async () => {
    if (filled >= keys) return false;
    const from = filled;
    filled += KEYS_EACH;
    await node.write({ from, count: Math.min(KEYS_EACH, keys - from), of: keys });
    return true;
  });
  return { filled: keys, ms: performance.now() - startedMs };
}

async function rate(forMs: number): Promise<object> {
  const startedMs = performance.now();
  let [next, written] = [0, 0];
  await writers(async () => {
    if (performance.now() - startedMs > forMs) return false;
    const from = next++ * KEYS_EACH;
    written += await node.write({ from, count: KEYS_EACH, of: filled });
    return true;
  });
  return { rate: (written / (performance.now() - startedMs)) * 1_000 };
}

async function writers(step: () => Promise<boolean>): Promise<void> {
  const writer = async (): Promise<void> => {
    while (await step());
  };
  await Promise.all(Array.from({ length: OUTSTANDING }, writer));
}

function keyOf(i: number): string {
  return `key-${String((i * SPREAD) % 2 ** 32).padStart(10, "0")}`;
}

/** What the process holds beside the pages of files. */
function anonymousMemory(): number {
  const [, kib] = /RssAnon:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return Number(kib) * 1_024;
}

function say(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
