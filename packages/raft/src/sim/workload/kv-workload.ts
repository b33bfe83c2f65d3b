/**
 * What the clients of the key-value machine do: writes and reads of few keys, most of them hot,
 * some with names that have broken programs before.
 *
 * A value is one piece: "|", the client, the number of its operation, ":", then a filler without
 * "|". So a value says which operation wrote it, and an appended value which ones, in which order.
 * A call that is tried again is a new operation and gets a new value, so that both can be told
 * apart.
 */
import type { Random } from "../../util/random.ts";
import type { SimOperation } from "../observer.ts";
import { mayBeOld } from "../observer.ts";
import type { ClientOptions } from "../options.ts";
import { between, chance, pick } from "../random-streams.ts";
import type { KvCommand, KvFound, KvQuery, KvWritten } from "./kv-machine.ts";
import { valueAfter } from "./kv-machine.ts";
import type { Call, ClientContext, Workload } from "./workload.ts";

/** Names that a plain object, a text file, UTF-8 or a fixed buffer would not keep apart. */
export const HOSTILE_KEYS: readonly string[] = [
  "__proto__",
  "",
  "constructor",
  "\u0000",
  "toString",
  "\ud800",
  "hasOwnProperty",
  "é😀\u2028",
  "null",
  "../../etc/passwd",
  "K".repeat(300),
];

/** Of calls that name a key, how many go to the hot ones, per mille. */
const HOT_SHARE = 800;
/** Of comparisons, how many are meant to succeed, per mille. */
const KNOWING_SHARE = 850;
const SHORT_FILLER_MAX = 12;
/** Fillers that are not plain, per mille. */
const WILD_SHARE = 50;

const FILLER = "abcdefghijklmnopqrstuvwxyz0123456789-_ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const WILD = '\u0000é\ud800\n😀\udc00"\\\u2028';

/** The options that matter here. */
export type KvWorkloadOptions = Pick<
  ClientOptions,
  | "keys"
  | "readShare"
  | "localReadShare"
  | "leaseReadShare"
  | "staleReadShare"
  | "stalenessMaxMs"
  | "valueBytesMax"
>;

/** Calls on the key-value machine. */
export class KvWorkload implements Workload<KvCommand, KvQuery> {
  readonly keys: readonly string[];
  readonly #options: KvWorkloadOptions;
  readonly #hot: readonly string[];
  /** What was heard last of each key: a comparison with it may succeed. */
  readonly #heard: Map<string, string | null> = new Map();

  constructor(options: KvWorkloadOptions) {
    this.#options = options;
    this.keys = Array.from({ length: Math.max(1, options.keys) }, (_, i) => keyAt(i));
    this.#hot = this.keys.slice(0, Math.ceil(this.keys.length / 8));
  }

  next(random: Random, client: ClientContext): Call<KvCommand, KvQuery> {
    const key = pick(random, chance(random, HOT_SHARE) ? this.#hot : this.keys);
    if (chance(random, this.#options.readShare)) {
      return this.#read(random, { type: "get", key });
    }
    return { kind: "write", command: this.#command(random, client, key) };
  }

  again(call: Call<KvCommand, KvQuery>, client: ClientContext): Call<KvCommand, KvQuery> {
    if (call.kind !== "write" || call.command.type === "delete") return call;
    const { value } = call.command;
    const again = tagOf(client) + value.slice(value.indexOf(":") + 1);
    return { kind: "write", command: { ...call.command, value: again } };
  }

  ended(operation: SimOperation): void {
    // What an old member says is no good ground to build on.
    if (operation.outcome !== "done" || mayBeOld(operation.kind)) return;
    const { key } = operation.input as KvCommand | KvQuery;
    if (operation.kind !== "write") {
      this.#heard.set(key, (operation.result as KvFound).value);
      return;
    }
    const { ok, value } = operation.result as KvWritten;
    const after = ok ? valueAfter(value, operation.input as KvCommand) : value;
    this.#heard.set(key, after ?? null);
  }

  #read(random: Random, query: KvQuery): Call<KvCommand, KvQuery> {
    const { localReadShare, leaseReadShare, staleReadShare, stalenessMaxMs } = this.#options;
    if (chance(random, localReadShare)) return { kind: "local-read", query };
    if (chance(random, leaseReadShare)) return { kind: "lease-read", query };
    if (!chance(random, staleReadShare)) return { kind: "read", query };
    return { kind: "stale-read", query, maxStalenessMs: between(random, 0, stalenessMaxMs) };
  }

  #command(random: Random, client: ClientContext, key: string): KvCommand {
    const kind = random.below(10);
    if (kind === 0) return { type: "delete", key };
    const tag = tagOf(client);
    if (kind <= 3) return { type: "append", key, value: tag + filler(random, SHORT_FILLER_MAX) };
    const { valueBytesMax } = this.#options;
    const long = chance(random, 300) ? valueBytesMax : SHORT_FILLER_MAX;
    const value = tag + filler(random, Math.max(0, Math.min(long, valueBytesMax) - tag.length));
    if (kind <= 6) return { type: "put", key, value };
    return { type: "cas", key, expected: this.#expected(random, key), value };
  }

  #expected(random: Random, key: string): string | null {
    if (chance(random, KNOWING_SHARE)) return this.#heard.get(key) ?? null;
    return pick(random, [null, "", "|never:written"]);
  }
}

function tagOf({ name, calls }: ClientContext): string {
  return `|${name}.${calls}:`;
}

/** Every second key is hostile, until there are no more of those. */
function keyAt(i: number): string {
  return (i % 2 === 1 ? HOSTILE_KEYS[(i - 1) / 2] : undefined) ?? `k${i}`;
}

function filler(random: Random, lengthMax: number): string {
  const length = between(random, 0, lengthMax);
  if (length === 0) return "";
  // Units of a wild filler take two bytes each.
  const isWild = chance(random, WILD_SHARE);
  const from = isWild ? WILD : FILLER;
  const units = isWild ? length >> 1 : length;
  const start = random.below(from.length);
  return from.repeat(Math.ceil((start + units) / from.length)).slice(start, start + units);
}
