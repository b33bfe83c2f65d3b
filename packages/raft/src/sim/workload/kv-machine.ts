/**
 * The simulator's own state machine: a map from keys to values that shows as much as it can.
 *
 * Every answer tells what was found: the value and its revision, the index of the command that
 * made it. A deleted key keeps the revision of its deletion. So a history of answers leaves little
 * room for a wrong order to hide in. Revisions of a key never fall.
 *
 * A value is a list of pieces, each begun by "|" (see kv-workload.ts); `append` adds one, and
 * begins anew where the list is long, so that values stay bounded. Everything is in a Map: keys
 * may be called `__proto__`.
 */
import type { Applied, StateMachine } from "../../machine/state-machine.ts";
import { fromUtf8 } from "../../util/bytes.ts";

/** What changes a key. */
export type KvCommand =
  | { readonly type: "put"; readonly key: string; readonly value: string }
  | { readonly type: "append"; readonly key: string; readonly value: string }
  /** Writes only where the key has this value; null = absent. */
  | {
      readonly type: "cas";
      readonly key: string;
      readonly expected: string | null;
      readonly value: string;
    }
  | { readonly type: "delete"; readonly key: string };

/** What can be asked. */
export interface KvQuery {
  readonly type: "get";
  readonly key: string;
}

/** A key as it was found. */
export interface KvFound {
  /** Null: absent. */
  readonly value: string | null;
  /** The index of the command that left it so; 0 where none did. */
  readonly revision: number;
}

/** The answer to a command. */
export interface KvWritten extends KvFound {
  /** Whether the key was changed. If so, its revision is `index` now. */
  readonly ok: boolean;
  /** The position of the command. */
  readonly index: number;
}

/** A value of so many pieces is not appended to but replaced. */
export const PIECES_MAX = 8;

const NOTHING: KvFound = { value: null, revision: 0 };

/** The map. */
export class KvMachine implements StateMachine<KvCommand, KvQuery> {
  readonly #keys: Map<string, KvFound> = new Map();

  apply(command: KvCommand, at: Pick<Applied, "index">): KvWritten {
    const { value, revision } = this.#keys.get(command.key) ?? NOTHING;
    const after = valueAfter(value, command);
    const ok = after !== undefined;
    if (ok) this.#keys.set(command.key, { value: after, revision: at.index });
    return { ok, index: at.index, value, revision };
  }

  query({ key }: KvQuery): KvFound {
    return this.#keys.get(key) ?? NOTHING;
  }

  snapshot(): unknown {
    return [...this.#keys].map(([key, { value, revision }]) => [key, value, revision]);
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const bytes: number[] = [];
    for await (const chunk of chunks) for (const byte of chunk) bytes.push(byte);
    const rows = JSON.parse(fromUtf8(Uint8Array.from(bytes))) as Array<
      [string, string | null, number]
    >;
    this.#keys.clear();
    for (const [key, value, revision] of rows) this.#keys.set(key, { value, revision });
  }
}

/** What a command makes of a value (null: absent); undefined where it changes nothing. */
export function valueAfter(value: string | null, command: KvCommand): string | null | undefined {
  switch (command.type) {
    case "put":
      return command.value;
    case "append":
      if (value === null || piecesIn(value) >= PIECES_MAX) return command.value;
      return value + command.value;
    case "cas":
      return value === command.expected ? command.value : undefined;
    default:
      return value === null ? undefined : null;
  }
}

function piecesIn(value: string): number {
  let pieces = 0;
  for (let at = value.indexOf("|"); at >= 0; at = value.indexOf("|", at + 1)) pieces++;
  return pieces;
}
