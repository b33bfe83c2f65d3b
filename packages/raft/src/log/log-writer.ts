/**
 * The one place where the log grows: one write in flight, in order, each data-synced.
 *
 * Work arrives as jobs: things that put records, as many as there is room for, and say when they
 * are done. A job takes its turn for one write at a time. Placing is synchronous: in one go the
 * records get their places, the groups' states follow, and readers find the batches, while the
 * write that makes them durable is still to come. Until it has ended the batches are served from
 * memory.
 *
 * Full segment: an `end` record, then the mark in the slot, then the next segment is entered. Its
 * first write begins with the state of every group. A record never spans segments; 64 bytes always
 * stay free for the `end`. Where the next segment is not ready (there may be no space), the job
 * gives its turn up while it waits, so that votes and releases still find their way into the rest
 * of this one: entries leave a reserve for them.
 *
 * After anything failed, memory and disk need not agree any more: the log is poisoned and nothing
 * is written again.
 */
import type { EntryBatch } from "../core/entry.ts";
import { isEssential } from "../core/entry.ts";
import { assert } from "../util/assert.ts";
import { ByteWriter } from "../util/bytes.ts";
import type { Clock } from "../util/clock.ts";
import { Chunk } from "./chunk.ts";
import type { RecordContent } from "./chunk.ts";
import type { GroupLog } from "./group-log.ts";
import type { LiveBytes } from "./location-index.ts";
import type { LogHealth } from "./log-health.ts";
import { comparePositions } from "./position.ts";
import type { Position } from "./position.ts";
import { RECORD_HEADER_BYTES, RecordFlag, RecordKind, recordBytes } from "./record.ts";
import type { RecordSeal } from "./record.ts";
import type { OpenSegment, SegmentPool } from "./segment-pool.ts";
import { SEGMENT_HEAD_BYTES, SLOT_BYTES, encodeSlot, slotOffset } from "./segment.ts";
import { encodeState } from "./state-record.ts";
import type { GroupState } from "./state-record.ts";
import { TurnQueue } from "./turn-queue.ts";

/** Something to be written. */
export interface Job {
  readonly done: boolean;
  /** Puts records until it is done or one does not fit. */
  place(writer: LogWriter): void;
}

/** What the writer works on. */
export interface LogWriterOptions {
  readonly pool: SegmentPool;
  readonly groups: Map<number, GroupLog>;
  readonly live: LiveBytes;
  readonly health: LogHealth;
  readonly clock: Clock;
  readonly seal: RecordSeal;
  readonly logId: number;
  /** The number of this opening. */
  readonly opening: number;
}

/** Where writing goes on. */
export interface LogEnd {
  readonly segment: OpenSegment;
  /** Everything before it is durable, and a slot says so. */
  readonly end: Position;
  /** The newest generation of a mark slot. */
  readonly generation: number;
}

const EMPTY_BODY = new Uint8Array(0);

/**
 * What entries leave free of a segment, so that votes and releases find room when there is no space
 * for a next segment: a release is what can make space. Half of it is for what opens a term or
 * changes the members: with votes alone nobody could lead.
 */
function reserveOf(segmentBytes: number): number {
  return Math.min(65_536, Math.max(512, segmentBytes >>> 6));
}

/** The writer of one log. */
export class LogWriter {
  writes = 0;
  bytesWritten = 0;
  lastWriteMs = 0;
  averageWriteMs = 0;
  readonly #options: LogWriterOptions;
  readonly #turn: TurnQueue = new TurnQueue();
  readonly #chunk: Chunk;
  readonly #slot: Uint8Array = new Uint8Array(SLOT_BYTES);
  readonly #body: ByteWriter = new ByteWriter(1_024);
  /** Batches of the write in flight, and their offsets in the current segment. */
  readonly #pendingBatches: EntryBatch[] = [];
  readonly #pendingOffsets: number[] = [];
  #segment: OpenSegment;
  #durable: Position;
  /** What the newest slot says. */
  #marked: Position;
  #generation: number;

  constructor(options: LogWriterOptions, end: LogEnd) {
    this.#options = options;
    this.#chunk = new Chunk(options.seal, options.opening);
    this.#segment = end.segment;
    this.#durable = end.end;
    this.#marked = end.end;
    this.#generation = end.generation;
  }

  /** Everything before it is durable. */
  get durable(): Position {
    return this.#durable;
  }

  /** Whether the current segment already has the states that it begins with, durably. */
  get headIsDurable(): boolean {
    return this.#durable.offset > SEGMENT_HEAD_BYTES;
  }

