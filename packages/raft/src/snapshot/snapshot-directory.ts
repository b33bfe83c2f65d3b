/**
 * The snapshots of one group in a directory of their own: the store of the port (snapshot.ts).
 *
 * Opening reads names, heads and feet: enough to tell a whole snapshot from one whose end never
 * came. Then the directory is synced, since names that were found must be durable before anything
 * relies on them, and what a crash left is removed.
 */
import type { Disk, DiskFile } from "../disk/disk.ts";
import { DiskError } from "../disk/disk.ts";
import { BytesError } from "../util/bytes.ts";
import { QuorateError, messageOf } from "../util/error.ts";
import type { Checks } from "./file-walk.ts";
import { FileWalk } from "./file-walk.ts";
import { removeQuietly } from "./names.ts";
import { isSame, ReceivedPart, removePart } from "./received-part.ts";
import {
  decodeFoot,
  decodeNote,
  FOOT_BYTES,
  NOTE_BYTES,
  parseSnapshotName,
  snapshotName,
  UnknownVersion,
} from "./snapshot-format.ts";
import { FileWriter } from "./snapshot-writer.ts";
import type { WriterPlace } from "./snapshot-writer.ts";
import type {
  DamagedSnapshot,
  SnapshotId,
  SnapshotMeta,
  SnapshotPart,
  SnapshotReader,
  SnapshotSource,
  SnapshotStore,
  SnapshotWriter,
} from "./snapshot.ts";

/** Snapshots that are kept. */
const KEPT = 2;

/** Where the snapshots are, and how they are checked. */
export interface SnapshotDirectoryOptions extends Checks {
  readonly disk: Disk;
  /** Absolute path; made if it is not there. Its parent must exist. */
  readonly directory: string;
}

/** Opens the snapshots in a directory, or makes it. */
export async function openSnapshots(options: SnapshotDirectoryOptions): Promise<SnapshotDirectory> {
  const { disk, directory } = options;
  try {
    await disk.makeDirectory(directory);
    await disk.syncDirectory(directory.slice(0, Math.max(1, directory.lastIndexOf("/"))));
    const found = await find(options);
    await disk.syncDirectory(directory);
    for (const name of found.leftovers) await disk.remove(`${directory}/${name}`);
    if (found.leftovers.length > 0) await disk.syncDirectory(directory);
    return new SnapshotDirectory(options, found);
  } catch (error) {
    throw failureOf(error, directory);
  }
}

/** See the top of this file. */
export class SnapshotDirectory implements SnapshotStore {
  readonly #options: SnapshotDirectoryOptions;
  readonly #place: WriterPlace;
  #list: readonly SnapshotId[];
  #damaged: readonly DamagedSnapshot[];
  /** What part lies there, unopened. */
  #found: SnapshotId | undefined;
  #part: ReceivedPart | undefined;
  /** How often each path is open for reading. */
  readonly #readers: Map<string, number> = new Map();

