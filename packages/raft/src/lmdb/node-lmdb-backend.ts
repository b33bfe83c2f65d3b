/**
 * The backend of machines made of keys and values on LMDB.
 *
 *   CURRENT     the name of the environment that counts; written anew, synced and renamed
 *   env-N/      an environment: data.mdb, lock.mdb
 *
 * Commits are LMDB's own, made by its writer thread with a data sync before the meta page: LMDB's
 * promise that a commit is there whole or not at all is all that is relied on. `overlappingSync`,
 * which lmdb-js would turn on, is off: it decides by the boot id of the machine which commit to
 * believe.
 *
 * A replacement is another environment, filled by commits that are not synced, opened anew and
 * named by CURRENT in one step. Its file is synced as a whole, and every few MiB before that: a
 * kernel that holds a lot of it would have the syncs of the log wait for it. Whoever still reads
 * the old environment keeps it open; then it is removed. A crash leaves environments that CURRENT
 * does not name: leftovers, removed at opening.
 *
 * A disk that is full is met before LMDB meets it: its writer answers a write that finds no space
 * with an I/O error, and is of no use afterwards. So each commit asks the file system first whether
 * what it can take at the worst is there. If somebody else takes it at that very moment, the commit
 * fails for good, and the store is what it was before.
 *
 * Reads run in this thread: what is not in the page cache is waited for. Data may be far larger
 * than memory: the pages that are read belong to the kernel's cache.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { open as openFile, rename, rm, stat, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { open as openEnvironment } from "lmdb";
import type { RootDatabase } from "lmdb";
import type { DiskStateMachine } from "../machine/disk-machine.ts";
import type {
  BackendView,
  Replacement,
  StoreBackend,
  StoreChange,
  StoreItem,
  StoreKey,
} from "../store/backend.ts";
import { onStore } from "../store/store-machine.ts";
import type { StoreMachine } from "../store/store-machine.ts";
import { QuorateError, messageOf } from "../util/error.ts";

/** Options of {@link onLmdb}. */
export interface LmdbOptions {
  /** The directory of the store; made if absent. Used by one process and one replica at a time. */
  readonly path: string;
  /** The largest size that the data can ever have, in bytes of address space. Default 1 TiB. */
  readonly mapBytes?: number;
}

const MAP_BYTES = 1_099_511_627_776; // 1 TiB
/** Keys of some length need large pages. */
const PAGE_BYTES = 8_192;
/** What is left free: LMDB and others round up. */
const SPARE_BYTES = 1_048_576; // 1 MiB
/** So much of a replacement is written between two syncs. */
const SYNC_BYTES = 8_388_608; // 8 MiB
/** What an item takes beside key and value. */
const ITEM_BYTES = 16;
/** The longest key that lmdb-js takes with such pages. */
const KEY_BYTES_MAX = 4_026;

/**
 * Makes a machine on disk, in LMDB, of one that is made of keys and values.
 *
 * @throws Error where the package `lmdb` is not installed: when this module is loaded.
 * @example
 * ```ts
 * await using node = await openReplica({
 *   id: "n1",
 *   listen: "127.0.0.1:9091",
 *   dataDir: "./data/n1",
 *   machine: onLmdb(new Notes(), { path: "./data/n1/machine" }),
 *   start: { bootstrap: true },
 * });
 * ```
 */
export function onLmdb<Command, Query>(
  machine: StoreMachine<Command, Query>,
  options: LmdbOptions,
): DiskStateMachine<Command, Query> {
  return onStore(machine, lmdbBackend(options));
}

/** The backend itself, for {@link onStore} and for tests. */
export function lmdbBackend(options: LmdbOptions): StoreBackend {
  return new LmdbBackend(options);
}

type Root = RootDatabase<Buffer, StoreKey>;

interface Place {
  readonly name: string;
  readonly root: Root;
}

/** An open environment, and who reads it. */
interface Environment extends Place {
  readers: number;
  /** Another one has taken its place. */
  isRetired: boolean;
}

