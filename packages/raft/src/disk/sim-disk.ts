/**
 * A disk in memory that can do to its users what real disks do, when a test wants it, and that
 * behaves the same on every run.
 *
 * - What is not synced lies in a page cache (sim-content.ts) and in un-synced names (sim-names.ts).
 * - Every operation has a number, from 1 on, counted when it starts. `beforeOperation` sees it and
 *   may give it a fault; `dieAt` and `dieWhen` end the world while it is in
 *   flight.
 * - Operations take effect and settle when the injected scheduler says so, in a microtask unless
 *   told otherwise. A scheduler may delay and reorder them; `stall` holds them all.
 * - `crash` is power loss, `kill` the death of the process. Both hand back the disk as the next
 *   process finds it and leave this one dead: its operations in flight have happened, partly
 *   happened or not, and everything that the old process still tries rejects with `closed`. A dead
 *   disk is another object, so that code that outlives its process cannot touch the new world.
 *
 * The space budget counts sectors that were written; extending a file with `truncate` takes none.
 */
import type { Random } from "../util/random.ts";
import { SeededRandom } from "../util/random.ts";
import { DiskError } from "./disk.ts";
import type { Disk, DiskFile, DiskLock, OpenOptions } from "./disk.ts";
import { parentOf } from "./path.ts";
import { KeptBytes } from "./sim-bytes.ts";
import { SECTOR_BYTES, SimContent } from "./sim-content.ts";
import { SimFile } from "./sim-file.ts";
import type { SimFileHost } from "./sim-file.ts";
import { SimNames } from "./sim-names.ts";
import { SimOperations } from "./sim-operations.ts";
import type { SimEffect, SimFault, SimKind, SimOperation } from "./sim-operations.ts";

/** Options of {@link SimDisk}. */
export interface SimDiskOptions {
  /** Runs the task that completes the operation, once, not before the call returned. */
  readonly complete?: (task: () => void, operation: SimOperation) => void;
  /** Bytes that fit; a write beyond them fails with `full`. */
  readonly capacityBytes?: number;
  /** Decides partial effects of faults and of operations in flight at a death. */
  readonly random?: Random;
  /** Sees every operation before it starts, and may make it fail. */
  readonly beforeOperation?: (operation: SimOperation) => SimFault | undefined;
  /** A death settles nothing: what waits for this disk waits for ever. Default: it rejects. */
  readonly silentDeath?: boolean;
}

/** The simulated disk. */
export class SimDisk implements Disk {
  /** May be replaced at any time. */
  beforeOperation: ((operation: SimOperation) => SimFault | undefined) | undefined;
  /** Bytes that fit; may be changed at any time. */
  capacityBytes: number;
  readonly #options: SimDiskOptions;
  readonly #random: Random;
  readonly #operations: SimOperations;
  readonly #host: SimFileHost;
  readonly #kept: KeptBytes = new KeptBytes();
  readonly #locks: Set<string> = new Set();
  #names: SimNames = new SimNames();
  #atMark: (() => void) | undefined;
  #successor: SimDisk | undefined;

