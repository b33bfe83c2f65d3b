/**
 * Damage at every byte: recovery must agree with the oracle of damage-harness.ts, and what it
 * accepts must be what was written.
 */
import { crc32 as zlibCrc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readU64, writeU32, writeU64 } from "../util/bytes.ts";
import { QuorateError } from "../util/error.ts";
import { SeededRandom } from "../util/random.ts";
import {
  diskOf,
  imageOf,
  layoutOf,
  oracleOfFlip,
  oracleOfLoss,
  verdictOn,
} from "./damage-harness.ts";
import type { Image, Layout, Verdict } from "./damage-harness.ts";
import {
  DIRECTORY,
  LogModel,
  batchOf,
  configurationBatch,
  contentOf,
  emptyDisk,
  hard,
  open,
  stepsOf,
  summaryOf,
} from "./log-harness.ts";
import type { LogWrite } from "./log.ts";
import type { SegmentedLog } from "./segmented-log.ts";
import { segmentName } from "./segment.ts";

// ---- The logs that are damaged ----

interface Fixture {
  readonly image: Image;
  readonly layout: Layout;
  /** What the log holds when it ends at a place, by `segment/offset`; states of a head excluded. */
  readonly summaries: Map<string, string[]>;
  /** What recovery said when the log ended there, once it was compared. */
  readonly checked: Map<string, string>;
}

/** Writes a log, and notes what it holds after each record. */
class Script {
  readonly model: LogModel = new LogModel();
  readonly after: string[][] = [[]];
  readonly log: SegmentedLog;

  constructor(log: SegmentedLog) {
    this.log = log;
  }

  async append(...writes: LogWrite[]): Promise<void> {
    await this.log.append(writes);
    for (const step of stepsOf(writes)) this.after.push(this.model.apply(step).summary());
  }

  async release(group: number, index: number): Promise<void> {
    await this.log.release(group, index);
    this.after.push(this.model.apply({ kind: "release", group, index }).summary());
  }
}

function entries(group: number, index: number, term: number, textLength: number): LogWrite {
  const batch = batchOf(index, term, { text: "x".repeat(textLength), count: 1 + (index % 3) });
  return { group, hardState: undefined, entries: [batch], commit: index - 1 };
}

/** Appends until so many segments are in use; several groups, truncations, votes, marks. */
async function fill(script: Script, segments: number, textLength: number): Promise<void> {
  const random = new SeededRandom(5);
  let term = 3;
  await script.append(
    { group: 1, hardState: hard(3, "n1"), entries: [configurationBatch(1, 3, 3)], commit: 0 },
    { group: 2, hardState: hard(3, "n2"), entries: [batchOf(1, 3)], commit: 0 },
  );
  while (script.log.status().segments < segments) {
    const group = 1 + random.below(2);
    const next = script.model.lastIndex(group) + 1;
    const cut = random.below(10) === 0 ? Math.max(1, next - 2) : next;
    if (cut < next) {
      term++;
      await script.append({ group, hardState: hard(term, `n${group}`), entries: [], commit: 0 });
    }
    await script.append(entries(group, cut, Math.max(term, 3), random.below(textLength)));
    if (random.below(12) === 0) await script.log.settle();
  }
}

async function fixture(options: {
  segmentBytes: number;
  segments: number;
  textLength: number;
  settled: boolean;
  releaseAt?: number;
}): Promise<Fixture> {
  const disk = await emptyDisk();
  const log = await open(disk, { segmentBytes: options.segmentBytes, checksum: zlibCrc32 });
  const script = new Script(log);
  if (options.releaseAt !== undefined) {
    await fill(script, options.releaseAt, options.textLength);
    await script.release(1, script.model.lastIndex(1));
    await script.release(2, script.model.lastIndex(2) - 1);
  }
  await fill2(script, options.segments, options.textLength);
  // Writes of one record, each proven by the mark of the next one alone.
  for (let i = 0; i < 3; i++) {
    await script.append(entries(1, script.model.lastIndex(1) + 1, 85, 20));
  }
  // The last write: several records, none of them proven by a mark unless the log settles.
  const last1 = script.model.lastIndex(1);
  const last2 = script.model.lastIndex(2);
  await script.append(
    {
      group: 1,
      hardState: hard(90, "n3"),
      entries: [configurationBatch(last1 + 1, 90, 5)],
      commit: 0,
    },
    { group: 2, hardState: undefined, entries: [batchOf(last2, 91, { count: 3 })], commit: 0 },
    { group: 3, hardState: hard(7), entries: [batchOf(1, 7), batchOf(2, 7)], commit: 0 },
  );
  let left = disk;
  if (options.settled) await log.close();
  else left = disk.kill(new SeededRandom(1));
  const image = imageOf(left);
  const layout = layoutOf(image);
  const last = layout.records.filter((record) => record.segment === layout.tail.segment);
  expect(new Set(last.map((record) => record.mark.offset)).size).toBeGreaterThan(4);
  return { image, layout, summaries: summariesOf(layout, script.after), checked: new Map() };
}

