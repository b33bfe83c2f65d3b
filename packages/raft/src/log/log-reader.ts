/**
 * Reading batches back: for peers that are behind, for applying after a restart, for moving.
 *
 * A span of neighbouring records is read at once. Every header and body is checked again: what was
 * right when it was written may have rotted since. A segment that is being read is pinned, so that
 * it is not recycled under the reader.
 */
import { EntryBatch } from "../core/entry.ts";
import type { Disk, DiskFile } from "../disk/disk.ts";
import { BytesError } from "../util/bytes.ts";
import type { GroupLog } from "./group-log.ts";
import { damaged } from "./log-health.ts";
import type { LogHealth } from "./log-health.ts";
import type { LogWriter } from "./log-writer.ts";
import { comparePositions } from "./position.ts";
import {
  RECORD_HEADER_BYTES,
  bodyIsWhole,
  emptyHeader,
  readHeader,
  recordBytes,
} from "./record.ts";
import type { RecordHeader, RecordSeal } from "./record.ts";
import type { Segment, SegmentPool } from "./segment-pool.ts";

/** What the reader needs. */
export interface LogReaderOptions {
  readonly disk: Disk;
  readonly pool: SegmentPool;
  readonly writer: LogWriter;
  readonly health: LogHealth;
  readonly seal: RecordSeal;
  /** Called when a reader has unpinned its segments. */
  readonly onUnpinned: () => void;
}

/** Which entries are wanted, and about how many bytes of them. */
export interface ReadRange {
  readonly from: number;
  readonly to: number;
  readonly bytesMax: number;
}

/** Files kept open for reading. */
const FILES_MAX = 8;
/** Foreign records between two wanted ones that are read along rather than skipped. */
const GAP_BYTES_MAX = 4_096;
/** One read of the disk. */
const SPAN_BYTES_MAX = 4_194_304; // 4 MiB

/** Rows of a group's location index, [from, to), that one read of the disk can cover. */
interface Span {
  from: number;
  to: number;
  segment: number;
  offset: number;
  end: number;
}

/** Reads batches back, beside the writer. */
export class LogReader {
  readonly #options: LogReaderOptions;
  readonly #files: Map<number, Promise<DiskFile>> = new Map();
  readonly #header: RecordHeader = emptyHeader();

  constructor(options: LogReaderOptions) {
    this.#options = options;
  }

  /** The batches that hold `from` to `to`, cut to that; see the contract in log.ts. */
  async read(group: GroupLog, range: ReadRange): Promise<EntryBatch[]> {
    const { from, bytesMax } = range;
    const until = Math.min(range.to, group.lastIndex);
    if (from <= group.start.index || from > until) return [];
    const first = group.locations.find(from);
    const last = lastRow(group, first, until, bytesMax);
    const lastIndex = Math.min(until, endOfRow(group, last));
    const batches = await this.#readRows(group, first, last + 1);
    const { checksum } = this.#options.seal;
    for (let i = 0; i < batches.length; i++) {
      const next = batches[i + 1]?.firstIndex ?? lastIndex + 1;
      batches[i] = batches[i]!.upTo(next - 1, checksum);
    }
    batches[0] = batches[0]!.from(from, checksum);
    return batches;
  }

  /** The whole batches of these rows, as they are on disk. */
  readRows(group: GroupLog, from: number, to: number): Promise<EntryBatch[]> {
    return this.#readRows(group, from, to);
  }

  /** Forgets the file of a segment that goes. */
  async forget(segment: number): Promise<void> {
    const file = this.#files.get(segment);
    this.#files.delete(segment);
    await (await file)?.close();
  }

