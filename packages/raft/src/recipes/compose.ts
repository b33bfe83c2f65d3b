/**
 * Several state machines in one replica: a map, locks and one's own machine, in one log. Each
 * part has its own commands, queries and snapshot, and knows nothing of the others.
 *
 * A snapshot has the parts one after the other, each under its name and cut into frames with their
 * lengths, so that every part gets back exactly the bytes that it gave. All parts are asked for
 * their snapshots at the same moment.
 *
 * ```
 * part   u32  length of the name in bytes, then the name in UTF-8
 *        …    frames: u32 length, at least 1, then so many bytes
 *        u32  0
 * ```
 */
import type { Applied, CallOptions, ReadOptions, ResultOf, Returns } from "../index.ts";
import { readU32, utf8, writeU32 } from "../util/bytes.ts";
import type { Access } from "./access.ts";
import { ByteStream } from "./byte-stream.ts";

/** A state machine of any commands and queries. */
export interface AnyMachine {
  apply(command: never, at: Applied): unknown;
  query(query: never): unknown;
  snapshot(): unknown;
  restore(chunks: AsyncIterable<Uint8Array>): Promise<void>;
}

/** The machines of a composed one, by name. */
export type Parts = Readonly<Record<string, AnyMachine>>;

type CommandOf<M> = M extends { apply(command: infer C, at: Applied): unknown } ? C : never;
type QueryOf<M> = M extends { query(query: infer Q): unknown } ? Q : never;

/** A command for one of the parts. */
export type PartCommand<P extends Parts> = {
  [Name in keyof P & string]: { readonly part: Name; readonly command: CommandOf<P[Name]> };
}[keyof P & string] &
  Returns<unknown>;

/** A query for one of the parts. */
export type PartQuery<P extends Parts> = {
  [Name in keyof P & string]: { readonly part: Name; readonly query: QueryOf<P[Name]> };
}[keyof P & string] &
  Returns<unknown>;

/**
 * One state machine of several. Parts are told apart by their names, which are in every command:
 * adding one is a change like any other of a machine, renaming one loses what it had.
 *
 * @example
 * ```ts
 * const machine = new ComposedMachine({
 *   accounts: new MapMachine<string, Account>(),
 *   locks: new LockMachine(),
 * });
 * const node = await openReplica({ ...options, machine });
 * const accounts = new ReplicatedMap(machine.part("accounts", node));
 * const locks = new ReplicatedLock(machine.part("locks", node));
 * ```
 */
export class ComposedMachine<P extends Parts> {
  readonly #parts: ReadonlyMap<string, AnyMachine>;

  constructor(parts: P) {
    this.#parts = new Map(Object.entries(parts));
  }

  apply({ part, command }: PartCommand<P>, at: Applied): unknown {
    return this.#part(part).apply(command as never, at);
  }

  query({ part, query }: PartQuery<P>): unknown {
    return this.#part(part).query(query as never);
  }

  snapshot(): AsyncIterable<Uint8Array> {
    const taken = Array.from(this.#parts, ([name, machine]) => ({
      name,
      chunks: chunksOf(machine.snapshot()),
    }));
    return framesOf(taken);
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const stream = new ByteStream(chunks);
    const missing = new Set(this.#parts.keys());
    while (!(await stream.isAtEnd())) {
      const name = new TextDecoder().decode(await stream.take(await lengthIn(stream)));
      if (!missing.delete(name)) throw new TypeError(`a snapshot of a part ${name} unlooked for`);
      await this.#part(name).restore(framesIn(stream));
    }
    // A part that was added since has nothing yet.
  }

  /** Where the commands and queries of one part go, on a replica that runs this machine. */
  part<Name extends keyof P & string>(
    name: Name,
    replica: Access<PartCommand<P>, PartQuery<P>>,
  ): Access<CommandOf<P[Name]>, QueryOf<P[Name]>> {
    type Command = CommandOf<P[Name]>;
    type Query = QueryOf<P[Name]>;
    return {
      write: <C extends Command>(command: C, options?: CallOptions) => {
        const wrapped = { part: name, command } as unknown as PartCommand<P>;
        return replica.write(wrapped, options) as unknown as Promise<ResultOf<C, Command>>;
      },
      read: <Q extends Query>(query: Q, options?: ReadOptions) => {
        const wrapped = { part: name, query } as unknown as PartQuery<P>;
        return replica.read(wrapped, options) as unknown as Promise<ResultOf<Q, Query>>;
      },
    };
  }

  #part(name: string): AnyMachine {
    const machine = this.#parts.get(name);
    if (machine === undefined) throw new TypeError(`this machine has no part ${name}`);
    return machine;
  }
}

/** What a machine gave as its snapshot, as chunks; what changes with it is read out at once. */
function chunksOf(snapshot: unknown): AsyncIterable<Uint8Array> | readonly Uint8Array[] {
  if (typeof snapshot === "object" && snapshot !== null) {
    if (Symbol.asyncIterator in snapshot) return snapshot as AsyncIterable<Uint8Array>;
    if (Symbol.iterator in snapshot && !Array.isArray(snapshot)) {
      return Array.from(snapshot as Iterable<Uint8Array>, (chunk) => chunk.slice());
    }
  }
  return [utf8(JSON.stringify(snapshot ?? null))];
}

async function* framesOf(
  parts: ReadonlyArray<{
    readonly name: string;
    readonly chunks: AsyncIterable<Uint8Array> | readonly Uint8Array[];
  }>,
): AsyncGenerator<Uint8Array, void, void> {
  for (const { name, chunks } of parts) {
    yield frame(utf8(name));
    for await (const chunk of chunks) {
      if (chunk.length > 0) yield frame(chunk);
    }
    yield new Uint8Array(4);
  }
}

function frame(bytes: Uint8Array): Uint8Array {
  const framed = new Uint8Array(4 + bytes.length);
  writeU32(framed, 0, bytes.length);
  framed.set(bytes, 4);
  return framed;
}

async function* framesIn(stream: ByteStream): AsyncGenerator<Uint8Array, void, void> {
  for (;;) {
    const length = await lengthIn(stream);
    if (length === 0) return;
    yield await stream.take(length);
  }
}

async function lengthIn(stream: ByteStream): Promise<number> {
  return readU32(await stream.take(4), 0);
}
