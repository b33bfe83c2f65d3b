/** Deaths in the moment in which the log goes over from one segment to the next. */
import { expect, test } from "vitest";
import { SimDisk } from "../disk/sim-disk.ts";
import { SeededRandom } from "../util/random.ts";
import { RECORD_HEADER_BYTES } from "./record.ts";
import { batchOf, emptyDisk, open } from "./log-harness.ts";

test("issue: a death while the end of a segment is being written leaves one file behind it", async () => {
  // The end of a segment takes long to become durable; all else is quick.
  const held: (() => void)[] = [];
  const disk = await emptyDisk(
    new SimDisk({
      complete: (task, { kind, urgent, bytes }) => {
        const isEnd = kind === "write" && urgent && bytes === RECORD_HEADER_BYTES;
        if (isEnd) held.push(task);
        else queueMicrotask(task);
      },
    }),
  );
  const log = await open(disk);
  let appended = 0;
  const fill = async (): Promise<void> => {
    while (held.length === 0) {
      const index = appended + 1;
      const write = { group: 1, hardState: undefined, entries: [batchOf(index, 1)], commit: 0 };
      const append = log.append([write]);
      append.catch(() => undefined);
      const isDone = await Promise.race([append.then(() => true), settled().then(() => false)]);
      if (!isDone) return;
      appended = index;
    }
  };
  await fill();
  expect(held.length).toBe(1);
  await settled();
  const found = disk.kill(new SeededRandom(1));
  const reopened = await open(found);
  expect(reopened.recovered(1).lastIndex).toBeGreaterThanOrEqual(appended);
});

test("a segment that is waited for is made in large pieces, one that is not in small ones", async () => {
  const pieces: number[] = [];
  let isSlow = false;
  const disk = await emptyDisk(
    new SimDisk({
      complete: (task, { kind, urgent, bytes }) => {
        if (kind === "write" && !urgent && bytes > RECORD_HEADER_BYTES) pieces.push(bytes);
        // Slow: the log has filled its segment long before the next one is there.
        if (isSlow && kind === "write" && !urgent) setTimeout(task, 5);
        else queueMicrotask(task);
      },
    }),
  );
  const log = await open(disk, { segmentBytes: 8 << 20 });
  await settled();
  const fill = async (text: string): Promise<void> => {
    for (let i = 0; i < 9; i++) {
      const index = ++appended;
      const entries = [batchOf(index, 1, { text })];
      await log.append([{ group: 1, hardState: undefined, entries, commit: 0 }]);
      if (!isSlow) await settled();
    }
  };
  let appended = 0;
  const text = "x".repeat(1 << 20);
  await fill(text);
  expect(Math.max(...pieces)).toBe(262_144);
  pieces.length = 0;
  isSlow = true;
  await fill(text);
  await fill(text);
  expect(Math.max(...pieces)).toBe(2_097_152);
  expect(pieces[0]).toBe(262_144);
  await log.close();
});

/** Long enough for every chain of promises that waits for nothing else. */
async function settled(): Promise<void> {
  for (let i = 0; i < 2_000; i++) await Promise.resolve();
}
