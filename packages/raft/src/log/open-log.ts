/**
 * Opening the log: recover, make durable what was only found, say so durably, and only then go on.
 *
 * The order matters, and a crash anywhere in it leads to the same log once more:
 *  1. recovery reads and may refuse; nothing was changed so far;
 *  2. the directory is synced: names that were found must be durable before anything relies on
 *     them;
 *  3. leftovers are removed: unfinished files, and spares beyond those that are kept;
 *  4. what no mark proves is written again;
 *  5. a fresh mark goes into a slot. It carries the number of this opening, which is higher than
 *     all that were found: no record is written before that number is durable (see record.ts).
 */
import type { Disk } from "../disk/disk.ts";
import { assert } from "../util/assert.ts";
import type { Checksum } from "../util/checksum.ts";
import type { Clock } from "../util/clock.ts";
import type { Random } from "../util/random.ts";
import { LiveBytes } from "./location-index.ts";
import { LogHealth, openingFailed } from "./log-health.ts";
import type { Position } from "./position.ts";
import { recoverLog } from "./recover.ts";
import type { Recovered } from "./recover.ts";
import { rewriteUnproven } from "./rewrite.ts";
import { logSeal } from "./seal.ts";
import { SegmentPool, sparesMax } from "./segment-pool.ts";
import type { OpenSegment, Segment } from "./segment-pool.ts";
import { SegmentedLog } from "./segmented-log.ts";
import {
  SEGMENT_BYTES_MAX,
  SEGMENT_BYTES_MIN,
  SEGMENT_HEAD_BYTES,
  SLOT_BYTES,
  encodeSlot,
  parseSegmentName,
  slotOffset,
} from "./segment.ts";

/** Options of {@link openLog}. */
export interface LogOptions {
  readonly disk: Disk;
  /** Absolute path; made if it is not there. Its parent must exist. */
  readonly directory: string;
  readonly checksum: Checksum;
  readonly clock: Clock;
  /** Draws the id of a new log. */
  readonly random: Random;
  /**
   * Size of new segments; default 16 MiB. A batch must fit into one, with the states of all groups.
   */
  readonly segmentBytes?: number;
}

const SEGMENT_BYTES = 16_777_216; // 16 MiB

/** Opens the log in a directory, or makes one. */
export async function openLog(options: LogOptions): Promise<SegmentedLog> {
  const { segmentBytes = SEGMENT_BYTES } = options;
  assert(
    segmentBytes >= SEGMENT_BYTES_MIN &&
      segmentBytes <= SEGMENT_BYTES_MAX &&
      segmentBytes % 8 === 0,
    () => `segmentBytes ${segmentBytes} is out of bounds`,
  );
  try {
    return await new Opening(options, segmentBytes).run();
  } catch (error) {
    throw openingFailed(error);
  }
}

class Opening {
  readonly #options: LogOptions;
  readonly #segmentBytes: number;
  readonly #health: LogHealth = new LogHealth();
  readonly #startMs: number;

  constructor(options: LogOptions, segmentBytes: number) {
    this.#options = options;
    this.#segmentBytes = segmentBytes;
    this.#startMs = options.clock.nowMs();
  }

  async run(): Promise<SegmentedLog> {
    const { disk, directory } = this.#options;
    await disk.makeDirectory(directory);
    await disk.syncDirectory(directory.slice(0, Math.max(1, directory.lastIndexOf("/"))));
    const sequences: number[] = [];
    const leftovers: string[] = [];
    const spares: string[] = [];
    for (const name of await disk.list(directory)) {
      const parsed = parseSegmentName(name);
      if (parsed?.suffix === "log") sequences.push(parsed.sequence);
      else if (parsed?.suffix === "new") leftovers.push(`${directory}/${name}`);
      else if (parsed?.suffix === "spare") spares.push(`${directory}/${name}`);
    }
    if (sequences.length === 0) return this.#create([...leftovers, ...spares]);
    return this.#reopen(sequences, leftovers, spares);
  }

