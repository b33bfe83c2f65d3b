/**
 * Looking at a log without opening it: for whoever has to find out what is wrong.
 *
 * The verdict is that of recovery itself, by the same code (recover.ts): what is said to be whole
 * here is what opening accepts. Beside it stands what can be counted in each file, so that damage
 * can be seen in its surroundings: how many records are whole before it, and how many behind.
 *
 * Only reads. A log that is in use changes meanwhile: what looks like a torn tail may then be a
 * write on its way.
 */
import type { RecoveredGroup } from "../core/contract.ts";
import type { Disk } from "../disk/disk.ts";
import type { Checksum } from "../util/checksum.ts";
import { messageOf } from "../util/error.ts";
import type { Position } from "./position.ts";
import {
  MAGIC_FIRST_BYTE,
  RECORD_HEADER_BYTES,
  RECORD_VERSION,
  bodyIsWhole,
  emptyHeader,
  readHeader,
  recordBytes,
} from "./record.ts";
import type { RecordHeader } from "./record.ts";
import { LogScan } from "./recover.ts";
import type { RecoverOptions } from "./recover.ts";
import { logSeal } from "./seal.ts";
import {
  SEGMENT_BYTES_MAX,
  SEGMENT_HEAD_BYTES,
  decodeIdentity,
  parseSegmentName,
} from "./segment.ts";
import type { SegmentSuffix } from "./segment.ts";

/** One file of the log directory. */
export interface LogFileSurvey {
  readonly path: string;
  /** Undefined: no name that the log gives. */
  readonly kind: SegmentSuffix | undefined;
  readonly bytes: number;
  /** Records that stand one behind the other from the head of the file on, all whole. */
  readonly records: number;
  /** Whole records that belong where they stand, behind the first place without one. */
  readonly recordsBehind: number;
  /** Why it could not be read; undefined where it could. */
  readonly problem: string | undefined;
}

/** What there is of one group. */
export interface GroupSurvey {
  readonly group: number;
  readonly recovered: RecoveredGroup;
}

/** Everything that can be told of a log from its files. */
export interface LogSurvey {
  readonly directory: string;
  /** Sorted by name. */
  readonly files: readonly LogFileSurvey[];
  /** What was read of each group, up to where reading ended. */
  readonly groups: readonly GroupSurvey[];
  /** The highest durable mark that was found. */
  readonly durable: Position;
  /** Where the log ends, or where reading came to an end because of `refusal`. */
  readonly end: Position;
  readonly records: number;
  /** Bytes of an unfinished write behind the end, which opening would cut. */
  readonly tornBytes: number;
  /** Bytes that no mark proves durable, which opening would write again. */
  readonly unprovenBytes: number;
  /** What opening would be refused with; undefined where it would not. */
  readonly refusal: unknown;
}

const NOTHING: Position = { segment: 0, offset: 0 };

/** Looks at the log in a directory, which must be there. Rejects where it cannot be listed. */
export async function surveyLog(options: RecoverOptions): Promise<LogSurvey> {
  const { disk, directory } = options;
  const files: LogFileSurvey[] = [];
  const sequences: number[] = [];
  for (const name of await disk.list(directory)) {
    const parsed = parseSegmentName(name);
    files.push(await surveyFile(options, `${directory}/${name}`, parsed?.suffix));
    if (parsed?.suffix === "log") sequences.push(parsed.sequence);
  }
  const [first] = sequences;
  if (first === undefined) return { ...EMPTY, directory, files };
  const scan = new LogScan(options, first);
  try {
    for (const sequence of sequences) await scan.segment(sequence);
    const found = scan.finish();
    const { tail, tornBytes, records, unproven } = found;
    const unprovenBytes = unproven.reduce((sum, piece) => sum + piece.bytes.length, 0);
    const sizes = { records, tornBytes, unprovenBytes };
    return { directory, files, ...seenOf(scan), ...sizes, end: tail, refusal: undefined };
  } catch (refusal) {
    const records = files.reduce((sum, file) => sum + file.records, 0);
    const sizes = { records, tornBytes: 0, unprovenBytes: 0 };
    return { directory, files, ...seenOf(scan), ...sizes, end: scan.at, refusal };
  }
}

const EMPTY: Omit<LogSurvey, "directory" | "files"> = {
  groups: [],
  durable: NOTHING,
  end: NOTHING,
  records: 0,
  tornBytes: 0,
  unprovenBytes: 0,
  refusal: undefined,
};

function seenOf(scan: LogScan): Pick<LogSurvey, "groups" | "durable"> {
  const ids = [...scan.groups.keys()].sort((a, b) => a - b);
  const groups = ids.map((group) => ({ group, recovered: scan.groups.get(group)!.recovered() }));
  return { groups, durable: scan.mark };
}

async function surveyFile(
  options: RecoverOptions,
  path: string,
  kind: SegmentSuffix | undefined,
): Promise<LogFileSurvey> {
  const nothing = { path, kind, bytes: 0, records: 0, recordsBehind: 0 };
  let bytes: Uint8Array | number;
  try {
    bytes = await readFile(options.disk, path, kind === "log");
  } catch (error) {
    return { ...nothing, problem: messageOf(error) };
  }
  if (typeof bytes === "number") return { ...nothing, bytes, problem: undefined };
  const counts = countRecords(bytes, options.checksum);
  return { ...nothing, bytes: bytes.length, ...counts, problem: undefined };
}

/** The content, or only the size where the content is not asked for or cannot be of a segment. */
async function readFile(disk: Disk, path: string, whole: boolean): Promise<Uint8Array | number> {
  const file = await disk.open(path, { mode: "read" });
  try {
    const size = await file.size();
    if (!whole || size > SEGMENT_BYTES_MAX) return size;
    const bytes = new Uint8Array(size);
    const count = await file.read(bytes, 0);
    return bytes.subarray(0, count);
  } finally {
    await file.close();
  }
}

/** Counts the records that belong where they stand. */
function countRecords(
  bytes: Uint8Array,
  checksum: Checksum,
): { readonly records: number; readonly recordsBehind: number } {
  const identity = decodeIdentity(bytes, checksum);
  if (identity === undefined) return { records: 0, recordsBehind: 0 };
  const seal = logSeal(checksum, identity.logId);
  const header = emptyHeader();
  const isRecord = (at: number): boolean =>
    readHeader(bytes, at, header, seal) &&
    belongs(header, identity.sequence, at) &&
    bodyIsWhole(bytes, at, header, seal);
  let at = SEGMENT_HEAD_BYTES;
  let records = 0;
  for (; isRecord(at); records++) at += recordBytes(header.bodyBytes);
  let recordsBehind = 0;
  while (at <= bytes.length - RECORD_HEADER_BYTES) {
    // One comparison for nearly all places.
    const found = bytes[at] === MAGIC_FIRST_BYTE && isRecord(at);
    if (found) recordsBehind++;
    at += found ? recordBytes(header.bodyBytes) : 8;
  }
  return { records, recordsBehind };
}

function belongs(header: Readonly<RecordHeader>, sequence: number, at: number): boolean {
  return header.version === RECORD_VERSION && header.segment === sequence && header.offset === at;
}
