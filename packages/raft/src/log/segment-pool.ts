/**
 * The files of the log: those in use, the one that is ready to be next, and spares.
 *
 *   recycled ──► N.spare ─┐ new head
 *                         ├──► synced ──► renamed to M.log ──► directory synced ──► next ──► in use
 *   nothing ──► M.new ────┘ zeros and head
 *
 * A file gets its final name only when its bytes are durable, and the next segment is entered only
 * when that name is. Every change of a name is synced before the one after it, so that no power
 * loss can keep the later one alone: a gap in the sequence always means damage.
 *
 * The next segment is prepared while the present one is being filled, in small synced pieces
 * through the ordinary lane of the disk, so that the log's own writes hardly notice. A spare needs
 * only a new head: it is full of old records, which their place keeps from counting (record.ts).
 *
 * Space can be short only here. The unfinished file is removed and the attempt repeated from the
 * start after a pause, or at once when a spare turns up. Any other failure poisons the log.
 */
import { DiskError } from "../disk/disk.ts";
import type { Disk, DiskFile } from "../disk/disk.ts";
import { assert, assertDefined } from "../util/assert.ts";
import type { Checksum } from "../util/checksum.ts";
import type { Clock, Timer } from "../util/clock.ts";
import { QuorateError } from "../util/error.ts";
import type { LogHealth } from "./log-health.ts";
import { encodeSegmentHead, segmentName } from "./segment.ts";

/** A segment with its final name. */
export interface Segment {
  readonly sequence: number;
  readonly size: number;
  readonly path: string;
  /** Readers that are at it: it is not recycled before they are gone. */
  pins: number;
}

/** A segment that can be written to. */
export interface OpenSegment extends Segment {
  readonly file: DiskFile;
}

/** What the pool needs. */
export interface SegmentPoolOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly checksum: Checksum;
  readonly clock: Clock;
  readonly health: LogHealth;
  readonly logId: number;
  readonly segmentBytes: number;
}

/**
 * Files kept for later beyond the next one. A compaction sets several free at once; making one anew
 * means to write all of it twice, just when the log grows fast.
 */
export function sparesMax(segmentBytes: number): number {
  return segmentBytes <= SMALL_SEGMENT_BYTES ? 4 : 2;
}

const SMALL_SEGMENT_BYTES = 16_777_216; // 16 MiB
const ZERO_PIECE_BYTES = 262_144; // 256 KiB
/** While the log waits for the segment there are no writes that large pieces could hold up. */
const HURRIED_PIECE_BYTES = 2_097_152; // 2 MiB
const FULL_RETRY_MS = 500;

/** The segments of one log: in use, being prepared, spare. */
export class SegmentPool {
  /** Oldest first; the last one is being written. Sequence numbers have no gaps. */
  readonly segments: Segment[];
  readonly #options: SegmentPoolOptions;
  readonly #spares: string[];
  #next: OpenSegment | undefined;
  #preparing: Promise<void> = Promise.resolve();
  #pause: { readonly timer: Timer; readonly wake: () => void } | undefined;
  #refusing = false;
  #waiting: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];

  constructor(options: SegmentPoolOptions, segments: Segment[], spares: string[]) {
    this.#options = options;
    this.segments = segments;
    this.#spares = spares;
    options.health.onFailure(() => {
      this.#pause?.wake();
      this.#settle();
    });
  }

  get oldest(): Segment {
    return assertDefined(this.segments[0], "a log has at least one segment");
  }

  get current(): Segment {
    return assertDefined(this.segments.at(-1), "a log has at least one segment");
  }

  /** Bytes of all files with a final name. */
  get bytes(): number {
    let bytes = this.#next?.size ?? 0;
    for (const segment of this.segments) bytes += segment.size;
    return bytes;
  }

  /** The segment in use with that sequence number. */
  segment(sequence: number): Segment {
    const segment = this.segments[sequence - this.oldest.sequence];
    return assertDefined(segment, `segment ${sequence} is not in use`);
  }

  /** Makes the first segment of a new log, and waits for it. */
  async makeFirst(): Promise<OpenSegment> {
    assert(this.segments.length === 0, "the first segment of a new log");
    const first = await this.#make(1, false);
    this.segments.push(first);
    return first;
  }

  /** Starts to prepare the next segment, unless recovery found it. */
  start(found?: OpenSegment): void {
    if (found === undefined) this.prepareNext();
    else this.#next = found;
  }

  /**
   * The next segment if it is ready; it is the current one from now on. The caller goes over to it
   * and then calls {@link prepareNext}.
   */
  takeNext(): OpenSegment | undefined {
    const next = this.#next;
    if (next === undefined) return undefined;
    this.#next = undefined;
    this.segments.push(next);
    return next;
  }

  /**
   * Starts to prepare the segment behind the current one. Not before the end of the one that was
   * left is durable: a death in between would leave two files behind the end of the log, and
   * recovery would have to take the second for the remains of something lost.
   */
  prepareNext(): void {
    this.#preparing = this.#prepare(this.current.sequence + 1);
  }

