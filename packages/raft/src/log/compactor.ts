/**
 * Which segments may go, and making them able to.
 *
 * Segments go oldest first, so that what is left is always a suffix of the log that begins with the
 * states of all groups. The oldest one goes when no group needs an entry of it. One slow group
 * must not keep the log of all others: where little of a segment is still needed, or where the log
 * has grown far beyond what is needed of it, that little is written again at the end (`moved`).
 *
 * Before a segment goes, the one behind it must be able to stand alone whatever happens: its
 * states are durable, and a mark in its own head or a later one proves it. Otherwise damage to
 * those states would look like a torn tail, and cutting it would empty the log without a word.
 */
import type { GroupLog } from "./group-log.ts";
import { MoveJob } from "./jobs.ts";
import type { OldBatch } from "./jobs.ts";
import type { LiveBytes } from "./location-index.ts";
import type { LogHealth } from "./log-health.ts";
import type { LogReader } from "./log-reader.ts";
import type { LogWriter } from "./log-writer.ts";
import type { Segment, SegmentPool } from "./segment-pool.ts";

/** What the compactor works on. */
export interface CompactorOptions {
  readonly pool: SegmentPool;
  readonly groups: ReadonlyMap<number, GroupLog>;
  readonly live: LiveBytes;
  readonly reader: LogReader;
  readonly writer: LogWriter;
  readonly health: LogHealth;
}

/** Of a segment, what may be left to be worth moving: one part in so many. */
const MOVED_PART = 4;
/** How often the log may hold what is needed of it, before more than that is moved. */
const GROWTH_MAX = 4;
/** Read and written again at a time. */
const MOVED_BYTES_MAX = 1_048_576; // 1 MiB

/** Lets go of segments that no group needs any more. */
export class Compactor {
  readonly #options: CompactorOptions;
  #running: Promise<void> | undefined;
  #again = false;
  #waitsForReaders = false;

  constructor(options: CompactorOptions) {
    this.#options = options;
  }

  /** Lets go what can go. Calls while it runs are taken together. */
  run(): Promise<void> {
    if (this.#running !== undefined) {
      this.#again = true;
      return this.#running;
    }
    this.#running = this.#loop().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** A reader has left: goes on if that was what kept a segment. */
  readerLeft(): void {
    if (!this.#waitsForReaders) return;
    this.#waitsForReaders = false;
    // A failure is kept by the health of the log; nobody waits for this run.
    this.run().catch(() => {});
  }

  /** Waits for a run that nobody else waits for. It ends by itself once the log is closed. */
  async stop(): Promise<void> {
    await this.#running?.catch(() => {});
  }

  async #loop(): Promise<void> {
    do {
      this.#again = false;
      while (await this.#step());
    } while (this.#again);
  }

  /** Lets the oldest segment go, or moves what keeps it; false where neither is possible. */
  async #step(): Promise<boolean> {
    const { pool, live, writer, reader, health } = this.#options;
    health.check();
    const { oldest } = pool;
    if (pool.segments.length < 2 || !writer.headIsDurable) return false;
    const needed = live.of(oldest.sequence);
    if (needed > 0) {
      if (!this.#isWorthMoving(oldest)) return false;
      await this.#empty(oldest);
      return live.of(oldest.sequence) < needed;
    }
    await writer.mark();
    this.#waitsForReaders = oldest.pins > 0;
    if (this.#waitsForReaders || !writer.headIsDurable) return false;
    // Nothing in it counts any more, so no reader can come to it from here on.
    await reader.forget(oldest.sequence);
    try {
      await pool.recycleOldest();
    } catch (error) {
      throw health.fail(error);
    }
    return true;
  }

  #isWorthMoving(oldest: Segment): boolean {
    const { live, pool, health } = this.#options;
    // Moving needs room itself: a release must not wait for space.
    if (health.state === "full") return false;
    if (live.of(oldest.sequence) * MOVED_PART <= oldest.size) return true;
    return pool.bytes > GROWTH_MAX * (live.total + oldest.size);
  }

  /** Moves what is live in a segment. */
  async #empty(segment: Segment): Promise<void> {
    const { groups, writer, live } = this.#options;
    for (const group of groups.values()) {
      let row = 0;
      while (live.of(segment.sequence) > 0 && row < group.locations.rows) {
        const batches: OldBatch[] = [];
        row = await this.#gather(group, row, segment, batches);
        if (batches.length > 0) await writer.run(new MoveJob(batches));
      }
    }
  }

  /** Reads live batches from `row` on; returns the row to go on from. */
  async #gather(group: GroupLog, row: number, segment: Segment, into: OldBatch[]): Promise<number> {
    const { locations } = group;
    let bytes = 0;
    let at = row;
    // Rows that are gathered one after another: their places are taken before anything waits.
    while (at < locations.rows && locations.segment(at) !== segment.sequence) at++;
    const first = at;
    const offsets: number[] = [];
    while (at < locations.rows && locations.segment(at) === segment.sequence) {
      if (bytes > 0 && bytes + locations.bytes(at) > MOVED_BYTES_MAX) break;
      bytes += locations.bytes(at);
      offsets.push(locations.offset(at));
      at++;
    }
    const batches = await this.#options.reader.readRows(group, first, at);
    for (let i = 0; i < batches.length; i++) {
      const place = { segment: segment.sequence, offset: offsets[i]! };
      into.push({ group, batch: batches[i]!, at: place });
    }
    // What was released meanwhile shifted the rows; the rest is found when this runs again.
    return at;
  }
}