class LmdbBackend implements StoreBackend {
  readonly keyBytesMax = KEY_BYTES_MAX;
  readonly #path: string;
  readonly #mapBytes: number;
  #current: Environment | undefined;

  constructor({ path, mapBytes = MAP_BYTES }: LmdbOptions) {
    this.#path = resolve(path);
    this.#mapBytes = mapBytes;
  }

  async open(): Promise<void> {
    mkdirSync(this.#path, { recursive: true, mode: 0o700 });
    const pointer = join(this.#path, "CURRENT");
    const isNew = !existsSync(pointer);
    const name = isNew ? "env-1" : readFileSync(pointer, "utf8").trim();
    if (!isNew) this.#checkThere(name);
    for (const other of readdirSync(this.#path)) {
      const isLeftover = other !== name && (/^env-\d+$/.test(other) || other === "CURRENT.new");
      if (isLeftover) rmSync(join(this.#path, other), { recursive: true });
    }
    // What was being made when the process died was never used.
    if (isNew) rmSync(join(this.#path, name), { recursive: true, force: true });
    if (isNew) await this.#requireFree(SPARE_BYTES);
    const root = this.#openRoot(name, false);
    if (isNew) {
      await syncDirectory(dirname(this.#path));
      await syncDirectory(join(this.#path, name));
      await this.#point(name);
    }
    this.#current = { name, root, readers: 0, isRetired: false };
  }

  get(key: StoreKey): Uint8Array | undefined {
    const value = this.#opened.root.getBinary(key);
    return value && plain(value);
  }

  view(): BackendView {
    const environment = this.#opened;
    const { root } = environment;
    const transaction = root.useReadTransaction();
    environment.readers++;
    return {
      items: (from) => itemsOf(root, from, transaction),
      release: () => {
        transaction.done();
        environment.readers--;
        void this.#letGo(environment);
      },
    };
  }

  async commit(changes: readonly StoreChange[]): Promise<void> {
    await this.#write(this.#opened, changes);
  }

  /** One call, and so one transaction of the writer thread. */
  async #write({ name, root }: Place, changes: readonly StoreChange[]): Promise<void> {
    await this.#requireSpace(name, changes);
    const batch = root.batch(() => {
      for (const [key, value] of changes) {
        if (value === undefined) void root.remove(key);
        else void root.put(key, value as Buffer);
      }
    });
    // It has a second promise for the same, and what rejects unheard ends the process.
    root.committed.then(undefined, () => {});
    try {
      await batch;
    } catch (cause) {
      const why = messageOf(await reasonOf(cause));
      const message =
        `${this.#path}: the store could not be written (${why}); a disk that fills up in the ` +
        `midst of a commit shows like that`;
      throw new QuorateError("STORAGE_FAILED", message, { cause });
    }
  }

  /**
   * At the worst every change copies a page that no other does, and the one above it, but no page
   * is copied twice; and what is new comes into pages that are half full.
   */
  async #requireSpace(name: string, changes: readonly StoreChange[]): Promise<void> {
    const { size } = await stat(join(this.#path, name, "data.mdb"));
    const copied = Math.min(size, 2 * PAGE_BYTES * changes.length);
    await this.#requireFree(SPARE_BYTES + copied + 2 * bytesOf(changes));
  }

  /** Also before an environment is made: its lock file is memory, and lack of space a signal. */
  async #requireFree(wanted: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.#path);
    const free = bavail * bsize;
    if (free >= wanted) return;
    const message = `${this.#path}: ${free} bytes are free, and ${wanted} may be needed`;
    throw new QuorateError("DISK_FULL", message);
  }

  async replace(): Promise<Replacement> {
    const before = this.#opened;
    const name = `env-${Number(before.name.slice(4)) + 1}`;
    const directory = join(this.#path, name);
    await rm(directory, { recursive: true, force: true });
    await this.#requireFree(SPARE_BYTES);
    const filling = this.#openRoot(name, true);
    const data = join(directory, "data.mdb");
    let unsynced = 0;
    let mayBeNamed = false;
    return {
      put: async (items) => {
        await this.#write({ name, root: filling }, items);
        unsynced += bytesOf(items);
        if (unsynced < SYNC_BYTES) return;
        await syncFile(data);
        unsynced = 0;
      },
      take: async () => {
        await filling.close();
        await syncFile(data);
        await syncDirectory(directory);
        const root = this.#openRoot(name, false);
        mayBeNamed = true;
        try {
          await this.#point(name);
        } catch (error) {
          await Promise.allSettled([root.close()]);
          throw error;
        }
        this.#current = { name, root, readers: 0, isRetired: false };
        before.isRetired = true;
        await this.#letGo(before);
      },
      abandon: async () => {
        await Promise.allSettled([filling.close()]);
        // Where naming it failed midway, the next opening knows which of both counts.
        if (!mayBeNamed)
          await Promise.allSettled([rm(directory, { recursive: true, force: true })]);
      },
    };
  }

  async close(): Promise<void> {
    const current = this.#current;
    this.#current = undefined;
    await current?.root.close();
  }

  get #opened(): Environment {
    if (this.#current === undefined) throw new Error("the store is not open");
    return this.#current;
  }

  /** Removes what nobody reads any more. */
  async #letGo(environment: Environment): Promise<void> {
    if (!environment.isRetired || environment.readers > 0) return;
    await Promise.allSettled([environment.root.close()]);
    await Promise.allSettled([rm(join(this.#path, environment.name), { recursive: true })]);
  }

  #checkThere(name: string): void {
    if (/^env-\d+$/.test(name) && existsSync(join(this.#path, name, "data.mdb"))) return;
    throw new Error(
      `${this.#path} is incomplete: CURRENT names "${name}", which is not there. Put it back, or ` +
        `replace this member and start it on an empty directory`,
    );
  }

  #openRoot(name: string, noSync: boolean): Root {
    return openEnvironment<Buffer, StoreKey>({
      path: join(this.#path, name),
      noSubdir: false,
      encoding: "binary",
      keyEncoder: KEYS,
      pageSize: PAGE_BYTES,
      mapSize: this.#mapBytes,
      overlappingSync: false,
      noSync,
      // Random reads of data that is larger than memory gain nothing by it.
      noReadAhead: true,
      cache: false,
    } as Parameters<typeof openEnvironment>[0]);
  }

  /** Makes CURRENT name an environment, durably and in one step. */
  async #point(name: string): Promise<void> {
    const next = join(this.#path, "CURRENT.new");
    const file = await openFile(next, "w", 0o600);
    try {
      await file.writeFile(`${name}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(next, join(this.#path, "CURRENT"));
    await syncDirectory(this.#path);
  }
}

/** What lmdb-js says of a failed commit comes in a promise of its own, which nobody else awaits. */
async function reasonOf(error: unknown): Promise<unknown> {
  const { commitError } = error as { readonly commitError?: Promise<unknown> };
  if (commitError === undefined) return error;
  try {
    await commitError;
    return error;
  } catch (reason) {
    return reason;
  }
}

function bytesOf(changes: readonly StoreChange[]): number {
  let bytes = 0;
  for (const [key, value] of changes) bytes += ITEM_BYTES + key.length + (value?.length ?? 0);
  return bytes;
}

/** Keys as they are: one byte per char. */
const KEYS = {
  writeKey(key: StoreKey, target: Uint8Array, start: number): number {
    const { length } = key;
    for (let i = 0; i < length; i++) target[start + i] = key.charCodeAt(i);
    return start + length;
  },
  readKey(target: Buffer, start: number, end: number): StoreKey {
    return target.toString("latin1", start, end);
  },
};

function* itemsOf(
  root: Root,
  from: StoreKey,
  transaction: ReturnType<Root["useReadTransaction"]>,
): Generator<StoreItem, void, undefined> {
  const range = root.getRange({ start: from, transaction });
  for (const { key, value } of range) yield [key, plain(value)];
}

/** A view without what a Buffer does differently. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

async function syncFile(path: string): Promise<void> {
  const file = await openFile(path, "r+");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const file = await openFile(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
