/**
 * What the tests of damage share: images of files, and the oracle.
 *
 * The oracle parses a good image by the byte tables alone, knows from that which marks a change
 * leaves intact, and says what design.md demands.
 */
import { crc32 as zlibCrc32 } from "node:zlib";
import { DiskError } from "../disk/disk.ts";
import type { Disk, DiskFile } from "../disk/disk.ts";
import { SimDisk } from "../disk/sim-disk.ts";
import { readU32, readU64 } from "../util/bytes.ts";
import { QuorateError } from "../util/error.ts";
import { DIRECTORY } from "./log-harness.ts";
import { recoverLog } from "./recover.ts";
import type { Recovered } from "./recover.ts";
import { parseSegmentName } from "./segment.ts";

/** Bytes of files, by path: the quickest disk there is, for reading only. */
export type Image = Map<string, Uint8Array>;

export function imageOf(disk: SimDisk): Image {
  return new Map(disk.paths().map((path) => [path, disk.image(path)]));
}

export function diskOf(image: Image): SimDisk {
  const disk = new SimDisk();
  for (const [path, bytes] of image) disk.place(path, bytes);
  return disk;
}

class ImageDisk {
  readonly #image: Image;
  constructor(image: Image) {
    this.#image = image;
  }
  open(path: string): Promise<DiskFile> {
    const bytes = this.#image.get(path);
    if (bytes === undefined) return Promise.reject(new DiskError("not-found", path, "not there"));
    return Promise.resolve({
      path,
      size: () => Promise.resolve(bytes.length),
      read: (into: Uint8Array, position: number) => {
        const part = bytes.subarray(position, position + into.length);
        into.set(part);
        return Promise.resolve(part.length);
      },
      close: () => Promise.resolve(),
    } as Partial<DiskFile> as DiskFile);
  }
}

export type Verdict =
  | { readonly kind: "damaged"; readonly path: string; readonly offset: number }
  | { readonly kind: "open"; readonly segment: number; readonly offset: number };

export async function verdictOn(
  image: Image,
): Promise<{ verdict: Verdict; recovered?: Recovered }> {
  const disk = new ImageDisk(image) as Partial<Disk> as Disk;
  const sequences: number[] = [];
  for (const path of image.keys()) {
    const parsed = parseSegmentName(path.slice(DIRECTORY.length + 1));
    if (parsed?.suffix === "log") sequences.push(parsed.sequence);
  }
  sequences.sort((a, b) => a - b);
  try {
    const options = { disk, directory: DIRECTORY, checksum: zlibCrc32 };
    const recovered = await recoverLog(options, sequences);
    return { verdict: { kind: "open", ...recovered.tail }, recovered };
  } catch (error) {
    if (!QuorateError.is(error) || error.code !== "LOG_DAMAGED") throw error;
    const match = /(\/data\S+): damaged at offset (\d+)/.exec(error.message)!;
    return { verdict: { kind: "damaged", path: match[1]!, offset: Number(match[2]) } };
  }
}

// ---- The oracle ----

export interface Mark {
  readonly segment: number;
  readonly offset: number;
}

export interface Placed {
  readonly path: string;
  readonly segment: number;
  readonly offset: number;
  readonly bytes: number;
  readonly kind: number;
  readonly flags: number;
  readonly mark: Mark;
}

export interface Slot extends Placed {
  readonly generation: number;
}

export interface Layout {
  readonly records: readonly Placed[];
  readonly slots: readonly Slot[];
  readonly tail: Mark;
  readonly verdicts: Map<string, Verdict>;
}

