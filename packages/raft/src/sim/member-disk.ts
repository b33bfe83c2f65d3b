/**
 * The disk of one member over all its lives: when its operations complete, and what goes wrong.
 *
 * The bytes live in a `SimDisk`, one per life; what a death leaves is handed from each to the next.
 * This file decides time. Every operation takes a time of its own: what has to reach the medium
 * (data-synced writes, syncs) is drawn from `options.write`, all else from `options.other`; so
 * operations that are in flight together complete in any order. A completion enters through the
 * gate of the process: after the pause where it stands still, never where it is dead. Its effect on
 * cache and medium happens at that moment, too, so a paused process delays its own disk. That is
 * allowed: nobody was promised a time.
 *
 * Faults
 * - A *stall* holds completions; when it ends, each takes a newly drawn time. It belongs to the
 *   device: a death does not end it, and the next life waits as well.
 * - A *failure* waits for the next write, read or sync of a segment file, in this life or a later
 *   one. Syncs of directories do not fail: a name that a failed sync dropped looks durable to every
 *   later process, so what is lost with it could be held against nobody.
 * - A *full* disk has a few sectors left: from now on, or from when the next segment is begun. Only
 *   there a log meets it, as it writes into segments that have their size already.
 *
 * A death is silent here: nothing settles, as nobody is there who could be told. So code of a dead
 * process does not run on because its disk went away.
 */
import { SimDisk } from "../disk/sim-disk.ts";
import type { SimFault, SimOperation } from "../disk/sim-operations.ts";
import { SECTOR_BYTES } from "../disk/sim-content.ts";
import { nameOf } from "../disk/path.ts";
import { parseSegmentName } from "../log/segment.ts";
import { assert } from "../util/assert.ts";
import type { Random } from "../util/random.ts";
import type { DiskMoment } from "./disk-moment.ts";
import { watchFor } from "./disk-moment.ts";
import type { DiskOptions } from "./options.ts";
import type { SimProcess } from "./process.ts";
import { drawDelayUs, pick } from "./random-streams.ts";
import type { Schedule, Scheduled } from "./schedule.ts";

/** What the disk of a member is made of. */
export interface MemberDiskContext {
  readonly schedule: Schedule;
  readonly options: DiskOptions;
  /** The disk's own stream: times, partial effects, what a power loss keeps. */
  readonly random: Random;
}

/** What can be made to fail. */
export type DiskFailure = "write" | "read" | "sync";

/** From when on a disk is full. */
export type FullFrom = "now" | "next-segment";

/** What the process of one life may have noticed of its disk. */
export type DiskHurt = DiskFailure | "full";

/** A completion that waits for the end of a stall. */
interface Held {
  readonly process: SimProcess;
  readonly task: () => void;
  readonly operation: SimOperation;
}

const UNLIMITED = Number.MAX_SAFE_INTEGER;
/** So many sectors, less one, are left at most on a disk that is full. */
const SECTORS_LEFT = 9;
const EFFECTS = ["none", "some", "all"] as const;

/** The disk of one member. */
export class MemberDisk {
  readonly #context: MemberDiskContext;
  /** That of the present life, or of the next one. */
  #disk: SimDisk;
  #process: SimProcess | undefined;
  readonly #failures: Set<DiskFailure> = new Set();
  readonly #hurts: Set<DiskHurt> = new Set();
  #held: Held[] = [];
  #stall: Scheduled | undefined;
  #slowUntilUs = 0;
  #slowUs = 0;
  #full: Scheduled | undefined;
  /** For how long it is full once a segment is begun. */
  #fullAtSegmentUs: number | undefined;