async function fill2(script: Script, segments: number, textLength: number): Promise<void> {
  if (script.model.lastIndex(1) === 0) return fill(script, segments, textLength);
  while (script.log.status().segments < segments) {
    const group = 1 + (script.model.lastIndex(1) % 2);
    await script.append(entries(group, script.model.lastIndex(group) + 1, 80, textLength));
  }
}

/** Ties places to contents: records of heads, ends and moves say nothing new. */
function summariesOf(layout: Layout, after: string[][]): Map<string, string[]> {
  const news = layout.records.filter((r) => r.kind <= 3 && (r.flags & 1) === 0);
  // What was recycled is not in the image any more: count from the end.
  const summaries = new Map<string, string[]>();
  let step = after.length - 1 - news.length;
  for (const record of layout.records) {
    summaries.set(`${record.segment}/${record.offset}`, after[step]!);
    if (news.includes(record)) step++;
  }
  summaries.set(`${layout.tail.segment}/${layout.tail.offset}`, after[step]!);
  expect(step).toBe(after.length - 1);
  return summaries;
}

/** Recovery must agree with the oracle, and what it accepts must be what was written. */
async function check(f: Fixture, want: Verdict, what: () => string): Promise<void> {
  const { verdict, recovered } = await verdictOn(f.image);
  const same =
    verdict.kind === want.kind &&
    verdict.offset === want.offset &&
    (verdict.kind === "damaged" && want.kind === "damaged"
      ? verdict.path === want.path
      : verdict.kind === "open" && want.kind === "open" && verdict.segment === want.segment);
  if (!same) expect({ at: what(), verdict }).toEqual({ at: what(), verdict: want });
  if (recovered === undefined) return;
  const groups = [...recovered.groups].map(([id, group]) => [id, group.recovered()] as const);
  const place = `${recovered.tail.segment}/${recovered.tail.offset}`;
  // The first time at a place is compared with the model, the others with the first time.
  const exact = JSON.stringify(groups);
  const known = f.checked.get(place);
  if (known === undefined) {
    expect({ at: what(), found: summaryOf(groups) }).toEqual({
      at: what(),
      found: f.summaries.get(place),
    });
    f.checked.set(place, exact);
  } else if (known !== exact) {
    expect({ at: what(), groups: exact }).toEqual({ at: what(), groups: known });
  }
}

async function flipEverywhere(f: Fixture, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const bytes = f.image.get(path)!;
    const isUsed = f.layout.records.some((record) => record.path === path);
    for (let offset = 0; offset < bytes.length; offset++) {
      // Of the file that was only prepared, all of the head, and some of the zeros.
      if (!isUsed && offset > 1_600 && offset % 16 !== 0) continue;
      const mask = 1 << ((offset * 7) % 8);
      bytes[offset]! ^= mask;
      await check(f, oracleOfFlip(f.layout, path, offset), () => `${path} ${offset}`);
      bytes[offset]! ^= mask;
    }
  }
}

function logsOf(f: Fixture): string[] {
  return [...f.image.keys()].filter((path) => path.endsWith(".log")).sort();
}

/** The file in which the log ends. */
function lastUsed(f: Fixture): string {
  return f.layout.records.at(-1)!.path;
}

/** The long form flips every byte of 64 KiB in one log. */
const LONG = process.env["QUORATE_LONG"] === "1";

// Tens of thousands of refusals: their stack traces would be most of the work.
const { stackTraceLimit } = Error;
beforeAll(() => void (Error.stackTraceLimit = 0));
afterAll(() => void (Error.stackTraceLimit = stackTraceLimit));

