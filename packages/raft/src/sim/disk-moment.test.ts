import { expect, test } from "vitest";
import { SimDisk } from "../disk/sim-disk.ts";
import { batchOf, DIRECTORY, emptyDisk, hard, open } from "../log/log-harness.ts";
import type { DiskMoment } from "./disk-moment.ts";
import { DISK_MOMENTS, watchFor } from "./disk-moment.ts";

/** Fills two segments of a log with writes of about so many bytes, and says what was met. */
async function met(moment: DiskMoment, textBytes = 1_200): Promise<string[]> {
  const disk = new SimDisk();
  const isIt = watchFor(moment);
  const seen: string[] = [];
  disk.beforeOperation = (operation) => {
    const name = operation.path.replace(DIRECTORY, "").replace(/^\/0+/, "");
    if (isIt(operation)) seen.push(`${operation.kind} ${name} ${operation.bytes}`);
    return undefined;
  };
  await emptyDisk(disk);
  const log = await open(disk);
  for (let i = 1; i <= 3; i++) {
    const entries = [batchOf(i, 1, { text: "x".repeat(textBytes) })];
    await log.append([{ group: 1, hardState: hard(1), entries, commit: 0 }]);
  }
  await log.close();
  return seen;
}

test("each moment is met while a log is made, filled and closed", async () => {
  for (const moment of DISK_MOMENTS) expect(await met(moment), moment).not.toEqual([]);
});

test("writes are known by where they go and how long they are", async () => {
  for (const text of await met("segment-end")) expect(text).toMatch(/^write \d\.log 64$/);
  expect((await met("segment-begin"))[0]).toMatch(/^write 2\.log/);
  for (const text of await met("mark")) expect(text).toMatch(/^write \d\.log 512$/);
  expect(await met("large-write")).toHaveLength(3);
  expect(await met("large-write", 300)).toEqual([]);
  for (const text of await met("preparing")) expect(text).toMatch(/^write \d\.new/);
});

test("names are known when they are made, changed and made durable", async () => {
  for (const text of await met("create")) expect(text).toMatch(/^open \d\.new/);
  for (const text of await met("rename")) expect(text).toMatch(/^rename \d\.new/);
  for (const text of await met("sync-names")) expect(text).toMatch(/^syncDirectory/);
});
