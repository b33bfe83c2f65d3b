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

/** Long enough for every chain of promises that waits for nothing else. */
async function settled(): Promise<void> {
  for (let i = 0; i < 2_000; i++) await Promise.resolve();
}
