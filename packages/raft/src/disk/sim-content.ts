/**
 * The content of one simulated file: what the page cache says, and what the medium holds.
 *
 * Both are kept in sectors of 512 bytes, the unit that a medium writes as a whole. A write changes
 * the cache and marks its sectors dirty; a sync brings dirty sectors to the medium. Power loss
 * keeps, of the dirty sectors, any subset; those that are mishandled most are likely: none, all, a
 * beginning, an end, all but one, only one. Size is metadata of its own, and may survive without
 * the data or be lost with the data kept.
 *
 * A failed sync behaves as on ext4 and XFS: the pages are marked clean and keep their new content
 * in the cache, while the medium never gets it. So a later sync "succeeds", reads look right, and
 * the data is gone after the next power loss, or as soon as the cache is dropped.
 *
 * The two images are nearly always equal, as a log syncs what it writes. So there is one image,
 * that of the cache, and beside it what the medium has *under* those sectors in which it differs:
 * the dirty ones, and those that a failed sync dropped. What costs time is what is not synced.
 */
import type { Random } from "../util/random.ts";

/** The unit in which a medium writes. */
export const SECTOR_BYTES = 512;

const DIRTY = 1;
const ALLOCATED = 2;
const UNREADABLE = 4;

/** What the medium has where nothing was ever written. Shared, as all that lies under. */
const EMPTY_SECTOR: Uint8Array = new Uint8Array(SECTOR_BYTES);

/** The cache and the medium of one file. */
export class SimContent {
  size = 0;
  durableSize = 0;
  /** Sectors that take space: written at some time and not cut off since. */
  allocatedSectors = 0;
  #cache: Uint8Array = new Uint8Array(0);
  #flags: Uint8Array = new Uint8Array(0);
  /**
   * The medium, where it may differ from the cache; every dirty sector is in here. What stands in
   * it is never changed, only replaced.
   */
  readonly #under: Map<number, Uint8Array> = new Map();
  #mayBeUnreadable = false;

  /** Puts bytes into the cache. */
  write(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return;
    const end = position + bytes.length;
    this.#reserve(end);
    for (let s = firstSector(position); s < endSector(end); s++) {
      this.#keepUnder(s);
      this.#allocate(s);
      this.#flags[s] = DIRTY | ALLOCATED;
    }
    this.#cache.set(bytes, position);
    this.size = Math.max(this.size, end);
  }