  async close(): Promise<void> {
    for (const segment of this.#files.keys()) await this.forget(segment);
  }

  async #readRows(group: GroupLog, from: number, to: number): Promise<EntryBatch[]> {
    // Everything that may change is looked at, and pinned, before the first wait.
    const batches: (EntryBatch | undefined)[] = [];
    const spans: Span[] = [];
    const { locations } = group;
    const places: { segment: number; offset: number; bytes: number }[] = [];
    for (let row = from; row < to; row++) {
      const place = {
        segment: locations.segment(row),
        offset: locations.offset(row),
        bytes: locations.bytes(row),
      };
      places.push(place);
      const pending = this.#pending(place);
      batches.push(pending);
      if (pending === undefined) extend(spans, row - from, place);
    }
    const pinned = spans.map((span) => this.#options.pool.segment(span.segment));
    for (const segment of pinned) segment.pins++;
    try {
      for (let i = 0; i < spans.length; i++) {
        const span = spans[i]!;
        const bytes = await this.#readSpan(span, pinned[i]!);
        for (let row = span.from; row < span.to; row++) {
          if (batches[row] !== undefined) continue;
          batches[row] = this.#decode(bytes, places[row]!.offset - span.offset, {
            group,
            segment: pinned[i]!,
            offset: places[row]!.offset,
          });
        }
      }
    } finally {
      for (const segment of pinned) segment.pins--;
      this.#options.onUnpinned();
    }
    return batches as EntryBatch[];
  }

  /** The batch at this place if it is not durable yet. */
  #pending(place: { segment: number; offset: number }): EntryBatch | undefined {
    const { writer, health } = this.#options;
    if (comparePositions(place, writer.durable) < 0) return undefined;
    if (health.failed) throw health.failure();
    return writer.pending(place);
  }

  async #readSpan(span: Span, segment: Segment): Promise<Uint8Array> {
    const bytes = new Uint8Array(span.end - span.offset);
    let count: number;
    try {
      const file = await this.#open(segment);
      count = await file.read(bytes, span.offset);
    } catch (error) {
      this.#options.health.check();
      throw damaged(segment.path, span.offset, "it cannot be read", error);
    }
    if (count < bytes.length) throw damaged(segment.path, span.offset + count, "the file is cut");
    return bytes;
  }

  #decode(
    bytes: Uint8Array,
    at: number,
    place: { group: GroupLog; segment: Segment; offset: number },
  ): EntryBatch {
    const { seal } = this.#options;
    const { group, segment, offset } = place;
    const header = this.#header;
    const whole =
      readHeader(bytes, at, header, seal) &&
      header.segment === segment.sequence &&
      header.offset === offset &&
      header.group === group.id &&
      bodyIsWhole(bytes, at, header, seal);
    if (!whole) throw damaged(segment.path, offset, "a record does not match its CRC");
    const body = bytes.subarray(
      at + RECORD_HEADER_BYTES,
      at + RECORD_HEADER_BYTES + header.bodyBytes,
    );
    try {
      const crc = header.bodyCrc;
      return EntryBatch.read(body, crc, () => crc);
    } catch (error) {
      if (!(error instanceof BytesError)) throw error;
      throw damaged(segment.path, offset, error.message, error);
    }
  }

  /** A file for reading; the least lately used one that nobody reads is closed beyond a few. */
  #open(segment: Segment): Promise<DiskFile> {
    const { sequence, path } = segment;
    const known = this.#files.get(sequence);
    const file = known ?? this.#options.disk.open(path, { mode: "read" });
    this.#files.delete(sequence);
    this.#files.set(sequence, file);
    if (known === undefined) {
      file.catch(() => this.#files.delete(sequence));
      this.#closeIdle();
    }
    return file;
  }

  #closeIdle(): void {
    for (const [sequence, file] of this.#files) {
      if (this.#files.size <= FILES_MAX) return;
      if (this.#options.pool.segment(sequence).pins > 0) continue;
      this.#files.delete(sequence);
      file.then((opened) => opened.close()).catch(ignore);
    }
  }
}

/** The last row to be read: at least `first`, at most the one with `until`, about `bytesMax`. */
function lastRow(group: GroupLog, first: number, until: number, bytesMax: number): number {
  const { locations } = group;
  let bytes = locations.bytes(first);
  let row = first;
  while (row + 1 < locations.rows && locations.firstIndex(row + 1) <= until) {
    bytes += locations.bytes(row + 1);
    if (bytes > bytesMax) break;
    row++;
  }
  return row;
}

/** The last index of a row that still counts. */
function endOfRow(group: GroupLog, row: number): number {
  const { locations } = group;
  return row + 1 < locations.rows ? locations.firstIndex(row + 1) - 1 : group.lastIndex;
}

/** Adds a place to the newest span where it follows closely, else to a new one. */
function extend(
  spans: Span[],
  row: number,
  place: { segment: number; offset: number; bytes: number },
): void {
  const end = place.offset + recordBytes(place.bytes);
  const last = spans.at(-1);
  const near =
    last !== undefined &&
    last.segment === place.segment &&
    place.offset >= last.end &&
    place.offset - last.end <= GAP_BYTES_MAX &&
    end - last.offset <= SPAN_BYTES_MAX;
  if (near) {
    last.end = end;
    last.to = row + 1;
  } else {
    spans.push({ from: row, to: row + 1, segment: place.segment, offset: place.offset, end });
  }
}

function ignore(): void {}
