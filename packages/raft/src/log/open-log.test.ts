/**
 * Opening a log: what a disk that fails, forgets or refuses at any operation leaves of it.
 */
import { describe, expect, test } from "vitest";
import { SeededRandom } from "../util/random.ts";
import { emptyDisk, failureOf, open, put } from "./log-harness.ts";

describe("opening", () => {
  test("fails clearly wherever the disk fails, and works once it does not", async () => {
    const disk = await emptyDisk();
    const log = await open(disk);
    for (let i = 1; i <= 40; i++) await log.append([put(1, i, 1, "x".repeat(100))]);
    await log.append([put(1, 41)]);
    const killed = disk.kill(new SeededRandom(1));
    const rehearsal = killed.clone();
    const opened = await open(rehearsal);
    const { operations } = rehearsal;
    expect(opened.recovery.rewrittenBytes).toBeGreaterThan(0);
    await opened.close();
    for (const effect of ["none", "some", "all"] as const) {
      for (let n = 1; n <= operations; n++) {
        const failing = killed.clone();
        let kind = "";
        failing.beforeOperation = (operation) => {
          if (operation.n !== n) return undefined;
          kind = operation.kind;
          return { reason: "io", effect };
        };
        const error = await failureOf(open(failing));
        // What could not be read once is read again; what could not be written is the end.
        if (error === undefined) expect(["open", "read", "size"], `${n}`).toContain(kind);
        else expect([n, error]).toEqual([n, "STORAGE_FAILED"]);
        failing.beforeOperation = undefined;
        const again = await open(failing.crash(new SeededRandom(n)));
        expect(again.recovered(1).lastIndex).toBe(41);
        await again.close();
      }
    }
  });

  // A failed write leaves pages that count as clean: the machine may forget them at any moment.
  test("makes durable what it has read, even where the cache forgets it meanwhile", async () => {
    const disk = await emptyDisk();
    const log = await open(disk);
    for (let i = 1; i <= 10; i++) await log.append([put(1, i)]);
    disk.beforeOperation = ({ kind }) => (kind === "write" ? { reason: "io" } : undefined);
    expect(await failureOf(log.append([put(1, 11)]))).toBe("STORAGE_FAILED");
    const killed = disk.kill(new SeededRandom(1));
    const rehearsal = killed.clone();
    await (await open(rehearsal)).close();
    for (let n = 1; n <= rehearsal.operations; n++) {
      const forgetful = killed.clone();
      forgetful.beforeOperation = (operation) => {
        if (operation.n === n) forgetful.dropCaches();
        return undefined;
      };
      const { lastIndex } = (await open(forgetful)).recovered(1);
      const again = await open(forgetful.crash(new SeededRandom(n)));
      expect(again.recovered(1).lastIndex, `dropped at ${n}`).toBe(lastIndex);
      await again.close();
    }
  });

  test("of a new log fails clearly as well, and leaves nothing that is in the way", async () => {
    const rehearsal = await emptyDisk();
    await (await open(rehearsal)).close();
    const { operations } = rehearsal;
    for (let n = 3; n <= operations - 2; n++) {
      const disk = await emptyDisk();
      disk.beforeOperation = (operation) => (operation.n === n ? { reason: "io" } : undefined);
      const log = await open(disk).catch(() => undefined);
      disk.beforeOperation = undefined;
      await log?.close();
      const again = await open(disk);
      await again.append([put(1, 1)]);
      await again.close();
    }
  });

  test("that is refused access says so", async () => {
    const disk = await emptyDisk();
    await (await open(disk)).close();
    disk.beforeOperation = () => ({ reason: "access" });
    expect(await failureOf(open(disk))).toBe("DATA_DIR_INVALID");
  });
});