  constructor(options: SimDiskOptions = {}) {
    this.#options = options;
    this.#random = options.random ?? new SeededRandom(1);
    this.beforeOperation = options.beforeOperation;
    this.capacityBytes = options.capacityBytes ?? Number.MAX_SAFE_INTEGER;
    this.#operations = new SimOperations({
      complete: options.complete ?? inMicrotask,
      random: this.#random,
      before: (operation) => this.beforeOperation?.(operation),
      onMarked: () => this.#atMark?.(),
      silentDeath: options.silentDeath === true,
    });
    this.#host = {
      start: (request, effect) => this.#operations.start(request, effect),
      keep: (bytes) => this.#kept.keep(bytes),
      requireRoom: (content, bytes, position, path) =>
        this.#requireRoom(content, bytes, position, path),
    };
  }

  /** How many operations were started. */
  get operations(): number {
    return this.#operations.count;
  }

  /** The disk after the death of this one, once it is dead. */
  get successor(): SimDisk | undefined {
    return this.#successor;
  }

  /** Bytes taken. */
  get usedBytes(): number {
    return this.#names.allocatedSectors * SECTOR_BYTES;
  }

  // ---- The port ----

  open(path: string, options: OpenOptions): Promise<DiskFile> {
    const creates = options.mode === "create";
    const request = { kind: "open", path, bytes: 0, urgent: false, dataSync: false } as const;
    return this.#operations.start<DiskFile>(
      { ...request, creates },
      {
        run: () => new SimFile(this.#host, path, this.#openContent(path, options.mode), options),
        interrupt: (random) => {
          if (creates && random.below(2) === 0) this.#tryCreate(path);
        },
      },
    );
  }

  list(path: string): Promise<string[]> {
    return this.#queued("list", path, {
      run: () => {
        this.#requireDirectory(path);
        return this.#names.list(path);
      },
    });
  }

  makeDirectory(path: string): Promise<void> {
    return this.#queued("makeDirectory", path, {
      run: () => this.#makeDirectories(path),
      interrupt: (random) => {
        if (random.below(2) === 0) this.#makeDirectories(path);
      },
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#queued("rename", from, {
      run: () => this.#rename(from, to),
      interrupt: (random) => {
        if (random.below(2) === 0 && this.#file(from) !== undefined) this.#rename(from, to);
      },
    });
  }

  remove(path: string): Promise<void> {
    return this.#queued("remove", path, {
      run: () => this.#names.remove(path, this.#requireFile(path)),
      interrupt: (random) => {
        const content = this.#file(path);
        if (random.below(2) === 0 && content !== undefined) this.#names.remove(path, content);
      },
    });
  }

  exists(path: string): Promise<boolean> {
    return this.#queued("exists", path, {
      run: () => this.#names.get(path) !== undefined,
    });
  }

  syncDirectory(path: string): Promise<void> {
    return this.#queued("syncDirectory", path, {
      run: () => {
        this.#requireDirectory(path);
        this.#names.sync(path, false);
      },
      fail: (effect) => this.#names.sync(path, effect !== "all"),
      interrupt: (random, power) => {
        if (power && random.below(2) === 0) this.#names.sync(path, false);
      },
    });
  }

  lock(path: string): Promise<DiskLock> {
    return this.#queued("lock", path, {
      run: () => {
        this.#requireDirectory(parentOf(path));
        if (this.#locks.has(path)) throw new DiskError("locked", path, "locked by this process");
        this.#locks.add(path);
        let held = true;
        const release = (): Promise<void> => {
          if (held) this.#locks.delete(path);
          held = false;
          return Promise.resolve();
        };
        return { release };
      },
    });
  }

  lockHolder(path: string): Promise<string | undefined> {
    return this.#queued("list", parentOf(path), {
      run: () => (this.#locks.has(path) ? "locked by this process" : undefined),
    });
  }

  // ---- Death ----

  /** Power loss. Returns the disk as it is found afterwards; this one is dead. */
  crash(random: Random): SimDisk {
    return this.#die(random, true);
  }

  /** Death of the process. What is in the page cache survives; this disk is dead. */
  kill(random: Random): SimDisk {
    return this.#die(random, false);
  }

  /** Dies while operation `n` is in flight; see `successor`. `onDead` is called at once then. */
  dieAt(n: number, random: Random, how: "crash" | "kill" = "crash", onDead?: () => void): void {
    this.dieWhen((operation) => operation.n === n, random, how, onDead);
  }

  /**
   * The same at the first operation to come of which `isIt` says so; undefined: at none any more.
   */
  // eslint-disable-next-line max-params -- the shape of `dieAt`
  dieWhen(
    isIt: ((operation: SimOperation) => boolean) | undefined,
    random: Random,
    how: "crash" | "kill" = "crash",
    onDead?: () => void,
  ): void {
    this.#operations.isMarked = isIt;
    this.#atMark = () => {
      this.#die(random, how === "crash");
      onDead?.();
    };
  }

  /** A copy of cache and medium, with nothing open, held or in flight. */
  clone(): SimDisk {
    return this.#next(this.#names.copy());
  }

  // ---- Timing ----

  /** Holds every completion from now on. */
  stall(): void {
    this.#operations.stall();
  }

  /** Lets held completions go, in their order or shuffled. */
  resume(random?: Random): void {
    this.#operations.resume(random);
  }

  // ---- For tests that look at the medium or touch it ----

  /** All files, by path. */
  paths(): string[] {
    return this.#names.files().map(([path]) => path);
  }

  /** The content of a file as a reader sees it. */
  image(path: string): Uint8Array {
    return this.#requireFile(path).image();
  }

  /** What the medium has under this name; undefined where the name is not durable. */
  durableImage(path: string): Uint8Array | undefined {
    return this.#names.durableFile(path)?.durableImage();
  }

  /** Puts a file with this content on the medium, durably, with its directories. */
  place(path: string, bytes: Uint8Array): void {
    const content = new SimContent();
    content.write(bytes, 0);
    content.sync();
    this.#names.place(path, content);
  }

  /** Flips bits of a byte, in the cache and on the medium. */
  flip(path: string, offset: number, mask: number): void {
    this.#requireFile(path).flip(offset, mask);
  }

  /** Makes the sectors of a range unreadable (`io`) until they are written again. */
  spoil(path: string, offset: number, length: number): void {
    this.#requireFile(path).spoil(offset, length);
  }

  /** Drops clean pages from the cache: what a failed sync lost now shows. */
  dropCaches(): void {
    for (const [, content] of this.#names.files()) content.evict();
  }

  // ---- Inside ----

  /** Where a write does not fit, puts what does into the cache and throws `full`. */
  #requireRoom(content: SimContent, bytes: Uint8Array, position: number, path: string): void {
    if (this.capacityBytes === Number.MAX_SAFE_INTEGER) return;
    const needed = content.sectorsNeeded(position, bytes.length) * SECTOR_BYTES;
    // A log writes into segments that have their full size: so it hardly ever comes further.
    if (needed === 0) return;
    const room = this.capacityBytes - this.usedBytes;
    if (needed <= room) return;
    const sectors = Math.max(0, Math.floor(room / SECTOR_BYTES));
    const fits = content.fitting(position, bytes.length, sectors);
    content.write(bytes.subarray(0, fits), position);
    throw new DiskError("full", path, `no space left: ${needed} bytes needed, ${room} free`);
  }

  #queued<T>(kind: SimKind, path: string, effect: SimEffect<T>): Promise<T> {
    const request = { kind, path, bytes: 0, urgent: false, dataSync: false, creates: false };
    return this.#operations.start(request, effect);
  }

  #die(random: Random, power: boolean): SimDisk {
    const inFlight = this.#operations.die(random, power);
    const successor = this.#next(power ? this.#names.afterPowerLoss(random) : this.#names);
    // The files are the successor's now.
    this.#names = new SimNames();
    this.#successor = successor;
    inFlight.settle();
    return successor;
  }

  #next(names: SimNames): SimDisk {
    const { complete, silentDeath = false } = this.#options;
    const next = new SimDisk({
      ...(complete === undefined ? {} : { complete }),
      capacityBytes: this.capacityBytes,
      random: this.#random,
      silentDeath,
    });
    next.#names = names;
    return next;
  }

  #openContent(path: string, mode: OpenOptions["mode"]): SimContent {
    if (mode !== "create") return this.#requireFile(path);
    if (this.#names.get(path) !== undefined) throw new DiskError("exists", path, "exists already");
    this.#requireDirectory(parentOf(path));
    const content = new SimContent();
    this.#names.create(path, content);
    return content;
  }

  #tryCreate(path: string): void {
    const free = this.#names.get(path) === undefined;
    if (free && this.#names.get(parentOf(path)) === "directory") this.#openContent(path, "create");
  }

  #makeDirectories(path: string): void {
    const node = this.#names.get(path);
    if (node === "directory") return;
    if (node !== undefined) throw new DiskError("exists", path, "a file has this name");
    this.#makeDirectories(parentOf(path));
    this.#names.create(path, "directory");
  }

  #rename(from: string, to: string): void {
    const content = this.#requireFile(from);
    if (parentOf(from) !== parentOf(to)) {
      throw new DiskError("io", from, `cannot be renamed into another directory, ${parentOf(to)}`);
    }
    if (this.#names.get(to) === "directory") throw new DiskError("io", to, "is a directory");
    if (from !== to) this.#names.rename(from, to, content);
  }

  #file(path: string): SimContent | undefined {
    const node = this.#names.get(path);
    return node === "directory" ? undefined : node;
  }

  #requireFile(path: string): SimContent {
    const node = this.#names.get(path);
    if (node === undefined) throw new DiskError("not-found", path, "no such file");
    if (node === "directory") throw new DiskError("io", path, "is a directory");
    return node;
  }

  #requireDirectory(path: string): void {
    const node = this.#names.get(path);
    if (node === undefined) throw new DiskError("not-found", path, "no such directory");
    if (node !== "directory") throw new DiskError("io", path, "is not a directory");
  }
}

function inMicrotask(task: () => void): void {
  queueMicrotask(task);
}
