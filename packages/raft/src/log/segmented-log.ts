/**
 * The segmented write-ahead log: the face of this folder.
 *
 *   append ──► LogWriter ──► one data-synced write ──► done      record.ts     what is written
 *   read ────► LogReader ──► checked batches                     segment.ts    heads, marks, names
 *   release ─► LogWriter, then Compactor ──► spares              recover.ts    where the log ends
 *   openLog ─► recover ──► rewrite ──► fresh mark ──► open       segment-pool.ts   files
 *
 * The log assumes that it has its directory for itself: the lock is the host's.
 */
import { EMPTY_GROUP } from "../core/contract.ts";
import type { RecoveredGroup } from "../core/contract.ts";
import type { EntryBatch } from "../core/entry.ts";
import { assert } from "../util/assert.ts";
import { QuorateError } from "../util/error.ts";
import { Compactor } from "./compactor.ts";
import { GroupLog } from "./group-log.ts";
import { AppendJob, ReleaseJob } from "./jobs.ts";
import type { LiveBytes } from "./location-index.ts";
import type { LogHealth } from "./log-health.ts";
import { LogReader } from "./log-reader.ts";
import type { Log, LogStatus, LogWrite, RecoveryReport } from "./log.ts";
import { LogWriter } from "./log-writer.ts";
import type { LogEnd } from "./log-writer.ts";
import type { LogOptions } from "./open-log.ts";
import type { RecordSeal } from "./record.ts";
import type { SegmentPool } from "./segment-pool.ts";

/** What an opened log is made of. */
export interface LogParts {
  readonly options: LogOptions;
  readonly pool: SegmentPool;
  readonly health: LogHealth;
  readonly groups: Map<number, GroupLog>;
  readonly live: LiveBytes;
  readonly seal: RecordSeal;
  readonly logId: number;
  readonly opening: number;
  readonly end: LogEnd;
  readonly report: RecoveryReport;
}

/** See the contract in log.ts. */
export class SegmentedLog implements Log {
  readonly recovery: RecoveryReport;
  readonly #health: LogHealth;
  readonly #pool: SegmentPool;
  readonly #groups: Map<number, GroupLog>;
  readonly #live: LiveBytes;
  readonly #recovered: Map<number, RecoveredGroup> = new Map();
  readonly #writer: LogWriter;
  readonly #reader: LogReader;
  readonly #compactor: Compactor;
  /** Calls that have not settled yet. */
  readonly #running: Set<Promise<unknown>> = new Set();
  #append: AppendJob | undefined;
  /** Readers that wait until the append in flight has placed all its records. */
  #placing: (() => void)[] = [];
  #closing: Promise<void> | undefined;

  /** @internal Use `openLog`. */
  constructor(parts: LogParts) {
    const { pool, health, groups, live, seal, end, options } = parts;
    this.recovery = parts.report;
    this.#health = health;
    this.#pool = pool;
    this.#groups = groups;
    this.#live = live;
    for (const [id, group] of groups) this.#recovered.set(id, group.recovered());
    this.#writer = new LogWriter({ ...parts, clock: options.clock }, end);
    this.#reader = new LogReader({
      disk: options.disk,
      pool,
      writer: this.#writer,
      health,
      seal,
      onUnpinned: () => this.#compactor.readerLeft(),
    });
    this.#compactor = new Compactor({
      pool,
      groups,
      live,
      health,
      reader: this.#reader,
      writer: this.#writer,
    });
  }

  recovered(group: number): RecoveredGroup {
    return this.#recovered.get(group) ?? EMPTY_GROUP;
  }

  append(writes: readonly LogWrite[]): Promise<void> {
    return this.#start(() => this.#appendAll(writes));
  }

  read(group: number, from: number, to: number, bytesMax: number): Promise<EntryBatch[]> {
    return this.#start(async () => {
      const placed = this.#placed();
      if (placed !== undefined) await placed;
      const known = this.#groups.get(group);
      return known === undefined ? [] : this.#reader.read(known, { from, to, bytesMax });
    });
  }

  settle(): Promise<void> {
    return this.#start(() => this.#writer.mark());
  }

  release(group: number, index: number): Promise<void> {
    return this.#start(async () => {
      const known = this.#groups.get(group);
      if (known !== undefined && index > known.start.index) {
        await this.#writer.run(new ReleaseJob(known, index));
      }
      await this.#compactor.run();
    });
  }

  status(): LogStatus {
    const writer = this.#writer;
    return {
      state: this.#health.state,
      segments: this.#pool.segments.length,
      bytes: this.#pool.bytes,
      writes: writer.writes,
      bytesWritten: writer.bytesWritten,
      lastWriteMs: writer.lastWriteMs,
      averageWriteMs: writer.averageWriteMs,
    };
  }

  onStateChange(listener: (state: LogStatus["state"]) => void): void {
    this.#health.onStateChange(listener);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #appendAll(writes: readonly LogWrite[]): Promise<void> {
    assert(this.#append === undefined, "one append at a time");
    const job = new AppendJob(writes, (id) => this.#group(id));
    this.#append = job;
    try {
      await this.#writer.run(job);
    } finally {
      this.#append = undefined;
      const waiting = this.#placing;
      this.#placing = [];
      for (const resolve of waiting) resolve();
    }
  }

  /** Resolves when a read can see all that was appended: at once, but for a blocked append. */
  #placed(): Promise<void> | undefined {
    if (this.#append === undefined || this.#append.done) return undefined;
    return new Promise((resolve) => {
      this.#placing.push(resolve);
    });
  }

  #group(id: number): GroupLog {
    let group = this.#groups.get(id);
    if (group === undefined) {
      group = new GroupLog(id, this.#live);
      this.#groups.set(id, group);
    }
    return group;
  }

  /** Runs a call unless the log has ended, and keeps `close` waiting for it. */
  #start<T>(call: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) {
      return Promise.reject(new QuorateError("CLOSED", "the log is closed"));
    }
    const running = call();
    this.#running.add(running);
    const ended = (): void => void this.#running.delete(running);
    running.then(ended, ended);
    return running;
  }

  async #close(): Promise<void> {
    this.#pool.refuseToWait();
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
    try {
      if (!this.#health.failed) await this.#writer.mark();
    } finally {
      this.#health.close();
      await this.#compactor.stop();
      await this.#pool.stop();
      await this.#reader.close();
      await this.#writer.close();
    }
  }
}
