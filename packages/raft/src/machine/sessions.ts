/**
 * Sessions: what the engine replicates so that a write that is repeated happens once.
 *
 * A session is opened by an entry, whose index is its id. Each command of the session has a
 * sequence of its own, from 1 on, and says which sequence of its session is the lowest whose caller
 * still waits. Before a command reaches the machine it is judged here:
 *
 *   new         applied; its result is kept until the session says that it was heard
 *   duplicate   was applied before: not applied again, the kept result is its answer
 *   dropped     below the lowest unanswered, so its caller has gone: never applied (again)
 *   expired     there is no such session, or no longer: never applied
 *
 * Every member comes to the same verdict at the same index, since nothing is asked but the entries
 * up to it: sessions, results, sizes, the order in which they go. The bounds below are part of that
 * and must be the same on every member.
 *
 * What is bounded, and what goes when a bound is reached:
 *  - age: a session whose last entry is older than its own timeout, by cluster time, has expired.
 *    The timeout is in the entry that opened it, so members need not agree on an option;
 *  - number: a new session puts the one out that was used least recently;
 *  - sequences: a command more than WINDOW above the lowest unanswered is dropped; handles keep to
 *    that. So what is kept is bounded in number;
 *  - bytes of kept results: the least recently used sessions lose theirs first, the oldest result
 *    first. *That* the command was done stays known ({@link Sessions.isLost}).
 *
 * Results that are primitive are kept as they are; others are encoded at once (value-codec.ts), so
 * that nobody changes them later, and their size is that of the bytes. What has no encoding, or a
 * large one, is lost from the beginning.
 *
 *   off size field            of a session, least recently used first
 *     0  u64  id
 *     8  u64  cluster time of its last entry, in ms
 *    16  u32  timeout in ms
 *    20  u64  lowest unanswered sequence
 *    28  u32  number of slots, one per sequence from the lowest on
 *    32       slots: u8 0 = not applied, 1 = done and result lost, 2 = done, then the value
 */
import { assert } from "../util/assert.ts";
import { ByteReader, ByteWriter, BytesError } from "../util/bytes.ts";
import { decodeValue, encodeValue } from "./value-codec.ts";

/** What is the same on every member, or sessions would part. */
export const SESSION_BOUNDS = {
  sessionsMax: 1_024,
  /** Sequences of one session from the lowest unanswered on. */
  windowMax: 262_144,
  /** Kept results of all sessions, encoded. */
  resultBytesMax: 8_388_608, // 8 MiB
  /** One result beyond this is not kept. */
  oneResultBytesMax: 65_536,
} as const;

/** What becomes of a command; see the top of this file. */
export type SessionVerdict = "new" | "duplicate" | "dropped" | "expired";

/** Bounds that differ from {@link SESSION_BOUNDS}; for tests. */
export type SessionBounds = { readonly [K in keyof typeof SESSION_BOUNDS]: number };

/** Not applied yet. */
const VACANT: unique symbol = Symbol("vacant");
/** Done; the result is gone. */
const LOST: unique symbol = Symbol("lost");

/** An encoded result: never one of the values themselves. */
class Encoded {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

/** One session. The links belong to the table. */
class Session {
  readonly id: number;
  readonly timeoutMs: number;
  lastMs: number;
  lowest = 1;
  /** By sequence: slot `head` is `lowest`. */
  slots: unknown[] = [];
  head = 0;
  bytes = 0;
  older: Session | undefined = undefined;
  newer: Session | undefined = undefined;

  constructor(id: number, timeMs: number, timeoutMs: number) {
    this.id = id;
    this.lastMs = timeMs;
    this.timeoutMs = timeoutMs;
  }
}

/** A session, and what commands ahead of it will have made of it (foreseen.ts). */
export interface Ahead {
  lowest: number;
  lastMs: number;
  readonly timeoutMs: number;
  /** The highest sequence among those that are ahead and new. */
  highest: number;
}

/** All sessions of one group, as of one index. */
export class Sessions {
  readonly #bounds: SessionBounds;
  readonly #byId: Map<number, Session> = new Map();
  #oldest: Session | undefined;
  #newest: Session | undefined;
  #bytes = 0;
  /** Of the newest verdict. */
  #session: Session | undefined;
  #found: unknown = LOST;

  constructor(bounds: SessionBounds = SESSION_BOUNDS) {
    this.#bounds = bounds;
  }

  get count(): number {
    return this.#byId.size;
  }

  /** Bytes of kept results. */
  get resultBytes(): number {
    return this.#bytes;
  }