describe("one bit flipped, at every byte", () => {
  test("of a log whose last write no mark proves", { timeout: 600_000 }, async () => {
    const size = LONG
      ? { segmentBytes: 20_480, textLength: 2_500 }
      : { segmentBytes: 8_192, textLength: 900 };
    const f = await fixture({ ...size, segments: 3, settled: false });
    expect(logsOf(f).length).toBe(4);
    await check(f, { kind: "open", ...f.layout.tail }, () => "whole");
    await flipEverywhere(f, logsOf(f));
  });

  test("of small segments, settled, the oldest ones recycled", async () => {
    const f = await fixture({
      segmentBytes: 6_144,
      segments: 2,
      textLength: 300,
      settled: true,
      releaseAt: 3,
    });
    expect(f.layout.records[0]!.segment).toBeGreaterThan(1);
    await flipEverywhere(f, logsOf(f));
  });

  test("of small segments, not settled, the oldest ones recycled", async () => {
    const f = await fixture({
      segmentBytes: 6_144,
      segments: 2,
      textLength: 300,
      settled: false,
      releaseAt: 3,
    });
    await flipEverywhere(f, logsOf(f));
  });
});

describe("cut at every byte", () => {
  let settled: Fixture;
  let unsettled: Fixture;

  beforeAll(async () => {
    const options = { segmentBytes: 6_144, segments: 2, textLength: 200 };
    settled = await fixture({ ...options, settled: true });
    unsettled = await fixture({ ...options, settled: false });
  });

  test("a file that is shorter than its head says is damage, wherever it is cut", async () => {
    const f = unsettled;
    for (const path of logsOf(f)) {
      const bytes = f.image.get(path)!;
      const step = path === lastUsed(f) ? 1 : 5;
      for (let length = 0; length < bytes.length; length += step) {
        f.image.set(path, bytes.subarray(0, length));
        const { verdict } = await verdictOn(f.image);
        const offset = length < 512 ? 0 : length;
        if (verdict.kind !== "damaged" || verdict.offset !== offset || verdict.path !== path) {
          expect(verdict).toEqual({ kind: "damaged", path, offset });
        }
      }
      f.image.set(path, bytes);
    }
  });

  test("what was never written is a torn tail, below a mark it is damage", async () => {
    for (const f of [settled, unsettled]) {
      const path = lastUsed(f);
      const bytes = f.image.get(path)!;
      let torn = 0;
      for (let from = bytes.length - 1; from >= 1536; from--) {
        const left = bytes.slice().fill(0, from);
        f.image.set(path, left);
        const want = oracleOfLoss(f.layout, path, [bytes, left]);
        if (want.kind === "open" && want.offset < f.layout.tail.offset) torn++;
        await check(f, want, () => `${path} from ${from}`);
      }
      f.image.set(path, bytes);
      if (f === settled) expect(torn).toBe(0);
      else expect(torn).toBeGreaterThan(100);
    }
  });

  test("a whole sector of zeros below the mark is damage, not an end", async () => {
    const path = lastUsed(settled);
    const bytes = settled.image.get(path)!;
    for (let at = 1536; at + 512 <= settled.layout.tail.offset; at += 512) {
      settled.image.set(path, bytes.slice().fill(0, at, at + 512));
      expect((await verdictOn(settled.image)).verdict.kind).toBe("damaged");
    }
    settled.image.set(path, bytes);
  });
});

