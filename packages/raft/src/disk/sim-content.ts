/**
 * The content of one simulated file: what the page cache says, and what the medium holds.
 *
 * Both images are kept in sectors of 512 bytes, the unit that a medium writes as a whole. A write
 * changes the cache and marks its sectors dirty; a sync copies dirty sectors to the medium. Power
 * loss keeps, of the dirty sectors, any subset: none, all, a beginning, or each by a coin. Size is
 * metadata of its own, and may survive without the data or be lost with the data kept.
 *
 * A failed sync behaves as on ext4 and XFS: the pages are marked clean and keep their new content
 * in the cache, while the medium never gets it. So a later sync "succeeds", reads look right, and
 * the data is gone after the next power loss, or as soon as the cache is dropped.
 */
import type { Random } from "../util/random.ts";

/** The unit in which a medium writes. */
export const SECTOR_BYTES = 512;

const DIRTY = 1;
const ALLOCATED = 2;
const UNREADABLE = 4;

/** The cache and the medium of one file. */
export class SimContent {
  size = 0;
  durableSize = 0;
  /** Sectors that take space: written at some time and not cut off since. */
  allocatedSectors = 0;
  #cache: Uint8Array = new Uint8Array(0);
  #medium: Uint8Array = new Uint8Array(0);
  #flags: Uint8Array = new Uint8Array(0);

  /** Puts bytes into the cache. */
  write(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return;
    const end = position + bytes.length;
    this.#reserve(end);
    this.#cache.set(bytes, position);
    this.#mark(position, end);
    this.size = Math.max(this.size, end);
  }