  /** The entry at `id` opens a session. */
  open(id: number, timeMs: number, timeoutMs: number): void {
    this.#expire(timeMs);
    assert(!this.#byId.has(id), () => `session ${id} is opened once`);
    if (this.#byId.size >= this.#bounds.sessionsMax) this.#remove(this.#oldest!);
    const session = new Session(id, timeMs, timeoutMs);
    this.#byId.set(id, session);
    this.#append(session);
  }

  /** The session is not needed any more; harmless for one that is not there. */
  close(id: number): void {
    const session = this.#byId.get(id);
    if (session !== undefined) this.#remove(session);
  }

  /** Judges a command; after `new` it is applied and handed to {@link keep}. */
  // eslint-disable-next-line max-params -- the fields of an entry, without an object for them
  judge(id: number, sequence: number, lowestUnanswered: number, timeMs: number): SessionVerdict {
    const session = this.#newest?.id === id ? this.#newest : this.#byId.get(id);
    if (session === undefined) return "expired";
    if (timeMs - session.lastMs > session.timeoutMs) {
      this.#remove(session);
      return "expired";
    }
    this.#touch(session, timeMs);
    // First what its caller knew when it was sent; so a late copy cannot free what is needed.
    if (lowestUnanswered > session.lowest) this.#release(session, lowestUnanswered);
    const place = sequence - session.lowest;
    if (place < 0 || place >= this.#bounds.windowMax) return "dropped";
    const found =
      place < session.slots.length - session.head ? session.slots[session.head + place] : VACANT;
    if (found !== VACANT) {
      this.#found = found;
      return "duplicate";
    }
    this.#session = session;
    return "new";
  }

  /** What a judgement of this session would begin with; undefined where there is none. */
  look(id: number): Ahead | undefined {
    const session = this.#newest?.id === id ? this.#newest : this.#byId.get(id);
    if (session === undefined) return undefined;
    const { lowest, lastMs, timeoutMs } = session;
    return { lowest, lastMs, timeoutMs, highest: 0 };
  }

  /** Whether the command was applied; of a session that is there. */
  isDone(id: number, sequence: number): boolean {
    const session = (this.#newest?.id === id ? this.#newest : this.#byId.get(id))!;
    const at = session.head + sequence - session.lowest;
    return at < session.slots.length && session.slots[at] !== VACANT;
  }

  /** Sequences from the lowest unanswered on. */
  get windowMax(): number {
    return this.#bounds.windowMax;
  }

  /** Keeps the result of the command that was judged `new` last. */
  keep(sequence: number, value: unknown): void {
    const kept = isSmall(value) ? value : encodedOf(value, this.#bounds.oneResultBytesMax);
    this.#keep(sequence, kept);
  }

  /** Keeps of it only that it was done. */
  keepLost(sequence: number): void {
    this.#keep(sequence, LOST);
  }

  #keep(sequence: number, kept: unknown): void {
    const session = this.#session!;
    const { slots } = session;
    const at = session.head + sequence - session.lowest;
    while (slots.length < at) slots.push(VACANT);
    if (at === slots.length) slots.push(kept);
    else slots[at] = kept;
    const bytes = sizeOf(kept);
    session.bytes += bytes;
    this.#bytes += bytes;
    if (this.#bytes > this.#bounds.resultBytesMax) this.#strip();
  }

  /**
   * What is known of a command, without an entry of it: `done` has its result in {@link result}.
   */
  lookUp(id: number, sequence: number): "done" | "lost" | "open" | "dropped" | "expired" {
    const session = this.#byId.get(id);
    if (session === undefined) return "expired";
    if (sequence < session.lowest) return "dropped";
    const at = session.head + sequence - session.lowest;
    const found = at < session.slots.length ? session.slots[at] : VACANT;
    if (found === VACANT) return "open";
    this.#found = found;
    return found === LOST ? "lost" : "done";
  }

  /** The most that is kept of one result, in bytes. */
  get oneResultBytesMax(): number {
    return this.#bounds.oneResultBytesMax;
  }

  /** Whether the result of the command that was judged `duplicate` last is gone. */
  get isLost(): boolean {
    return this.#found === LOST;
  }

  /** The result of the command that was judged `duplicate` last. */
  get result(): unknown {
    const found = this.#found;
    if (!(found instanceof Encoded)) return found;
    return decodeValue(new ByteReader(found.bytes));
  }

  encode(writer: ByteWriter): void {
    writer.u32(this.#byId.size);
    for (let session = this.#oldest; session !== undefined; session = session.newer) {
      writer.u64(session.id).u64(session.lastMs).u32(session.timeoutMs).u64(session.lowest);
      const count = session.slots.length - session.head;
      writer.u32(count);
      for (let i = 0; i < count; i++) encodeSlot(writer, session.slots[session.head + i]);
    }
  }

  /** Reads what {@link encode} wrote; throws {@link BytesError} where it is not that. */
  static decode(reader: ByteReader, bounds?: SessionBounds): Sessions {
    const sessions = new Sessions(bounds);
    const count = reader.u32();
    if (count > sessions.#bounds.sessionsMax) throw new BytesError(`${count} sessions`);
    for (let i = 0; i < count; i++) sessions.#read(reader);
    return sessions;
  }

  #read(reader: ByteReader): void {
    const session = new Session(reader.u64(), reader.u64(), reader.u32());
    session.lowest = reader.u64();
    const count = reader.u32();
    if (count > this.#bounds.windowMax || count > reader.remaining || this.#byId.has(session.id)) {
      throw new BytesError(`session ${session.id} with ${count} slots`);
    }
    for (let i = 0; i < count; i++) {
      const slot = decodeSlot(reader);
      session.slots.push(slot);
      session.bytes += sizeOf(slot);
    }
    this.#bytes += session.bytes;
    this.#byId.set(session.id, session);
    this.#append(session);
  }

  /** What was heard is not needed any more. */
  #release(session: Session, lowest: number): void {
    const { slots } = session;
    const count = Math.min(lowest - session.lowest, slots.length - session.head);
    for (let i = 0; i < count; i++) {
      const at = session.head++;
      const bytes = sizeOf(slots[at]);
      session.bytes -= bytes;
      this.#bytes -= bytes;
      slots[at] = VACANT;
    }
    session.lowest = lowest;
    if (session.head === slots.length) {
      slots.length = 0;
      session.head = 0;
    } else if (session.head > 1_024 && session.head * 2 > slots.length) {
      session.slots = slots.slice(session.head);
      session.head = 0;
    }
  }

  /** Forgets results until they fit again: least recently used session first, oldest first. */
  #strip(): void {
    for (let session = this.#oldest; session !== undefined; session = session.newer) {
      for (let at = session.head; at < session.slots.length && session.bytes > 0; at++) {
        const slot = session.slots[at];
        if (slot === VACANT || slot === LOST) continue;
        const bytes = sizeOf(slot);
        session.slots[at] = LOST;
        session.bytes -= bytes;
        this.#bytes -= bytes;
        // Some room at a time, so that this is not the work of every command.
        if (this.#bytes <= this.#bounds.resultBytesMax * 0.75) return;
      }
    }
  }

  /** Those that have expired, as long as it is the least recently used one. */
  #expire(timeMs: number): void {
    let session = this.#oldest;
    while (session !== undefined && timeMs - session.lastMs > session.timeoutMs) {
      this.#remove(session);
      session = this.#oldest;
    }
  }

  #touch(session: Session, timeMs: number): void {
    session.lastMs = timeMs;
    if (session === this.#newest) return;
    this.#unlink(session);
    this.#append(session);
  }

  #remove(session: Session): void {
    this.#byId.delete(session.id);
    this.#bytes -= session.bytes;
    this.#unlink(session);
  }

  #append(session: Session): void {
    session.older = this.#newest;
    session.newer = undefined;
    if (this.#newest === undefined) this.#oldest = session;
    else this.#newest.newer = session;
    this.#newest = session;
  }

  #unlink(session: Session): void {
    if (session.older === undefined) this.#oldest = session.newer;
    else session.older.newer = session.newer;
    if (session.newer === undefined) this.#newest = session.older;
    else session.newer.older = session.older;
  }
}

/** Whether a value is kept as it is. */
function isSmall(value: unknown): boolean {
  switch (typeof value) {
    case "undefined":
    case "number":
    case "boolean":
      return true;
    case "string":
      return value.length <= SMALL_UNITS;
    default:
      return value === null;
  }
}

/** Longer strings are encoded: UTF-8 takes half of the memory. */
const SMALL_UNITS = 64;
const SMALL_BYTES = 16;
const SLAB_BYTES = 16_384;

function sizeOf(slot: unknown): number {
  if (slot === VACANT || slot === LOST) return 0;
  if (slot instanceof Encoded) return SMALL_BYTES + slot.bytes.length;
  return typeof slot === "string" ? SMALL_BYTES + 2 * slot.length : SMALL_BYTES;
}

const scratch = new ByteWriter(1_024);
let slab: Uint8Array = new Uint8Array(SLAB_BYTES);
let slabUsed = 0;

function encodedOf(value: unknown, bytesMax: number): Encoded | typeof LOST {
  scratch.reset();
  if (!encodeValue(scratch, value, bytesMax)) return LOST;
  return new Encoded(keptCopy(scratch));
}

/** A copy that stays; small ones share a buffer, since one of their own costs more than they do. */
function keptCopy(writer: ByteWriter): Uint8Array {
  const { length } = writer;
  if (length > SLAB_BYTES / 16) return writer.copy();
  if (slabUsed + length > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES);
    slabUsed = 0;
  }
  const copy = slab.subarray(slabUsed, slabUsed + length);
  copy.set(writer.view());
  slabUsed += length;
  return copy;
}

function encodeSlot(writer: ByteWriter, slot: unknown): void {
  if (slot === VACANT) writer.u8(0);
  else if (slot === LOST) writer.u8(1);
  else if (slot instanceof Encoded) writer.u8(2).raw(slot.bytes);
  else assert(encodeValue(writer.u8(2), slot, 2 ** 31), "a primitive has an encoding");
}

function decodeSlot(reader: ByteReader): unknown {
  const state = reader.u8();
  if (state === 0) return VACANT;
  if (state === 1) return LOST;
  if (state !== 2) throw new BytesError(`a slot of state ${state}`);
  const value = decodeValue(reader);
  return isSmall(value) ? value : encodedOf(value, 2 ** 31);
}