describe("a missing file", () => {
  test("any one of the sequence is damage that names it", async () => {
    const f = await fixture({ segmentBytes: 6_144, segments: 4, textLength: 200, settled: true });
    const used = logsOf(f).slice(0, 4);
    for (const path of used) {
      const bytes = f.image.get(path)!;
      f.image.delete(path);
      expect((await verdictOn(f.image)).verdict).toEqual({ kind: "damaged", path, offset: 0 });
      f.image.set(path, bytes);
    }
  });

  test("a first file without its first states is damage, with no mark left to say so", async () => {
    const f = await fixture({
      segmentBytes: 6_144,
      segments: 2,
      textLength: 300,
      settled: false,
      releaseAt: 3,
    });
    const path = logsOf(f)[0]!;
    for (const other of logsOf(f).slice(1)) f.image.delete(other);
    const bytes = f.image.get(path)!;
    bytes.fill(0, 512, 1_700);
    bytes.fill(0, 2_000);
    const { verdict } = await verdictOn(f.image);
    expect(verdict).toEqual({ kind: "damaged", path, offset: 1_536 });
  });

  test("a file two behind the end of the log is damage: the one before it was in use", async () => {
    const f = await fixture({ segmentBytes: 6_144, segments: 2, textLength: 200, settled: true });
    const last = logsOf(f).at(-1)!;
    const head = f.image.get(last)!.slice();
    const sequence = readU64(head, 16) + 1;
    writeU64(head, 16, sequence);
    writeU32(head, 508, zlibCrc32(head.subarray(0, 508)));
    const path = `${DIRECTORY}/${segmentName(sequence, "log")}`;
    f.image.set(path, head);
    expect((await verdictOn(f.image)).verdict).toEqual({ kind: "damaged", path, offset: 0 });
  });

  test("the one that was only prepared may be missing: nothing was in it", async () => {
    const f = await fixture({ segmentBytes: 6_144, segments: 2, textLength: 200, settled: true });
    f.image.delete(logsOf(f).at(-1)!);
    await check(f, { kind: "open", ...f.layout.tail }, () => "without the prepared one");
  });
});

describe("a file that does not belong", () => {
  test("a segment under another number, or of another log, is refused", async () => {
    const f = await fixture({ segmentBytes: 6_144, segments: 2, textLength: 200, settled: true });
    const [first, second] = logsOf(f) as [string, string];
    const bytes = f.image.get(second)!;
    f.image.set(second, f.image.get(first)!);
    expect((await verdictOn(f.image)).verdict).toMatchObject({ kind: "damaged", path: second });
    const disk = await emptyDisk();
    const other = await open(disk, { checksum: zlibCrc32, random: new SeededRandom(99) });
    await other.close();
    f.image.set(second, bytes);
    f.image.set(first, disk.image(first));
    expect((await verdictOn(f.image)).verdict).toMatchObject({ kind: "damaged", path: second });
  });

  test("a newer format version is named as such", async () => {
    const f = await fixture({ segmentBytes: 6_144, segments: 2, textLength: 200, settled: true });
    const [first] = logsOf(f) as [string];
    const bytes = f.image.get(first)!;
    bytes[8] = 2;
    writeU32(bytes, 508, zlibCrc32(bytes.subarray(0, 508)));
    await expect(verdictOn(f.image)).rejects.toMatchObject({ code: "FORMAT_UNSUPPORTED" });
  });
});

describe("refusing", () => {
  test("changes nothing, and names file, offset and remedy", async () => {
    const f = await fixture({ segmentBytes: 6_144, segments: 3, textLength: 200, settled: true });
    const path = logsOf(f)[1]!;
    const disk = diskOf(f.image);
    disk.flip(path, 1_700, 4);
    const before = imageOf(disk);
    const error: unknown = await open(disk, { checksum: zlibCrc32 }).catch((e: unknown) => e);
    expect(QuorateError.is(error) && error.code).toBe("LOG_DAMAGED");
    expect(String(error)).toContain(`${path}: damaged at offset 1`);
    expect(String(error)).toContain("replace this member");
    expect(imageOf(disk)).toEqual(before);
  });

  test("a file that cannot be read is refused with the cause", async () => {
    const f = await fixture({ segmentBytes: 6_144, segments: 3, textLength: 200, settled: true });
    const path = logsOf(f)[1]!;
    const disk = diskOf(f.image);
    disk.spoil(path, 2_000, 1);
    await expect(open(disk, { checksum: zlibCrc32 })).rejects.toMatchObject({
      code: "LOG_DAMAGED",
      cause: { reason: "io" },
    });
  });

  test("a read that fails and then does not is no damage", async () => {
    const f = await fixture({ segmentBytes: 6_144, segments: 3, textLength: 200, settled: true });
    for (let failing = 1; failing <= 12; failing++) {
      const disk = diskOf(f.image);
      let reads = 0;
      disk.beforeOperation = ({ kind }) => {
        if (kind !== "read") return undefined;
        return ++reads === failing ? { reason: "io" } : undefined;
      };
      const log = await open(disk, { checksum: zlibCrc32 });
      expect(log.recovered(1).lastIndex).toBeGreaterThan(0);
      await log.close();
    }
  });

  test("a disk of which nothing can be read is none either: it may be tried again", async () => {
    const f = await fixture({ segmentBytes: 6_144, segments: 3, textLength: 200, settled: true });
    const disk = diskOf(f.image);
    disk.beforeOperation = ({ kind }) => (kind === "read" ? { reason: "io" } : undefined);
    const error: unknown = await open(disk, { checksum: zlibCrc32 }).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "STORAGE_FAILED", outcome: "not-done" });
    expect(String(error)).toContain("start this member again once its disk answers");
    disk.beforeOperation = undefined;
    const log = await open(disk, { checksum: zlibCrc32 });
    expect(log.recovered(1).lastIndex).toBeGreaterThan(0);
    await log.close();
  });
});