  /** Puts bytes into the cache and brings their sectors to the medium: an O_DSYNC write. */
  writeThrough(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return;
    const end = position + bytes.length;
    this.#reserve(end);
    for (let s = firstSector(position); s < endSector(end); s++) {
      if (this.#under.size > 0) this.#under.delete(s);
      this.#allocate(s);
      this.#flags[s] = ALLOCATED;
    }
    this.#cache.set(bytes, position);
    this.size = Math.max(this.size, end);
    this.durableSize = Math.max(this.durableSize, end);
  }

  /** How many more sectors a write would allocate. */
  sectorsNeeded(position: number, length: number): number {
    if (length === 0) return 0;
    let needed = 0;
    for (let s = firstSector(position); s < endSector(position + length); s++) {
      if (!this.#isAllocated(s)) needed++;
    }
    return needed;
  }

  /** How much of a write fits if no more than so many sectors can be allocated. */
  fitting(position: number, length: number, sectors: number): number {
    let left = sectors;
    for (let s = firstSector(position); s < endSector(position + length); s++) {
      if (this.#isAllocated(s)) continue;
      if (left === 0) return Math.max(0, s * SECTOR_BYTES - position);
      left--;
    }
    return length;
  }

  /** Fills `into` from the cache; undefined where a sector cannot be read. */
  read(into: Uint8Array, position: number): number | undefined {
    const length = Math.max(0, Math.min(into.length, this.size - position));
    if (length === 0) return 0;
    if (this.#mayBeUnreadable && this.#isUnreadable(position, position + length)) return undefined;
    const known = Math.max(0, Math.min(length, this.#cache.length - position));
    if (known > 0) into.set(this.#cache.subarray(position, position + known));
    // Past what was ever written lie the zeros of an extended file.
    into.fill(0, known, length);
    return length;
  }

  truncate(size: number): void {
    if (size < this.size) {
      const known = Math.min(this.size, this.#cache.length);
      for (let s = firstSector(size); s < endSector(known); s++) {
        this.#keepUnder(s);
        this.#allocate(s);
        this.#flags[s] = DIRTY | ALLOCATED;
      }
      this.#cut(size, known);
    }
    this.size = size;
  }

  /** Makes data and size durable. */
  sync(): void {
    this.#clean(0, this.#flags.length, true);
    this.durableSize = this.size;
  }

  /** Makes a range durable, and the size as far as the range needs it. */
  syncRange(position: number, end: number): void {
    this.#clean(firstSector(position), endSector(end), true);
    this.durableSize = Math.max(this.durableSize, Math.min(end, this.size));
  }

  /** A failed sync: the pages of a range count as clean, and the medium has none of them. */
  dropRange(position: number, end: number): void {
    this.#clean(firstSector(position), endSector(end), false);
  }

  /** Forgets clean pages, so that the next read comes from the medium. */
  evict(): void {
    for (const [s, medium] of this.#under) {
      if ((this.#flags[s]! & DIRTY) !== 0) continue;
      const at = s * SECTOR_BYTES;
      this.#cache.set(medium, at);
      if (this.size >= at + SECTOR_BYTES) this.#under.delete(s);
      // What lies behind the end of the file is there, but reads as zeros.
      else this.#cache.fill(0, Math.max(at, this.size), at + SECTOR_BYTES);
    }
  }

  /** Damage on the medium that the cache does not hide: bit rot, or a foreign hand. */
  flip(offset: number, mask: number): void {
    this.#reserve(offset + 1);
    this.#cache[offset] = this.#cache[offset]! ^ mask;
    const sector = firstSector(offset);
    const medium = this.#under.get(sector)?.slice();
    if (medium === undefined) return;
    const at = offset - sector * SECTOR_BYTES;
    medium[at] = medium[at]! ^ mask;
    this.#under.set(sector, medium);
  }

  /** Makes the sectors of a range unreadable until they are written again. */
  spoil(position: number, length: number): void {
    this.#reserve(position + length);
    for (let s = firstSector(position); s < endSector(position + length); s++) {
      this.#flags[s] = this.#flags[s]! | UNREADABLE;
    }
    this.#mayBeUnreadable = true;
  }

  /** The power goes: of what was not synced a subset is left. */
  losePower(random: Random): void {
    const dirty: number[] = [];
    for (const s of this.#under.keys()) if ((this.#flags[s]! & DIRTY) !== 0) dirty.push(s);
    dirty.sort((a, b) => a - b);
    const survives = drawSurvival(random, dirty.length);
    dirty.forEach((s, i) => {
      this.#flags[s] = this.#flags[s]! & ~DIRTY;
      if (survives(i)) this.#under.delete(s);
    });
    for (const [s, medium] of this.#under) this.#cache.set(medium, s * SECTOR_BYTES);
    this.#under.clear();
    this.size = drawSize(random, this.durableSize, this.size);
    this.durableSize = this.size;
    this.#cut(this.size, this.#cache.length);
  }

  copy(): SimContent {
    const copy = new SimContent();
    copy.size = this.size;
    copy.durableSize = this.durableSize;
    copy.allocatedSectors = this.allocatedSectors;
    copy.#cache = this.#cache.slice();
    copy.#flags = this.#flags.slice();
    for (const [s, medium] of this.#under) copy.#under.set(s, medium);
    copy.#mayBeUnreadable = this.#mayBeUnreadable;
    return copy;
  }

  /** What a reader sees now. */
  image(): Uint8Array {
    return padded(this.#cache, this.size);
  }

  /** What would be there if the power went now and nothing more was kept. */
  durableImage(): Uint8Array {
    const image = padded(this.#cache, this.durableSize);
    for (const [s, medium] of this.#under) {
      const at = s * SECTOR_BYTES;
      if (at < image.length) image.set(medium.subarray(0, image.length - at), at);
    }
    return image;
  }

  #isAllocated(sector: number): boolean {
    return ((this.#flags[sector] ?? 0) & ALLOCATED) !== 0;
  }

  #isUnreadable(position: number, end: number): boolean {
    for (let s = firstSector(position); s < endSector(end); s++) {
      if (((this.#flags[s] ?? 0) & UNREADABLE) !== 0) return true;
    }
    return false;
  }

  /** The cache is going to change: remembers what the medium has. */
  #keepUnder(sector: number): void {
    if (this.#under.has(sector)) return;
    const at = sector * SECTOR_BYTES;
    const isNew = this.#flags[sector] === 0 && sector >= endSector(this.size);
    this.#under.set(sector, isNew ? EMPTY_SECTOR : this.#cache.slice(at, at + SECTOR_BYTES));
  }

  #allocate(sector: number): void {
    if (!this.#isAllocated(sector)) this.allocatedSectors++;
  }

  /**
   * Nothing is dirty any more in a range of sectors; where it `reached` the medium, that has it.
   */
  #clean(first: number, end: number, reached: boolean): void {
    for (const s of this.#under.keys()) {
      if (s < first || s >= end || (this.#flags[s]! & DIRTY) === 0) continue;
      this.#flags[s] = this.#flags[s]! & ~DIRTY;
      if (reached) this.#under.delete(s);
    }
  }

  /** Zeros behind a new end, and no space taken there. */
  #cut(size: number, known: number): void {
    if (size < known) this.#cache.fill(0, size, known);
    for (let s = endSector(size); s < this.#flags.length; s++) {
      if (!this.#isAllocated(s)) continue;
      this.allocatedSectors--;
      this.#flags[s] = this.#flags[s]! & ~ALLOCATED;
    }
  }

  #reserve(end: number): void {
    const sectors = endSector(end);
    if (sectors <= this.#flags.length) return;
    const grown = Math.max(sectors, this.#flags.length * 2);
    this.#cache = padded(this.#cache, grown * SECTOR_BYTES);
    this.#flags = padded(this.#flags, grown);
  }
}

/** Which of so many dirty sectors a power loss keeps, by their number among them. */
function drawSurvival(random: Random, count: number): (i: number) => boolean {
  // Nothing can be torn where less than two are dirty.
  const mode = random.below(count < 2 ? 2 : 7);
  if (mode === 0) return () => false;
  if (mode === 1) return () => true;
  if (mode === 2) return () => random.below(2) === 0;
  const at = random.below(count);
  if (mode === 3) return (i) => i <= at && i < count - 1;
  if (mode === 4) return (i) => i >= at && i > 0;
  return mode === 5 ? (i) => i !== at : (i) => i === at;
}

/** Old, new, or (of a file that grew) anything between. */
function drawSize(random: Random, durable: number, cached: number): number {
  if (durable === cached) return durable;
  const mode = random.below(3);
  if (mode === 0) return durable;
  if (mode === 1 || cached < durable) return cached;
  return durable + random.below(cached - durable + 1);
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