  /** @internal Use {@link openSnapshots}. */
  constructor(options: SnapshotDirectoryOptions, found: Found) {
    this.#options = options;
    this.#list = found.whole;
    this.#damaged = found.damaged;
    this.#found = found.part;
    this.#place = {
      ...options,
      finished: (id) => this.#finished(id),
      failure: failureOf,
    };
  }

  get list(): readonly SnapshotId[] {
    return this.#list;
  }

  get damaged(): readonly DamagedSnapshot[] {
    return this.#damaged;
  }

  create(meta: SnapshotMeta): Promise<SnapshotWriter> {
    return FileWriter.begin(this.#place, meta);
  }

  async verify(id: SnapshotId): Promise<SnapshotMeta> {
    const reader = await this.#open(id);
    try {
      return await reader.verify();
    } finally {
      await reader.close();
    }
  }

  read(id: SnapshotId): Promise<SnapshotReader> {
    return this.#open(id);
  }

  async source(id: SnapshotId): Promise<SnapshotSource> {
    const path = this.#pathOf(id);
    const file = await this.#pinned(path);
    return {
      id,
      read: (into, offset) =>
        file.read(into, offset).catch((error: unknown) => {
          throw readingFailed(error, path);
        }),
      close: () => this.#unpin(path, file),
    };
  }

  async receive(id: SnapshotId): Promise<SnapshotPart> {
    const { disk, directory } = this.#options;
    await this.#part?.leave();
    const before = this.#part?.id ?? this.#found;
    this.#part = undefined;
    this.#found = before;
    if (before !== undefined && isSame(before, id)) {
      this.#part = await ReceivedPart.goOn(this.#place, id).catch(() => undefined);
      if (this.#part !== undefined) return this.#part;
    }
    try {
      if (before !== undefined) await removePart(disk, directory, before);
    } catch (error) {
      throw failureOf(error, directory);
    }
    this.#found = undefined;
    this.#part = await ReceivedPart.begin(this.#place, id);
    return this.#part;
  }

  discredit(id: SnapshotId, reason: string): void {
    this.#list = this.#list.filter((known) => !isSame(known, id));
    this.#damaged = [...this.#damaged, { path: this.#pathOf(id), reason }];
  }

  async prune(keptFrom?: number): Promise<void> {
    const { disk, directory } = this.#options;
    if (this.#list.length < KEPT && keptFrom === undefined) return;
    const useless =
      keptFrom === undefined
        ? this.#list.slice(KEPT)
        : this.#list.filter(({ index }) => index < keptFrom);
    const old = useless.filter((id) => !this.#readers.has(this.#pathOf(id)));
    const paths = [
      ...old.map((id) => this.#pathOf(id)),
      ...this.#damaged.map(({ path }) => path).filter((path) => !this.#readers.has(path)),
    ];
    this.#list = this.#list.filter((id) => !old.includes(id));
    this.#damaged = this.#damaged.filter(({ path }) => !paths.includes(path));
    if (paths.length === 0) return;
    for (const path of paths) await removeQuietly(disk, path);
    await disk.syncDirectory(directory).catch(() => {});
  }

  #finished(id: SnapshotId): void {
    if (this.#part?.id === id) {
      this.#part = undefined;
      this.#found = undefined;
    }
    const path = this.#pathOf(id);
    const others = this.#list.filter((known) => this.#pathOf(known) !== path);
    this.#list = [...others, id].sort((a, b) => b.index - a.index || b.term - a.term);
    this.#damaged = this.#damaged.filter((known) => known.path !== path);
  }

  async #open(id: SnapshotId): Promise<FileReader> {
    const path = this.#pathOf(id);
    const file = await this.#pinned(path);
    const close = (): Promise<void> => this.#unpin(path, file);
    try {
      const walk = new FileWalk(file, this.#options);
      const meta = await walk.head();
      if (meta.index !== id.index || meta.term !== id.term) {
        throw new BytesError(`it stands for ${meta.index}@${meta.term}`);
      }
      return new FileReader({ walk, meta, id, path, close });
    } catch (error) {
      await close();
      throw readingFailed(error, path);
    }
  }

  async #pinned(path: string): Promise<DiskFile> {
    this.#readers.set(path, (this.#readers.get(path) ?? 0) + 1);
    try {
      return await this.#options.disk.open(path, { mode: "read" });
    } catch (error) {
      this.#unread(path);
      throw failureOf(error, path);
    }
  }

  async #unpin(path: string, file: DiskFile): Promise<void> {
    await file.close().catch(() => {});
    this.#unread(path);
  }

  #unread(path: string): void {
    const count = (this.#readers.get(path) ?? 1) - 1;
    if (count > 0) this.#readers.set(path, count);
    else this.#readers.delete(path);
  }

  #pathOf(id: SnapshotId): string {
    return `${this.#options.directory}/${snapshotName(id, "snap")}`;
  }
}

/** One snapshot, open for reading from front to back. */
class FileReader implements SnapshotReader {
  readonly meta: SnapshotMeta;
  readonly #walk: FileWalk;
  readonly #id: SnapshotId;
  readonly #path: string;
  readonly #close: () => Promise<void>;
  #closing: Promise<void> | undefined;