/** Reads a good image by the byte tables. */
export function layoutOf(image: Image): Layout {
  const records: Placed[] = [];
  const slots: Slot[] = [];
  let tail: Mark | undefined;
  for (const path of [...image.keys()].sort()) {
    const bytes = image.get(path)!;
    if (!path.endsWith(".log")) continue;
    const segment = readU64(bytes, 16);
    for (const offset of [512, 1024]) {
      if (text(bytes, offset) !== "MARK" || readU64(bytes, offset + 8) !== segment) continue;
      const mark = { segment: readU64(bytes, offset + 32), offset: readU32(bytes, offset + 40) };
      const generation = readU64(bytes, offset + 24);
      slots.push({ path, segment, offset, bytes: 512, kind: 0, flags: 0, mark, generation });
    }
    if (tail !== undefined) continue;
    let offset = 1536;
    let ended = false;
    while (
      !ended &&
      text(bytes, offset) === "QREC" &&
      readU64(bytes, offset + 16) === segment &&
      readU32(bytes, offset + 24) === offset
    ) {
      const size = 64 + Math.ceil(readU32(bytes, offset + 12) / 8) * 8;
      const mark = { segment: readU64(bytes, offset + 32), offset: readU32(bytes, offset + 40) };
      const kind = bytes[offset + 9]!;
      const flags = bytes[offset + 10]!;
      records.push({ path, segment, offset, bytes: size, kind, flags, mark });
      ended = kind === 5;
      offset += size;
    }
    if (!ended) tail = { segment, offset };
  }
  return { records, slots, tail: tail!, verdicts: new Map() };
}

export function text(bytes: Uint8Array, at: number): string {
  return new TextDecoder("latin1").decode(bytes.subarray(at, at + 4));
}

export function isBehind(a: Mark, b: Mark): boolean {
  return a.segment > b.segment || (a.segment === b.segment && a.offset > b.offset);
}

/**
 * Where the log ends when `lost` is the first record that is not whole and these marks are left.
 */
export function judge(lost: Placed, marks: readonly Mark[]): Verdict {
  // The states at the head of a segment go together.
  const isHead = (lost.flags & 1) !== 0;
  const isProven = marks.some((mark) => isBehind(mark, lost));
  return isProven
    ? { kind: "damaged", path: lost.path, offset: lost.offset }
    : { kind: "open", segment: lost.segment, offset: isHead ? 1536 : lost.offset };
}

/** What a changed byte must lead to. Verdicts are the same all over a header or a body: kept. */
export function oracleOfFlip(layout: Layout, path: string, offset: number): Verdict {
  const clean: Verdict = { kind: "open", ...layout.tail };
  if (offset < 512) return { kind: "damaged", path, offset: 0 };
  if (offset < 1536) return clean;
  const hit = layout.records.find(
    (r) => r.path === path && offset >= r.offset && offset < r.offset + r.bytes,
  );
  if (hit === undefined) return clean;
  const inBody = offset >= hit.offset + 64;
  const key = `${path} ${hit.offset} ${inBody}`;
  let verdict = layout.verdicts.get(key);
  if (verdict === undefined) {
    // A header that is still whole is believed, even where its body is not.
    const believed = layout.records.filter((r) => r !== hit || inBody);
    verdict = judge(
      hit,
      [...believed, ...layout.slots].map((place) => place.mark),
    );
    layout.verdicts.set(key, verdict);
  }
  return verdict;
}

/**
 * What must be when everything of the newest used segment from some offset on was never written.
 * Bytes that are the same either way are not lost.
 */
export function oracleOfLoss(layout: Layout, path: string, files: readonly Uint8Array[]): Verdict {
  const [before, after] = files as [Uint8Array, Uint8Array];
  let offset = 0;
  while (offset < before.length && before[offset] === after[offset]) offset++;
  if (offset === before.length) return { kind: "open", ...layout.tail };
  const lost = layout.records.find((r) => r.path === path && offset < r.offset + r.bytes);
  if (lost === undefined) return { kind: "open", ...layout.tail };
  const believed = layout.records.filter((r) => r.path !== path || r.offset + 64 <= offset);
  return judge(
    lost,
    [...believed, ...layout.slots].map((place) => place.mark),
  );
}