describe("a recycled segment, full of old votes and entries", () => {
  /** A log whose newest segment was used before; the image also as it was when it was recycled. */
  async function recycled(): Promise<{ f: Fixture; old: Uint8Array; path: string }> {
    const disk = await emptyDisk();
    const log = await open(disk, { checksum: zlibCrc32 });
    const script = new Script(log);
    // Old votes in high terms and many entries, which must not come back.
    await script.append({ group: 9, hardState: hard(500, "old"), entries: [], commit: 0 });
    for (let i = 1; i <= 45; i++) {
      await script.append(entries(9, i * 3 - 2, 500, 60), {
        group: 1,
        hardState: hard(i, "old"),
        entries: [],
        commit: 0,
      });
      const last = script.model.lastIndex(9);
      if (last < i * 3) await script.append(padding(9, last + 1, i * 3, 500));
    }
    await script.release(9, script.model.lastIndex(9));
    for (let i = 46; log.status().segments < 3; i++) {
      await script.append({ group: 1, hardState: hard(i, "new"), entries: [], commit: 0 });
    }
    for (let i = 0; i < 4; i++) {
      const last = script.model.lastIndex(9);
      await script.append(padding(9, last + 1, last + 2, 501));
    }
    const image = imageOf(disk.kill(new SeededRandom(3)));
    const layout = layoutOf(image);
    const path = layout.records.at(-1)!.path;
    const now = image.get(path)!;
    // Below the tail old bytes are gone; take those of another recycled file, at their own places.
    const old = now.slice();
    const donor = image.get(logsOf({ image } as Fixture)[0]!)!;
    old.set(donor.subarray(1536), 1536);
    expect(now.subarray(layout.tail.offset).some((byte) => byte !== 0)).toBe(true);
    const summaries = summariesOf(layout, script.after);
    return { f: { image, layout, summaries, checked: new Map() }, old, path };
  }

  function padding(group: number, from: number, to: number, term: number): LogWrite {
    const batch = batchOf(from, term, { count: to - from + 1, text: "old" });
    return { group, hardState: undefined, entries: [batch], commit: 0 };
  }

  test("is cut at every byte, and no old vote or entry comes back", async () => {
    const { f, old, path } = await recycled();
    const now = f.image.get(path)!;
    for (let from = 1536; from <= now.length; from++) {
      const bytes = now.slice();
      bytes.set(old.subarray(from), from);
      f.image.set(path, bytes);
      await check(f, oracleOfLoss(f.layout, path, [now, bytes]), () => `${path} from ${from}`);
    }
    f.image.set(path, now);
  });

  test("is written on after the cut, and still no old record comes back", async () => {
    const { f, old, path } = await recycled();
    const now = f.image.get(path)!;
    for (let from = f.layout.records.at(-1)!.offset; from <= f.layout.tail.offset; from += 5) {
      const bytes = now.slice();
      bytes.set(old.subarray(from), from);
      f.image.set(path, bytes);
      const disk = diskOf(f.image);
      const log = await open(disk, { checksum: zlibCrc32 });
      const { lastIndex } = log.recovered(9);
      await log.append([
        { group: 9, hardState: undefined, entries: [batchOf(lastIndex + 1, 600)], commit: 0 },
      ]);
      const again = await open(disk.crash(new SeededRandom(from)), { checksum: zlibCrc32 });
      expect(again.recovered(9).lastIndex).toBe(lastIndex + 1);
      expect((await contentOf(again, [9])).join(" ")).toContain(`${lastIndex + 1}@600:v`);
      await again.close();
    }
  });
});