  constructor(from: {
    readonly walk: FileWalk;
    readonly meta: SnapshotMeta;
    readonly id: SnapshotId;
    readonly path: string;
    readonly close: () => Promise<void>;
  }) {
    this.meta = from.meta;
    this.#walk = from.walk;
    this.#id = from.id;
    this.#path = from.path;
    this.#close = from.close;
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const data = await this.#walk.next();
        if (data === undefined) break;
        yield data;
      }
      this.#checkId();
    } catch (error) {
      throw readingFailed(error, this.#path);
    }
  }

  async verify(): Promise<SnapshotMeta> {
    const buffer = FileWalk.buffer();
    try {
      while ((await this.#walk.next(buffer)) !== undefined);
      this.#checkId();
      return this.meta;
    } catch (error) {
      throw readingFailed(error, this.#path);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #checkId(): void {
    if (!isSame(this.#walk.id!, this.#id)) throw new BytesError("it is another snapshot by now");
  }
}

/** What opening found. */
interface Found {
  readonly whole: readonly SnapshotId[];
  readonly damaged: readonly DamagedSnapshot[];
  readonly part: SnapshotId | undefined;
  readonly leftovers: readonly string[];
}

async function find(options: SnapshotDirectoryOptions): Promise<Found> {
  const { disk, directory } = options;
  const whole: SnapshotId[] = [];
  const damaged: DamagedSnapshot[] = [];
  const leftovers: string[] = [];
  const parts: string[] = [];
  const notes: SnapshotId[] = [];
  for (const name of await disk.list(directory)) {
    const parsed = parseSnapshotName(name);
    if (parsed === undefined) continue;
    const path = `${directory}/${name}`;
    if (parsed.suffix === "snap") {
      const id = await peek(options, path);
      if ("reason" in id) damaged.push(id);
      else whole.push(id);
    } else {
      leftovers.push(name);
      if (parsed.suffix === "part") parts.push(name);
      if (parsed.suffix === "note") notes.push(...(await readNote(options, path)));
    }
  }
  whole.sort((a, b) => b.index - a.index || b.term - a.term);
  const newest = whole[0]?.index ?? 0;
  const part = notes
    .filter((id) => id.index > newest && parts.includes(snapshotName(id, "part")))
    .sort((a, b) => a.index - b.index)
    .at(-1);
  const kept = part === undefined ? [] : [snapshotName(part, "part"), snapshotName(part, "note")];
  return { whole, damaged, part, leftovers: leftovers.filter((name) => !kept.includes(name)) };
}

/** What a file is by its head and foot, or why it is nothing. */
async function peek(
  options: SnapshotDirectoryOptions,
  path: string,
): Promise<SnapshotId | DamagedSnapshot> {
  const file = await options.disk.open(path, { mode: "read" });
  try {
    const meta = await new FileWalk(file, options).head();
    const size = await file.size();
    const bytes = new Uint8Array(FOOT_BYTES);
    await file.read(bytes, Math.max(0, size - FOOT_BYTES));
    const foot = decodeFoot(bytes, options.checksum);
    if (foot.fileBytes !== size) throw new BytesError(`it ends at ${size}, not ${foot.fileBytes}`);
    const { index, term } = meta;
    if (!path.endsWith(snapshotName(meta, "snap"))) {
      throw new BytesError(`it stands for ${index}@${term}, which is not its name`);
    }
    return { index, term, bytes: size, hash: foot.hash };
  } catch (error) {
    if (error instanceof UnknownVersion) throw error;
    // A sector that cannot be read is damage as well.
    const isDamage =
      error instanceof BytesError || (error instanceof DiskError && error.reason === "io");
    if (!isDamage) throw error;
    return { path, reason: error.message };
  } finally {
    await file.close();
  }
}

async function readNote(options: SnapshotDirectoryOptions, path: string): Promise<SnapshotId[]> {
  const file = await options.disk.open(path, { mode: "read" });
  try {
    const bytes = new Uint8Array(NOTE_BYTES + 1);
    const length = await file.read(bytes, 0);
    const id = decodeNote(bytes.subarray(0, length), options.checksum);
    return id === undefined || !path.endsWith(snapshotName(id, "note")) ? [] : [id];
  } finally {
    await file.close();
  }
}

/** What cannot be read is as good as damaged. */
function readingFailed(error: unknown, path: string): unknown {
  if (!(error instanceof DiskError) || error.reason !== "io") return failureOf(error, path);
  return new QuorateError("SNAPSHOT_DAMAGED", error.message, { cause: error });
}

/** Our error for whatever went wrong with a file. */
function failureOf(error: unknown, path: string): unknown {
  if (QuorateError.is(error)) return error;
  const options = { cause: error };
  if (error instanceof UnknownVersion) {
    return new QuorateError("FORMAT_UNSUPPORTED", `${path}: ${error.message}`, options);
  }
  if (error instanceof BytesError) {
    return new QuorateError("SNAPSHOT_DAMAGED", `${path}: ${error.message}`, options);
  }
  if (error instanceof DiskError) {
    const code = error.reason === "full" ? "DISK_FULL" : "SNAPSHOT_FAILED";
    return new QuorateError(code, error.message, options);
  }
  return new QuorateError("SNAPSHOT_FAILED", `${path}: ${messageOf(error)}`, options);
}