  /** A new log. Spares of an older one are not used: let it have no past at all. */
  async #create(leftovers: readonly string[]): Promise<SegmentedLog> {
    const { random } = this.#options;
    await this.#remove(leftovers);
    const logId = random.below(0x1_0000_0000) * 0x10_0000 + random.below(0x10_0000);
    const pool = this.#pool(logId, [], []);
    const first = await pool.makeFirst();
    return this.#open(pool, undefined, {
      logId,
      segment: first,
      opening: 0,
      generation: 0,
      tail: { segment: first.sequence, offset: SEGMENT_HEAD_BYTES },
      rewrittenBytes: 0,
    });
  }

  async #reopen(
    sequences: readonly number[],
    leftovers: readonly string[],
    spares: readonly string[],
  ): Promise<SegmentedLog> {
    const { disk, directory } = this.#options;
    const recovered = await recoverLog(this.#options, sequences);
    await disk.syncDirectory(directory);
    const kept = await this.#usable(spares);
    await this.#remove([...leftovers, ...spares.filter((path) => !kept.includes(path))]);
    const { segments, unproven } = recovered;
    const rewrittenBytes = await rewriteUnproven(disk, unproven);
    const pool = this.#pool(recovered.logId, segments, kept);
    const segment = await this.#openForWriting(pool.current);
    return this.#open(pool, recovered, { ...recovered, segment, rewrittenBytes });
  }

  /** Writes the fresh mark, and puts the log together. */
  async #open(
    pool: SegmentPool,
    recovered: Recovered | undefined,
    found: {
      readonly logId: number;
      readonly segment: OpenSegment;
      readonly opening: number;
      readonly generation: number;
      readonly tail: Position;
      readonly rewrittenBytes: number;
    },
  ): Promise<SegmentedLog> {
    const { checksum, clock } = this.#options;
    const { logId, segment, tail } = found;
    const opening = found.opening + 1;
    const generation = found.generation + 1;
    try {
      const slot = new Uint8Array(SLOT_BYTES);
      const { sequence } = segment;
      encodeSlot(slot, { sequence, logId, generation, mark: tail, opening }, checksum);
      await segment.file.write(slot, slotOffset(generation));
      const prepared = recovered?.prepared;
      pool.start(prepared === undefined ? undefined : await this.#openForWriting(prepared));
    } catch (error) {
      await segment.file.close();
      throw error;
    }
    return new SegmentedLog({
      options: this.#options,
      pool,
      health: this.#health,
      groups: recovered?.groups ?? new Map(),
      live: recovered?.live ?? new LiveBytes(),
      seal: logSeal(checksum, logId),
      logId,
      opening,
      end: { segment, end: tail, generation },
      report: {
        tornBytes: recovered?.tornBytes ?? 0,
        rewrittenBytes: found.rewrittenBytes,
        records: recovered?.records ?? 0,
        elapsedMs: clock.nowMs() - this.#startMs,
      },
    });
  }

  #pool(logId: number, segments: Segment[], spares: string[]): SegmentPool {
    const { disk, directory, checksum, clock } = this.#options;
    const health = this.#health;
    const segmentBytes = this.#segmentBytes;
    const options = { disk, directory, checksum, clock, health, logId, segmentBytes };
    return new SegmentPool(options, segments, spares);
  }

  async #openForWriting(segment: Segment): Promise<OpenSegment> {
    const { disk } = this.#options;
    const file = await disk.open(segment.path, { mode: "write", dataSync: true, urgent: true });
    return { ...segment, file };
  }

  /** Spares of the right size, as many as are kept. */
  async #usable(spares: readonly string[]): Promise<string[]> {
    const usable: string[] = [];
    for (const path of spares) {
      if (usable.length === sparesMax(this.#segmentBytes)) break;
      const file = await this.#options.disk.open(path, { mode: "read" });
      const size = await file.size();
      await file.close();
      if (size === this.#segmentBytes) usable.push(path);
    }
    return usable;
  }

  async #remove(paths: readonly string[]): Promise<void> {
    const { disk, directory } = this.#options;
    for (const path of paths) await disk.remove(path);
    if (paths.length > 0) await disk.syncDirectory(directory);
  }
}