  /** How many more sectors a write would allocate. */
  sectorsNeeded(position: number, length: number): number {
    let needed = 0;
    for (let s = firstSector(position); s < endSector(position + length); s++) {
      if (((this.#flags[s] ?? 0) & ALLOCATED) === 0) needed++;
    }
    return length === 0 ? 0 : needed;
  }

  /** Fills `into` from the cache; undefined where a sector cannot be read. */
  read(into: Uint8Array, position: number): number | undefined {
    const length = Math.max(0, Math.min(into.length, this.size - position));
    if (length === 0) return 0;
    for (let s = firstSector(position); s < endSector(position + length); s++) {
      if (((this.#flags[s] ?? 0) & UNREADABLE) !== 0) return undefined;
    }
    // Past what was ever written lie the zeros of an extended file.
    into.fill(0, 0, length);
    into.set(this.#cache.subarray(position, position + length));
    return length;
  }

  truncate(size: number): void {
    if (size < this.size) {
      const known = Math.min(this.size, this.#cache.length);
      this.#cache.fill(0, size, this.#cache.length);
      if (size < known) this.#mark(size, known);
      for (let s = endSector(size); s < this.#flags.length; s++) this.#release(s);
    }
    this.size = size;
  }

  /** Makes data and size durable. */
  sync(): void {
    this.syncRange(0, this.#flags.length * SECTOR_BYTES);
    this.durableSize = this.size;
  }

  /** Makes a range durable, and the size as far as the range needs it: an O_DSYNC write. */
  syncRange(position: number, end: number): void {
    for (let s = firstSector(position); s < endSector(end); s++) {
      if (((this.#flags[s] ?? 0) & DIRTY) === 0) continue;
      this.#toMedium(s);
      this.#flags[s] = this.#flags[s]! & ~DIRTY;
    }
    this.durableSize = Math.max(this.durableSize, Math.min(end, this.size));
  }

  /** A failed sync: the pages of a range count as clean, and the medium has none of them. */
  dropRange(position: number, end: number): void {
    const last = Math.min(endSector(end), this.#flags.length);
    for (let s = firstSector(position); s < last; s++) this.#flags[s] = this.#flags[s]! & ~DIRTY;
  }

  /** Forgets clean pages, so that the next read comes from the medium. */
  evict(): void {
    for (let s = 0; s < this.#flags.length; s++) {
      if ((this.#flags[s]! & DIRTY) !== 0) continue;
      const at = s * SECTOR_BYTES;
      this.#cache.set(this.#medium.subarray(at, at + SECTOR_BYTES), at);
    }
    this.#cache.fill(0, this.size, this.#cache.length);
  }

  /** Damage on the medium that the cache does not hide: bit rot, or a foreign hand. */
  flip(offset: number, mask: number): void {
    this.#reserve(offset + 1);
    this.#cache[offset] = this.#cache[offset]! ^ mask;
    this.#medium[offset] = this.#medium[offset]! ^ mask;
  }

  /** Makes the sectors of a range unreadable until they are written again. */
  spoil(position: number, length: number): void {
    this.#reserve(position + length);
    for (let s = firstSector(position); s < endSector(position + length); s++) {
      this.#flags[s] = this.#flags[s]! | UNREADABLE;
    }
  }

  /** What is left of this file after the power went: a subset of what was not synced. */
  afterPowerLoss(random: Random): SimContent {
    const left = this.copy();
    const survives = drawSurvival(random, left.#flags.length);
    for (let s = 0; s < left.#flags.length; s++) {
      if ((left.#flags[s]! & DIRTY) !== 0 && survives(s)) left.#toMedium(s);
    }
    left.durableSize = drawSize(random, this.durableSize, this.size);
    left.size = left.durableSize;
    left.dropRange(0, left.#flags.length * SECTOR_BYTES);
    left.evict();
    left.#medium.fill(0, left.size, left.#medium.length);
    left.#cache.fill(0, left.size, left.#cache.length);
    for (let s = endSector(left.size); s < left.#flags.length; s++) left.#release(s);
    return left;
  }

  copy(): SimContent {
    const copy = new SimContent();
    copy.size = this.size;
    copy.durableSize = this.durableSize;
    copy.allocatedSectors = this.allocatedSectors;
    copy.#cache = this.#cache.slice();
    copy.#medium = this.#medium.slice();
    copy.#flags = this.#flags.slice();
    return copy;
  }

  /** What a reader sees now. */
  image(): Uint8Array {
    return padded(this.#cache, this.size);
  }

  /** What would be there if the power went now and nothing more was kept. */
  durableImage(): Uint8Array {
    return padded(this.#medium, this.durableSize);
  }

  #toMedium(sector: number): void {
    const at = sector * SECTOR_BYTES;
    this.#medium.set(this.#cache.subarray(at, at + SECTOR_BYTES), at);
  }

  #mark(position: number, end: number): void {
    for (let s = firstSector(position); s < endSector(end); s++) {
      if ((this.#flags[s]! & ALLOCATED) === 0) this.allocatedSectors++;
      this.#flags[s] = DIRTY | ALLOCATED;
    }
  }

  #release(sector: number): void {
    if ((this.#flags[sector]! & ALLOCATED) !== 0) this.allocatedSectors--;
    this.#flags[sector] = this.#flags[sector]! & ~ALLOCATED;
  }

  #reserve(end: number): void {
    const sectors = endSector(end);
    if (sectors <= this.#flags.length) return;
    const grown = Math.max(sectors, this.#flags.length * 2);
    this.#cache = padded(this.#cache, grown * SECTOR_BYTES);
    this.#medium = padded(this.#medium, grown * SECTOR_BYTES);
    this.#flags = padded(this.#flags, grown);
  }
}

/** Which of the dirty sectors a power loss keeps. */
function drawSurvival(random: Random, sectors: number): (sector: number) => boolean {
  const mode = random.below(4);
  if (mode === 0) return () => false;
  if (mode === 1) return () => true;
  if (mode === 2) return () => random.below(2) === 0;
  const cut = random.below(sectors + 1);
  return (sector) => sector < cut;
}

/** Old, new, or (of a file that grew) anything between. */
function drawSize(random: Random, durable: number, cached: number): number {
  if (durable === cached) return durable;
  const mode = random.below(3);
  if (mode === 0) return durable;
  if (mode === 1 || cached < durable) return cached;
  return durable + random.below(cached - durable + 1);
}

/** Whether nothing but zeros is in there. */
export function isZero(bytes: Uint8Array): boolean {
  const { buffer, byteOffset, length } = bytes;
  let at = 0;
  if (byteOffset % 4 === 0) {
    const words = new Int32Array(buffer, byteOffset, length >> 2);
    for (let i = 0; i < words.length; i++) if (words[i] !== 0) return false;
    at = words.length * 4;
  }
  for (; at < length; at++) if (bytes[at] !== 0) return false;
  return true;
}

function padded(bytes: Uint8Array, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  copy.set(bytes.subarray(0, length));
  return copy;
}

function firstSector(position: number): number {
  return Math.floor(position / SECTOR_BYTES);
}

function endSector(end: number): number {
  return Math.ceil(end / SECTOR_BYTES);
}