  /** Writes all of a job. One write where it fits into the current segment. */
  async run(job: Job): Promise<void> {
    this.#options.health.check();
    while (!job.done) {
      if (!this.#turn.tryTake()) await this.#turn.take();
      let blocked: boolean;
      try {
        blocked = await this.#step(job);
      } finally {
        this.#turn.give();
      }
      if (blocked) await this.#options.pool.ready();
    }
  }

  /** Writes the durable mark into the segment head, if it is not there yet. */
  async mark(): Promise<void> {
    if (!this.#turn.tryTake()) await this.#turn.take();
    try {
      this.#options.health.check();
      if (comparePositions(this.#marked, this.#durable) < 0) {
        await this.#guard(() => this.#writeMark());
      }
    } finally {
      this.#turn.give();
    }
  }

  /** Closes the file, after what is in flight. */
  async close(): Promise<void> {
    await this.#turn.take();
    await this.#segment.file.close();
    this.#turn.give();
  }

  /** The batch at this place while its write is in flight. */
  pending(at: Position): EntryBatch | undefined {
    if (at.segment !== this.#segment.sequence) return undefined;
    return this.#pendingBatches[this.#pendingOffsets.indexOf(at.offset)];
  }

  // ---- For jobs, while they place ----

  /** Puts a batch; false where there is no room. */
  putBatch(group: GroupLog, batch: EntryBatch, kind: "entries" | "moved"): boolean {
    const reserve = reserveOf(this.#segment.size);
    const kept = kind === "entries" && isEssential(batch) ? reserve / 2 : reserve;
    if (!this.#fits(batch.byteLength, kept)) return false;
    const offset = this.#chunk.add({
      kind: RecordKind[kind],
      flags: 0,
      group: group.id,
      commit: group.commit,
      body: batch.body,
      bodyCrc: batch.crc,
    });
    const at = { segment: this.#segment.sequence, offset };
    this.#pendingBatches.push(batch);
    this.#pendingOffsets.push(offset);
    if (kind === "entries") group.append(batch, at);
    else group.move(batch, at);
    return true;
  }

  /** Puts a state; false where there is no room. The group takes it over only then. */
  putState(group: GroupLog, state: GroupState, kind: "state" | "reset"): boolean {
    const content = this.#stateContent(group.id, state, RecordKind[kind]);
    if (!this.#fits(content.body.length, 0)) return false;
    this.#chunk.add(content);
    return true;
  }

  // ---- Inside a turn ----

  /** One write of a job. True: it needs the next segment, which is not ready. */
  async #step(job: Job): Promise<boolean> {
    const { health, pool } = this.#options;
    health.check();
    return this.#guard(async () => {
      let begun = this.#begin();
      job.place(this);
      if (this.#chunk.records === begun && !job.done) {
        assert(this.headIsDurable, "a record is larger than a segment");
        const next = pool.takeNext();
        if (next === undefined) return true;
        await this.#enter(next);
        begun = this.#begin();
        job.place(this);
        assert(this.#chunk.records > begun || job.done, "a record is larger than a segment");
      }
      if (this.#chunk.records > begun) await this.#write();
      return false;
    });
  }

  /** Starts a write, with the states where it is the first of its segment. Returns their number. */
  #begin(): number {
    this.#chunk.begin(this.#durable, this.#durable);
    if (this.headIsDurable) return 0;
    const { groups } = this.#options;
    let left = groups.size;
    for (const group of groups.values()) {
      const content = this.#stateContent(group.id, group.state(true), RecordKind.state);
      left--;
      const flags = RecordFlag.head | (left === 0 ? RecordFlag.headEnd : 0);
      assert(this.#fits(content.body.length, 0), "the states of all groups do not fit a segment");
      this.#chunk.add({ ...content, flags });
    }
    return this.#chunk.records;
  }

  async #write(): Promise<void> {
    const { clock } = this.#options;
    const bytes = this.#chunk.view();
    const startMs = clock.nowMs();
    await this.#segment.file.write(bytes, this.#durable.offset);
    this.#measure(clock.nowMs() - startMs, bytes.length);
    this.#durable = {
      segment: this.#segment.sequence,
      offset: this.#durable.offset + bytes.length,
    };
    this.#pendingBatches.length = 0;
    this.#pendingOffsets.length = 0;
  }

  /** Ends the current segment and goes over to the next one. */
  async #enter(next: OpenSegment): Promise<void> {
    const left = this.#segment;
    this.#chunk.begin(this.#durable, this.#durable);
    this.#chunk.add({
      kind: RecordKind.end,
      flags: 0,
      group: 0,
      commit: 0,
      body: EMPTY_BODY,
      bodyCrc: this.#options.seal.checksum(EMPTY_BODY),
    });
    await this.#write();
    this.#options.pool.prepareNext();
    this.#durable = { segment: next.sequence, offset: SEGMENT_HEAD_BYTES };
    await this.#writeMark();
    this.#segment = next;
    await left.file.close();
  }

  /** The mark goes into the slot that does not hold the newest one. */
  async #writeMark(): Promise<void> {
    const { seal, logId, opening } = this.#options;
    const mark = this.#durable;
    const generation = this.#generation + 1;
    const { sequence } = this.#segment;
    encodeSlot(this.#slot, { sequence, logId, generation, mark, opening }, seal.checksum);
    await this.#segment.file.write(this.#slot, slotOffset(generation));
    this.#generation = generation;
    this.#marked = mark;
    this.writes++;
    this.bytesWritten += SLOT_BYTES;
  }

  /** Whether a record fits, with the `end` behind it and so many bytes left over. */
  #fits(bodyBytes: number, reserve: number): boolean {
    const end = this.#durable.offset + this.#chunk.length + recordBytes(bodyBytes);
    return end + RECORD_HEADER_BYTES + reserve <= this.#segment.size;
  }

  #stateContent(group: number, state: GroupState, kind: RecordKind): RecordContent {
    this.#body.reset();
    encodeState(this.#body, state);
    const body = this.#body.view();
    const bodyCrc = this.#options.seal.checksum(body);
    return { kind, flags: 0, group, commit: state.commit, body, bodyCrc };
  }

  /** Whatever goes wrong in a turn poisons the log. */
  async #guard<T>(task: () => Promise<T>): Promise<T> {
    try {
      return await task();
    } catch (error) {
      throw this.#options.health.fail(error);
    }
  }

  #measure(elapsedMs: number, bytes: number): void {
    this.writes++;
    this.bytesWritten += bytes;
    this.lastWriteMs = elapsedMs;
    const weight = this.writes === 1 ? 1 : 0.1;
    this.averageWriteMs += (elapsedMs - this.averageWriteMs) * weight;
  }
}
