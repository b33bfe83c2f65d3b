/**
 * Where the batches of one group are: a table of typed arrays, because a log holds millions of
 * batches and an object for each would cost more than the batches.
 *
 * Rows are sorted by first index. The entries of a row reach up to the row behind it, so cutting a
 * log in the middle of a batch needs no change to that batch's row: `count` says what the body on
 * disk holds, not what of it still counts. Only recovery may see gaps between rows, while it has
 * read a segment whose predecessors are gone and has not yet come to the moved batches.
 *
 * Each row also counts in its segment's live bytes; a segment without any can go.
 */
import { assert } from "../util/assert.ts";
import { recordBytes } from "./record.ts";

/** Where one batch is, and what it holds. */
export interface Location {
  readonly firstIndex: number;
  readonly count: number;
  readonly term: number;
  readonly segment: number;
  readonly offset: number;
  /** Bytes of the body. */
  readonly bytes: number;
}

/** Bytes of records per segment that some group still needs. */
export class LiveBytes {
  readonly #bySegment: Map<number, number> = new Map();
  total = 0;

  of(segment: number): number {
    return this.#bySegment.get(segment) ?? 0;
  }

  add(segment: number, bytes: number): void {
    this.total += bytes;
    const now = this.of(segment) + bytes;
    assert(now >= 0, () => `segment ${segment} has ${now} live bytes`);
    if (now === 0) this.#bySegment.delete(segment);
    else this.#bySegment.set(segment, now);
  }
}

const ROWS_MIN = 64;

/** The batches of one group by first index. Rows are numbered from 0. */
export class LocationIndex {
  readonly #live: LiveBytes;
  #first: Float64Array = new Float64Array(0);
  #term: Float64Array = new Float64Array(0);
  #segment: Uint32Array = new Uint32Array(0);
  #offset: Uint32Array = new Uint32Array(0);
  #bytes: Uint32Array = new Uint32Array(0);
  #count: Uint32Array = new Uint32Array(0);
  /** Rows live in [start, end) of the arrays. */
  #start = 0;
  #end = 0;

  constructor(live: LiveBytes) {
    this.#live = live;
  }

  get rows(): number {
    return this.#end - this.#start;
  }

  firstIndex(row: number): number {
    return this.#first[this.#start + row]!;
  }

  term(row: number): number {
    return this.#term[this.#start + row]!;
  }

  segment(row: number): number {
    return this.#segment[this.#start + row]!;
  }

  offset(row: number): number {
    return this.#offset[this.#start + row]!;
  }

  /** Bytes of the body. */
  bytes(row: number): number {
    return this.#bytes[this.#start + row]!;
  }

  /** The last index that the body holds; the row behind may begin before it. */
  bodyLastIndex(row: number): number {
    return this.firstIndex(row) + this.#count[this.#start + row]! - 1;
  }

  /** The last row that begins at or before `index`; -1 where there is none. */
  find(index: number): number {
    let low = this.#start;
    let high = this.#end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#first[middle]! <= index) low = middle + 1;
      else high = middle;
    }
    return low - 1 - this.#start;
  }

  /** Adds a row behind all others. */
  push(location: Location): void {
    assert(
      this.rows === 0 || location.firstIndex > this.firstIndex(this.rows - 1),
      "a batch is added behind the others",
    );
    this.#reserve();
    this.#set(this.#end++, location);
  }

  /** Puts a row where it belongs: in place of the one that begins at the same index, or between. */
  place(location: Location): void {
    const row = this.find(location.firstIndex);
    const at = this.#start + row;
    if (row >= 0 && this.#first[at] === location.firstIndex) {
      this.#forget(at);
      this.#set(at, location);
      return;
    }
    this.#reserve();
    for (const column of this.#columns()) column.copyWithin(at + 2, at + 1, this.#end);
    this.#end++;
    this.#set(at + 1, location);
  }

  /** Removes the rows that begin at or behind `index`. */
  cutFrom(index: number): void {
    while (this.rows > 0 && this.firstIndex(this.rows - 1) >= index) this.#forget(--this.#end);
  }

  /**
   * Removes the rows that only hold entries up to and including `index`; `lastIndex` is the
   * group's. While the log is being replayed rows may be missing in between: those that were moved
   * come later. So a row ends with its body at the latest.
   */
  dropThrough(index: number, lastIndex: number): void {
    while (this.rows > 0) {
      const behind = this.rows > 1 ? this.firstIndex(1) - 1 : lastIndex;
      if (Math.min(behind, this.bodyLastIndex(0)) > index) break;
      this.#forget(this.#start++);
    }
    if (this.#start > ROWS_MIN && this.#start > this.#end / 2) this.#compact();
  }

  clear(): void {
    while (this.rows > 0) this.#forget(--this.#end);
  }

  #set(at: number, location: Location): void {
    this.#first[at] = location.firstIndex;
    this.#term[at] = location.term;
    this.#segment[at] = location.segment;
    this.#offset[at] = location.offset;
    this.#bytes[at] = location.bytes;
    this.#count[at] = location.count;
    this.#live.add(location.segment, recordBytes(location.bytes));
  }

  #forget(at: number): void {
    this.#live.add(this.#segment[at]!, -recordBytes(this.#bytes[at]!));
  }

  #columns(): (Float64Array | Uint32Array)[] {
    return [this.#first, this.#term, this.#segment, this.#offset, this.#bytes, this.#count];
  }

  #compact(): void {
    for (const column of this.#columns()) column.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
  }

  #reserve(): void {
    if (this.#end < this.#first.length) return;
    const capacity = Math.max(ROWS_MIN, this.#first.length * 2);
    this.#first = grownF64(this.#first, capacity);
    this.#term = grownF64(this.#term, capacity);
    this.#segment = grownU32(this.#segment, capacity);
    this.#offset = grownU32(this.#offset, capacity);
    this.#bytes = grownU32(this.#bytes, capacity);
    this.#count = grownU32(this.#count, capacity);
  }
}

function grownF64(old: Float64Array, capacity: number): Float64Array {
  const grown = new Float64Array(capacity);
  grown.set(old);
  return grown;
}

function grownU32(old: Uint32Array, capacity: number): Uint32Array {
  const grown = new Uint32Array(capacity);
  grown.set(old);
  return grown;
}