  /** Resolves when `takeNext` has something; rejects when it never will. */
  ready(): Promise<void> {
    if (this.#next !== undefined) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      if (this.#hopeless()) this.#settle();
    });
  }

  /**
   * Takes the oldest segment out of use. Nobody needs it, and the one behind it can stand alone.
   */
  async recycleOldest(): Promise<void> {
    const { disk, directory, segmentBytes } = this.#options;
    const oldest = this.oldest;
    assert(oldest.pins === 0 && this.segments.length > 1, "the segment is still needed");
    const spare = `${directory}/${segmentName(oldest.sequence, "spare")}`;
    const kept = oldest.size === segmentBytes && this.#spares.length < sparesMax(segmentBytes);
    this.segments.shift();
    await (kept ? disk.rename(oldest.path, spare) : disk.remove(oldest.path));
    await disk.syncDirectory(directory);
    if (kept) this.#spares.push(spare);
    this.#pause?.wake();
  }

  /** From now on nobody waits for space: a closing log cannot wait for an operator. */
  refuseToWait(): void {
    this.#refusing = true;
    this.#settle();
  }

  /** Ends preparing. The log is closed or failed by now. */
  async stop(): Promise<void> {
    this.#pause?.wake();
    this.#settle();
    await this.#preparing;
    await this.#next?.file.close();
  }

  async #prepare(sequence: number): Promise<void> {
    const { health } = this.#options;
    try {
      while (!health.failed && !health.closed) {
        const spares = this.#spares.length;
        const next = await this.#tryMake(sequence);
        if (next !== undefined) {
          this.#next = next;
          health.setFull(false);
          break;
        }
        health.setFull(true);
        this.#settle();
        // A spare that came meanwhile needs no space: no reason to wait.
        if (this.#spares.length <= spares) await this.#rest();
      }
    } catch (error) {
      // A closed log went away under us on purpose; anything else is a failure of the disk.
      if (!health.closed) health.fail(error);
    }
    this.#settle();
  }

  /** The next segment; undefined where there is no space for it. */
  async #tryMake(sequence: number): Promise<OpenSegment | undefined> {
    try {
      return await this.#make(sequence, true);
    } catch (error) {
      if (!(error instanceof DiskError) || error.reason !== "full") throw error;
      return undefined;
    }
  }

  async #make(sequence: number, inBackground: boolean): Promise<OpenSegment> {
    const { disk, directory, checksum, logId, segmentBytes } = this.#options;
    const head = encodeSegmentHead({ sequence, size: segmentBytes, logId }, checksum);
    const path = `${directory}/${segmentName(sequence, "log")}`;
    const spare = this.#spares[0];
    if (spare === undefined) {
      const made = `${directory}/${segmentName(sequence, "new")}`;
      await this.#writeWhole(made, head, inBackground);
      await this.#nameOrRemove(made, path);
    } else {
      await this.#writeHead(spare, head);
      await disk.rename(spare, path);
      this.#spares.shift();
    }
    await this.#syncNames();
    const file = await disk.open(path, { mode: "write", dataSync: true, urgent: true });
    return { sequence, size: segmentBytes, path, pins: 0, file };
  }

  /** A file of zeros behind a head. In the background each piece is synced, to spread the work. */
  async #writeWhole(path: string, head: Uint8Array, inBackground: boolean): Promise<void> {
    const { disk, health, segmentBytes } = this.#options;
    const file = await disk.open(path, { mode: "create", dataSync: inBackground });
    try {
      let zeros = new Uint8Array(Math.min(ZERO_PIECE_BYTES, segmentBytes));
      for (let at = 0; at < segmentBytes;) {
        if (health.closed || health.failed) throw new DiskError("closed", path, "the log ended");
        if (this.#waiting.length > 0 && zeros.length === ZERO_PIECE_BYTES) {
          zeros = new Uint8Array(HURRIED_PIECE_BYTES);
        }
        const piece = Math.min(zeros.length, segmentBytes - at);
        await file.write(zeros.subarray(0, piece), at);
        at += piece;
      }
      await file.write(head, 0);
      await file.sync();
    } catch (error) {
      // What was written may be lost although it looks fine: nothing of this file is used again.
      await file.close();
      await disk.remove(path).catch(ignore);
      throw error;
    }
    await file.close();
  }

  async #nameOrRemove(made: string, path: string): Promise<void> {
    const { disk } = this.#options;
    try {
      await disk.rename(made, path);
    } catch (error) {
      await disk.remove(made).catch(ignore);
      throw error;
    }
  }

  async #writeHead(path: string, head: Uint8Array): Promise<void> {
    const file = await this.#options.disk.open(path, { mode: "write" });
    try {
      await file.write(head, 0);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /**
   * Whether a name is durable cannot be found out a second time, not even after a lack of space.
   */
  async #syncNames(): Promise<void> {
    const { disk, directory } = this.#options;
    try {
      await disk.syncDirectory(directory);
    } catch (error) {
      throw new DiskError("io", directory, "names could not be made durable", error);
    }
  }

  /** Waits for a while, or until there is a spare or an end. */
  #rest(): Promise<void> {
    const { health, clock } = this.#options;
    if (health.failed || health.closed) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#pause?.timer.cancel();
        this.#pause = undefined;
        resolve();
      };
      this.#pause = { timer: clock.setTimer(FULL_RETRY_MS, wake), wake };
    });
  }

  /** Tells those who wait for the next segment what became of it. */
  #settle(): void {
    if (this.#next === undefined && !this.#hopeless()) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { resolve, reject } of waiting) {
      if (this.#next === undefined) reject(this.#ended());
      else resolve();
    }
  }

  #hopeless(): boolean {
    const { health } = this.#options;
    return health.failed || health.closed || (this.#refusing && health.state === "full");
  }

  #ended(): Error {
    const { health } = this.#options;
    if (health.failed) return health.failure();
    if (health.state === "full") {
      return new QuorateError("DISK_FULL", "the log was closed while it waited for space", {
        outcome: "unknown",
      });
    }
    return new QuorateError("CLOSED", "the log is closed", { outcome: "unknown" });
  }
}

function ignore(): void {}