  constructor(context: MemberDiskContext) {
    this.#context = context;
    this.#disk = new SimDisk({
      random: context.random,
      complete: (task, operation) => this.#complete(task, operation),
      silentDeath: true,
    });
  }

  /** What is on it now; while the member is down, what the next life will find. */
  get disk(): SimDisk {
    return this.#disk;
  }

  /** Whether a process uses it. */
  get isInUse(): boolean {
    return this.#process !== undefined;
  }

  /** What failed in the present life, or, while there is none, in the last one. */
  get hurts(): ReadonlySet<DiskHurt> {
    return this.#hurts;
  }

  /** Whether something failed for which a process may stop. For a full disk it has to wait. */
  get hasFailed(): boolean {
    return this.#hurts.size > (this.#hurts.has("full") ? 1 : 0);
  }

  /** How many operations wait for the end of a stall. */
  get held(): number {
    return this.#held.length;
  }

  /** The disk for a new life. The life before has to be over. */
  begin(process: SimProcess): SimDisk {
    assert(this.#process === undefined, "the process before still has this disk");
    this.#process = process;
    this.#hurts.clear();
    if (this.#full !== undefined) this.#hurts.add("full");
    this.#watch();
    return this.#disk;
  }

  // ---- Death ----

  /** The process dies (`power`: and what was not synced may go with it). Idempotent. */
  die(how: "power" | "kill"): void {
    if (this.#process === undefined) return;
    const { random } = this.#context;
    this.#end(how === "power" ? this.#disk.crash(random) : this.#disk.kill(random));
  }

  /**
   * Dies while a later operation of this life is in flight: 1 is the next one that starts; or the
   * first of that kind. `onDead` is called at once then, from within the code that started it.
   */
  dieAt(at: number | DiskMoment, how: "power" | "kill", onDead: () => void): void {
    if (this.#process === undefined) return;
    const disk = this.#disk;
    const isIt = typeof at === "number" ? isNumber(disk.operations + at) : watchFor(at);
    disk.dieWhen(isIt, this.#context.random, how === "power" ? "crash" : "kill", () => {
      this.#end(disk.successor!);
      onDead();
    });
  }

  // ---- Faults ----

  /** Nothing completes for so long. A stall within a stall can only make it longer. */
  stall(forUs: number): void {
    const { schedule } = this.#context;
    const untilUs = schedule.nowUs + forUs;
    if (this.#stall !== undefined) {
      if (this.#stall.atUs >= untilUs) return;
      this.#stall.cancelled = true;
    }
    this.#stall = schedule.at(untilUs, () => this.#resume());
  }

  /** What starts within that time takes up to so much longer, each by a draw of its own. */
  slow(extraUs: number, forUs: number): void {
    this.#slowUs = extraUs;
    this.#slowUntilUs = this.#context.schedule.nowUs + forUs;
  }

  /** The next such operation of a segment file ends with an I/O error. */
  failNext(what: DiskFailure): void {
    this.#failures.add(what);
    this.#watch();
  }

  /** No space is left beyond a few sectors, for so long; from now, or from the next segment on. */
  fill(forUs: number, from: FullFrom = "now"): void {
    if (from === "next-segment") {
      this.#fullAtSegmentUs = forUs;
      this.#watch();
      return;
    }
    const { schedule, random } = this.#context;
    if (this.#full !== undefined) this.#full.cancelled = true;
    this.#disk.capacityBytes = this.#disk.usedBytes + random.below(SECTORS_LEFT) * SECTOR_BYTES;
    this.#full = schedule.after(forUs, () => this.#free());
    if (this.isInUse) this.#hurts.add("full");
  }

  /** Ends every fault that has not happened yet or still lasts. What is damaged stays so. */
  healAll(): void {
    // A death that was arranged and has not come.
    if (this.#process !== undefined) this.#disk.dieWhen(undefined, this.#context.random);
    this.#failures.clear();
    this.#fullAtSegmentUs = undefined;
    this.#watch();
    this.#slowUntilUs = 0;
    this.#free();
    this.#resume();
  }

  /** Flips bits of a byte, on the medium and in the cache. */
  flip(path: string, offset: number, mask: number): void {
    this.#disk.flip(path, offset, mask);
  }

  /**
   * The machine forgets what it has cached of files and need not write: what a failed sync lost is
   * gone now. Only between two lives: a process may rely on what it has just read.
   */
  dropCaches(): void {
    if (this.#process === undefined) this.#disk.dropCaches();
  }

  /** Makes sectors unreadable until they are written again. */
  spoil(path: string, offset: number, length: number): void {
    this.#disk.spoil(path, offset, length);
  }

  // ---- Inside ----

  #end(next: SimDisk): void {
    this.#disk = next;
    this.#process = undefined;
    this.#held.length = 0;
  }

  #complete(task: () => void, operation: SimOperation): void {
    // Whatever starts belongs to the present life: a dead disk starts nothing.
    const process = this.#process;
    assert(process !== undefined, "an operation was started between two lives");
    this.#schedule(process, task, operation);
  }

  #schedule(process: SimProcess, task: () => void, operation: SimOperation): void {
    this.#context.schedule.after(this.#drawUs(operation), () => {
      if (process.isDead) return;
      if (this.#stall === undefined) process.enter(task, "disk");
      else this.#held.push({ process, task, operation });
    });
  }

  #drawUs(operation: SimOperation): number {
    const { schedule, options, random } = this.#context;
    const { kind } = operation;
    const reachesMedium = operation.dataSync || kind === "sync" || kind === "syncDirectory";
    const us = drawDelayUs(random, reachesMedium ? options.write : options.other);
    const isSlow = schedule.nowUs < this.#slowUntilUs;
    return isSlow ? us + random.below(this.#slowUs + 1) : us;
  }

  #resume(): void {
    if (this.#stall === undefined) return;
    this.#stall.cancelled = true;
    this.#stall = undefined;
    const held = this.#held;
    this.#held = [];
    for (const { process, task, operation } of held) this.#schedule(process, task, operation);
  }

  #free(): void {
    if (this.#full === undefined) return;
    this.#full.cancelled = true;
    this.#full = undefined;
    this.#disk.capacityBytes = UNLIMITED;
  }

  /** Looks at operations only while something waits for one of them. */
  #watch(): void {
    const watches = this.#failures.size > 0 || this.#fullAtSegmentUs !== undefined;
    this.#disk.beforeOperation = watches ? (operation) => this.#fault(operation) : undefined;
  }

  #fault(operation: SimOperation): SimFault | undefined {
    const { kind, path } = operation;
    if (this.#fullAtSegmentUs !== undefined && operation.creates && isOfLog(path)) {
      this.fill(this.#fullAtSegmentUs);
      this.#fullAtSegmentUs = undefined;
      this.#watch();
    }
    if (kind !== "write" && kind !== "read" && kind !== "sync") return undefined;
    if (!this.#failures.has(kind) || !isOfLog(path)) return undefined;
    this.#failures.delete(kind);
    this.#hurts.add(kind);
    this.#watch();
    return { reason: "io", effect: pick(this.#context.random, EFFECTS) };
  }
}

function isNumber(n: number): (operation: SimOperation) => boolean {
  return (operation) => operation.n === n;
}

/** Whether it is a segment of the log, in use or not. */
function isOfLog(path: string): boolean {
  return parseSegmentName(nameOf(path)) !== undefined;
}
