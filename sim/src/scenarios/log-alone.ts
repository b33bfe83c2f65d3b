/**
 * The log below the engine, on a simulated disk: orders of records that the engine brings about
 * once in many thousand runs.
 */
import assert from "node:assert/strict";
import { EntryBatch, EntryKind, SeededRandom, crc32, packEntries } from "quorate/core";
import { SimDisk, openLog } from "quorate/sim";
import type { Log } from "quorate/sim";
import type { Scenario } from "../scenario.ts";

/** Scenarios about the log alone. */
export const scenarios: readonly Scenario[] = [
  {
    name: "released-before-the-next-is-moved",
    text:
      "A batch is moved and then let go of, and only then is the one behind it moved: of the first " +
      "nothing is left after a crash, neither its place nor its term.",
    run: releasedBeforeTheNextIsMoved,
  },
];

const GROUP = 1;
const DIRECTORY = "/log";
/** Of a segment, some 6,000 bytes are for records behind its head. */
const SEGMENT_BYTES = 8_192;
/** One of these fills more than half of a segment; a small one is worth moving. */
const LARGE_BYTES = 4_000;
const SMALL_BYTES = 500;

async function releasedBeforeTheNextIsMoved(): Promise<void> {
  const disk = new SimDisk();
  const log = await open(disk);
  await append(log, 1, 1, LARGE_BYTES);
  await append(log, 2, 1, SMALL_BYTES); // the last of the first segment
  await append(log, 3, 2, LARGE_BYTES);
  await append(log, 4, 2, SMALL_BYTES); // the last of the second one
  await append(log, 5, 2, LARGE_BYTES);
  assert.equal(log.status().segments, 3, "five batches fill two segments and begin a third");
  await log.release(GROUP, 1);
  assert.equal(log.status().segments, 2, "entry 2 was moved, so the first segment is gone");
  await log.release(GROUP, 3);
  const again = await open(disk.crash(new SeededRandom(1)));
  const { startIndex, lastIndex, termRuns } = again.recovered(GROUP);
  assert.deepEqual(
    { startIndex, lastIndex, termRuns },
    { startIndex: 3, lastIndex: 5, termRuns: [{ index: 4, term: 2 }] },
  );
  const entries = await again.read(GROUP, 4, 5, 1_000_000);
  assert.deepEqual(
    entries.map(({ firstIndex }) => firstIndex),
    [4, 5],
  );
  await again.close();
}

function open(disk: SimDisk): Promise<Log> {
  const never = { cancel: (): void => {} };
  return openLog({
    disk,
    directory: DIRECTORY,
    checksum: crc32,
    clock: { nowMs: () => 0, setTimer: () => never, soon: queueMicrotask },
    random: new SeededRandom(1),
    segmentBytes: SEGMENT_BYTES,
  });
}

/** Appends a batch of one entry of about that size. */
async function append(log: Log, index: number, term: number, bytes: number): Promise<void> {
  const packed = packEntries([{ kind: EntryKind.command, payload: new Uint8Array(bytes) }]);
  const place = { term, firstIndex: index, timeMs: index, checksum: crc32 };
  const hardState = { term, vote: undefined, commit: index - 1 };
  await log.append([
    { group: GROUP, hardState, entries: [EntryBatch.seal(packed, place)], commit: index - 1 },
  ]);
}
