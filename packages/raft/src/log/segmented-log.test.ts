import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 as zlibCrc32 } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { EntryBatch, EntryKind, packEntries } from "../core/entry.ts";
import { NodeDisk } from "../disk/node-disk.ts";
import { SimDisk } from "../disk/sim-disk.ts";
import { InvariantViolation } from "../util/assert.ts";
import {
  DIRECTORY,
  ManualClock,
  batchOf,
  codeOf,
  configurationOf,
  emptyDisk,
  failureOf,
  hard,
  open,
  put,
  readAll,
} from "./log-harness.ts";
import { logSuite } from "./log-suite.ts";
import type { LogUnderTest } from "./log-suite.ts";
import type { SegmentedLog } from "./segmented-log.ts";
import { segmentName } from "./segment.ts";

const made: string[] = [];

function makeDirectory(): string {
  const directory = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "quorate-log-")));
  made.push(directory);
  return directory;
}

afterEach(() => {
  for (const directory of made.splice(0)) fs.rmSync(directory, { recursive: true, force: true });
});

describe("the port, on the simulated disk", () => {
  const make = async (): Promise<LogUnderTest> => {
    const disk = await emptyDisk();
    let log: SegmentedLog | undefined;
    return {
      open: async () => {
        await log?.close();
        log = await open(disk, { segmentBytes: 16_384, checksum: zlibCrc32 });
        return log;
      },
      dispose: async () => log?.close(),
    };
  };
  for (const suiteCase of logSuite(make)) test(suiteCase.name, () => suiteCase.run());
});

describe("the port, on the real disk", () => {
  const make = (): Promise<LogUnderTest> => {
    const directory = `${makeDirectory()}/log`;
    const disk = new NodeDisk();
    let log: SegmentedLog | undefined;
    return Promise.resolve({
      open: async () => {
        await log?.close();
        log = await open(disk, { directory, segmentBytes: 65_536, checksum: zlibCrc32 });
        return log;
      },
      dispose: async () => log?.close(),
    });
  };
  for (const suiteCase of logSuite(make)) test(suiteCase.name, () => suiteCase.run());
});

/** Lets everything that can go on without a timer go on. */
async function drain(): Promise<void> {
  for (let i = 0; i < 200; i++) await Promise.resolve();
}

describe("a failed write", () => {
  test("poisons the log: nothing is acknowledged again, and nothing is tried again", async () => {
    const disk = await emptyDisk();
    const log = await open(disk);
    const states: string[] = [];
    log.onStateChange((state) => states.push(state));
    await log.append([put(1, 1)]);
    await drain();
    disk.beforeOperation = (operation) =>
      operation.kind === "write" && operation.urgent ? { reason: "io" } : undefined;
    expect(await failureOf(log.append([put(1, 2)]))).toBe("STORAGE_FAILED");
    disk.beforeOperation = undefined;
    const operations = disk.operations;
    expect(await failureOf(log.append([put(1, 2)]))).toBe("STORAGE_FAILED");
    expect(await failureOf(log.settle())).toBe("STORAGE_FAILED");
    expect(await failureOf(log.release(1, 1))).toBe("STORAGE_FAILED");
    expect(disk.operations).toBe(operations);
    expect(log.status().state).toBe("failed");
    expect(states).toEqual(["failed"]);
    expect(await readAll(log, 1, 1)).toEqual(["1@1:v1"]);
    expect(await failureOf(log.read(1, 2, 2, 100))).toBe("STORAGE_FAILED");
    await log.close();
  });

  test("a failed mark poisons as well", async () => {
    const disk = await emptyDisk();
    const log = await open(disk);
    await log.append([put(1, 1)]);
    disk.beforeOperation = (operation) => (operation.bytes === 512 ? { reason: "io" } : undefined);
    expect(await failureOf(log.settle())).toBe("STORAGE_FAILED");
    expect(await failureOf(log.append([put(1, 2)]))).toBe("STORAGE_FAILED");
    await log.close();
  });

  test("a failure while preparing a segment poisons, and frees who waits for it", async () => {
    for (const kind of ["write", "sync", "rename", "syncDirectory", "open"] as const) {
      const disk = await emptyDisk();
      const log = await open(disk);
      let index = 0;
      disk.beforeOperation = (operation) =>
        operation.kind === kind && !operation.urgent ? { reason: "io" } : undefined;
      let failure: string | undefined;
      while (failure === undefined && index < 1_000) {
        failure = await failureOf(log.append([put(1, ++index, 1, "x".repeat(100))]));
      }
      expect(failure, kind).toBe("STORAGE_FAILED");
      await log.close();
    }
  });

  test("a full disk under a data-synced write is a failure, not a state", async () => {
    const disk = await emptyDisk();
    const log = await open(disk);
    disk.beforeOperation = (operation) =>
      operation.kind === "write" && operation.urgent ? { reason: "full" } : undefined;
    expect(await failureOf(log.append([put(1, 1)]))).toBe("STORAGE_FAILED");
    await log.close();
  });
});

describe("a full disk", () => {
  /** Appends until one waits; returns it and the index it stands for. */
  async function fill(log: SegmentedLog): Promise<{ index: number; waiting: Promise<void> }> {
    for (let index = 1; ; index++) {
      expect(log.status().state).not.toBe("failed");
      const appended = log.append([put(1, index, 1, "x".repeat(100))]);
      let done = false;
      const noted = (): void => void (done = true);
      appended.then(noted, noted);
      await drain();
      if (!done) return { index, waiting: appended };
    }
  }

  test("shows early; the append that needs space waits and goes on when it is back", async () => {
    const disk = await emptyDisk(new SimDisk({ capacityBytes: 10_000 }));
    const clock = new ManualClock();
    const log = await open(disk, { clock });
    const states: string[] = [];
    log.onStateChange((state) => states.push(state));
    await drain();
    expect(log.status().state).toBe("ok");
    const { index, waiting } = await fill(log);
    expect(log.status().state).toBe("full");
    clock.advance(10_000);
    await drain();
    expect(log.status().state).toBe("full");
    disk.capacityBytes = 100_000;
    clock.advance(500);
    await waiting;
    expect(states).toEqual(["full", "ok"]);
    await log.append([put(1, index + 1)]);
    await log.close();
    const again = await open(disk);
    expect(again.recovered(1).lastIndex).toBe(index + 1);
    expect((await readAll(again, 1, index + 1)).length).toBe(index + 1);
    await again.close();
  });

  test("smaller things still find their way, and a release makes the space itself", async () => {
    const disk = await emptyDisk(new SimDisk({ capacityBytes: 13_000 }));
    const log = await open(disk, { clock: new ManualClock() });
    const { index, waiting } = await fill(log);
    expect(log.status().state).toBe("full");
    // No timer fires: the recycled segment alone lets the append go on.
    await log.release(1, index - 2);
    await waiting;
    expect(log.status().state).toBe("ok");
    await log.close();
    const again = await open(disk);
    expect(again.recovered(1)).toMatchObject({ startIndex: index - 2, lastIndex: index });
    await again.close();
  });

  test("what opens a term, and votes behind it, find room where commands do not", async () => {
    const full = await open(await emptyDisk(new SimDisk({ capacityBytes: 10_000 })));
    const { index, waiting } = await fill(full);
    waiting.catch(() => {});
    await full.close();
    // The same once more, up to where the next command would wait.
    const log = await open(await emptyDisk(new SimDisk({ capacityBytes: 10_000 })));
    for (let i = 1; i < index; i++) await log.append([put(1, i, 1, "x".repeat(100))]);
    expect(log.status().state).toBe("full");
    const seal = { term: 2, firstIndex: index, timeMs: 0, checksum: zlibCrc32 };
    const noop = packEntries([{ kind: EntryKind.noop, payload: new Uint8Array(0) }]);
    const batch = EntryBatch.seal(noop, seal);
    await log.append([{ group: 1, hardState: hard(2, "n1"), entries: [batch], commit: 0 }]);
    await log.append([{ group: 1, hardState: hard(3, "n2"), entries: [], commit: 0 }]);
    expect(log.status().state).toBe("full");
    await log.close();
  });

  test("closing ends the append that waits for space; what was acknowledged is there", async () => {
    const disk = await emptyDisk(new SimDisk({ capacityBytes: 10_000 }));
    const log = await open(disk);
    const { index, waiting } = await fill(log);
    const failed = failureOf(waiting);
    await log.close();
    expect(await failed).toBe("DISK_FULL");
    disk.capacityBytes = 100_000;
    const again = await open(disk);
    expect(again.recovered(1).lastIndex).toBe(index - 1);
    await again.close();
  });

  test("at the first opening is an error", async () => {
    const disk = await emptyDisk(new SimDisk({ capacityBytes: 1_000 }));
    expect(await failureOf(open(disk))).toBe("DISK_FULL");
    disk.capacityBytes = 100_000;
    const log = await open(disk);
    await log.append([put(1, 1)]);
    await log.close();
  });

  test("at every single operation of preparing is waited out", async () => {
    for (const kind of ["open", "write", "sync", "rename"] as const) {
      const disk = await emptyDisk();
      const clock = new ManualClock();
      let faults = 0;
      const log = await open(disk, { clock });
      disk.beforeOperation = (operation) => {
        if (operation.urgent || operation.kind !== kind || faults >= 2) return undefined;
        faults++;
        return { reason: "full", effect: "some" };
      };
      let index = 0;
      for (; index < 60;) {
        const appended = log.append([put(1, ++index, 1, "x".repeat(100))]);
        for (let i = 0; i < 3; i++) {
          await drain();
          clock.advance(500);
        }
        await appended;
      }
      expect(faults, kind).toBe(2);
      await log.close();
      const again = await open(disk);
      expect(again.recovered(1).lastIndex).toBe(index);
      await again.close();
    }
  });
});

describe("reading", () => {
  test("an unreadable sector is an error that names the place, and nothing else", async () => {
    const disk = await emptyDisk();
    const log = await open(disk);
    for (let i = 1; i <= 10; i++) await log.append([put(1, i)]);
    const path = `${DIRECTORY}/${segmentName(1, "log")}`;
    disk.spoil(path, 1_536 + 512, 1);
    const error: unknown = await log.read(1, 1, 10, 100_000).catch((e: unknown) => e);
    expect(codeOf(error)).toBe("LOG_DAMAGED");
    expect(String(error)).toContain(path);
    await log.append([put(1, 11)]);
    expect(log.status().state).toBe("ok");
    await log.close();
  });

  test("rot after opening is found when it is read", async () => {
    const disk = await emptyDisk();
    const log = await open(disk);
    for (let i = 1; i <= 10; i++) await log.append([put(1, i)]);
    const path = `${DIRECTORY}/${segmentName(1, "log")}`;
    disk.flip(path, 1_536 + 64 + 40 + 40, 1);
    expect(await failureOf(log.read(1, 1, 1, 1))).toBe("LOG_DAMAGED");
    expect((await log.read(1, 2, 2, 1)).length).toBe(1);
    await log.close();
  });

  test("entries are served from memory while their write is on its way", async () => {
    const disk = await emptyDisk();
    const log = await open(disk);
    await drain();
    disk.stall();
    const appended = log.append([put(1, 1), put(1, 2)]);
    expect((await log.read(1, 1, 2, 1_000)).map((batch) => batch.firstIndex)).toEqual([1, 2]);
    disk.resume();
    await appended;
    await log.close();
  });

  test("a commit index beyond the last entry is a hint that is cut", async () => {
    const disk = await emptyDisk();
    let log = await open(disk);
    await log.append([{ group: 1, hardState: hard(1), entries: [batchOf(1, 1)], commit: 7 }]);
    await log.close();
    log = await open(disk);
    expect(log.recovered(1).hardState.commit).toBe(1);
    await log.close();
  });

  test("what is truncated while it is being moved does not come back", async () => {
    for (let ticks = 0; ticks < 60; ticks++) {
      const disk = await emptyDisk();
      let log = await open(disk);
      for (let i = 1; i <= 4; i++) await log.append([put(2, i)]);
      for (let i = 1; i <= 30; i++) await log.append([put(1, i, 1, "x".repeat(100))]);
      const released = log.release(1, 29);
      for (let i = 0; i < ticks; i++) await Promise.resolve();
      await log.append([put(2, 2, 2, "new")]);
      await released;
      const want = ["1@1:v1", "2@2:new2"];
      expect(await readAll(log, 2, 2)).toEqual(want);
      await log.close();
      log = await open(disk);
      expect(await readAll(log, 2, 9)).toEqual(want);
      await log.close();
    }
  });

  test("a segment is not recycled under a reader", async () => {
    const disk = await emptyDisk();
    const log = await open(disk, { segmentBytes: 65_536, checksum: zlibCrc32 });
    // Far apart: each entry of group 1 takes a read of its own, and recycling could come between.
    let index = 0;
    const append = (): Promise<void> =>
      log.append([put(1, ++index), put(2, index, 1, "y".repeat(5_000))]);
    while (log.status().segments < 3) await append();
    const reading = log.read(1, 1, 10, 100_000);
    const released = [log.release(1, index - 1), log.release(2, index - 1)];
    while (log.status().segments < 5) await append();
    expect((await reading).map((batch) => batch.firstIndex)).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
    ]);
    await Promise.all(released);
    await drain();
    expect(disk.paths()).not.toContain(`${DIRECTORY}/${segmentName(1, "log")}`);
    await log.close();
  });

  test("more segments than files that are kept open", async () => {
    const disk = await emptyDisk();
    const log = await open(disk);
    for (let i = 1; i <= 400; i++) await log.append([put(1, i, 1, "x".repeat(100))]);
    expect(log.status().segments).toBeGreaterThan(20);
    for (const from of [1, 390, 200, 100, 300, 5]) {
      expect((await log.read(1, from, from + 9, 1_000_000)).at(-1)?.lastIndex).toBe(from + 9);
    }
    expect((await readAll(log, 1, 400)).length).toBe(400);
    await log.close();
  });

  test("a read waits for an append whose entries have no place yet", async () => {
    const disk = await emptyDisk(new SimDisk({ capacityBytes: 10_000 }));
    const clock = new ManualClock();
    const log = await open(disk, { clock });
    const batches = Array.from({ length: 40 }, (_, i) =>
      batchOf(i + 1, 1, { text: "x".repeat(60) }),
    );
    const appended = log.append([{ group: 1, hardState: undefined, entries: batches, commit: 0 }]);
    const reading = log.read(1, 40, 40, 100);
    await drain();
    expect(log.status().state).toBe("full");
    disk.capacityBytes = 100_000;
    clock.advance(500);
    expect((await reading)[0]?.firstIndex).toBe(40);
    await appended;
    await log.close();
  });
});

describe("promises about states", () => {
  test("a term never falls, a vote is never changed: both are defects of the caller", async () => {
    for (const bad of [hard(4, "n1"), hard(5, "n2"), hard(5)]) {
      const disk = await emptyDisk();
      const log = await open(disk);
      await log.append([{ group: 1, hardState: hard(5, "n1"), entries: [], commit: 0 }]);
      const error: unknown = await log
        .append([{ group: 1, hardState: bad, entries: [], commit: 0 }])
        .catch((e: unknown) => e);
      expect(error).toBeInstanceOf(InvariantViolation);
      expect(log.status().state).toBe("failed");
      await log.close();
      const again = await open(disk);
      expect(again.recovered(1).hardState).toEqual(hard(5, "n1"));
      await again.close();
    }
  });

  test("a gap in the entries is a defect of the caller", async () => {
    const log = await open(await emptyDisk());
    const error: unknown = await log.append([put(1, 2)]).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(InvariantViolation);
    await log.close();
  });

  test("a record larger than a segment is a defect of the caller", async () => {
    const log = await open(await emptyDisk());
    const error: unknown = await log
      .append([put(1, 1, 1, "x".repeat(5_000))])
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(InvariantViolation);
    await log.close();
  });

  test("a batch across the start, cut off behind it, leaves no trace", async () => {
    const disk = await emptyDisk();
    let log = await open(disk);
    const entries = [batchOf(1, 1, { count: 3 }), batchOf(4, 1, { count: 5 })];
    await log.append([{ group: 1, hardState: hard(1), entries, commit: 5 }]);
    await log.release(1, 5);
    await log.append([{ group: 1, hardState: hard(2), entries: [batchOf(6, 2)], commit: 5 }]);
    await log.close();
    log = await open(disk);
    expect(log.recovered(1)).toMatchObject({
      startIndex: 5,
      startTerm: 1,
      lastIndex: 6,
      termRuns: [{ index: 6, term: 2 }],
    });
    await log.close();
  });

  test("a reset starts the log anew behind a snapshot", async () => {
    const disk = await emptyDisk();
    let log = await open(disk);
    await log.append([{ group: 1, hardState: hard(3, "n1"), entries: [], commit: 0 }]);
    for (let i = 1; i <= 60; i++) await log.append([put(1, i, 3, "x".repeat(100))]);
    const start = {
      index: 500,
      term: 3,
      configuration: { index: 480, configuration: configurationOf(3) },
      timeMs: 7_000,
    };
    await log.append([
      { group: 1, hardState: hard(4, "n2"), reset: start, entries: [], commit: 500 },
    ]);
    await log.release(1, 500);
    expect(log.status().segments).toBeLessThan(3);
    expect(await log.read(1, 60, 60, 100)).toEqual([]);
    await log.close();
    log = await open(disk);
    expect(log.recovered(1)).toMatchObject({ startIndex: 500, lastIndex: 500, lastTimeMs: 7_000 });
    await log.append([put(1, 501, 3)]);
    await log.close();
    log = await open(disk);
    expect(log.recovered(1)).toMatchObject({
      startIndex: 500,
      startTerm: 3,
      lastIndex: 501,
      startConfiguration: start.configuration,
      hardState: { ...hard(4, "n2"), commit: 500 },
    });
    await log.close();
  });
});

test("an append is one write, a roll two more, whatever they carry", async () => {
  const disk = await emptyDisk();
  const log = await open(disk, { segmentBytes: 262_144, checksum: zlibCrc32 });
  const { writes } = log.status();
  let index = 1;
  for (let i = 0; i < 200; i++) {
    const batch = batchOf(index, 1, { count: 200 });
    await log.append([{ group: 1, hardState: undefined, entries: [batch], commit: 0 }]);
    index += 200;
  }
  const { segments, writes: after } = log.status();
  expect(segments).toBeGreaterThan(5);
  expect(after - writes).toBe(200 + 2 * (segments - 1));
  await log.close();
});

test("segments of another size than today's are read and written on", async () => {
  const disk = await emptyDisk();
  let index = 0;
  for (const segmentBytes of [4_096, 8_192, 4_096]) {
    const log = await open(disk, { segmentBytes });
    expect(log.recovered(1).lastIndex).toBe(index);
    for (let i = 0; i < 60; i++) await log.append([put(1, ++index, 1, "x".repeat(100))]);
    await log.release(1, index - 10);
    await log.close();
  }
  const log = await open(disk);
  expect(log.recovered(1).lastIndex).toBe(180);
  await log.close();
});

test("a full thread pool does not keep the log from syncing", async () => {
  const directory = makeDirectory();
  const disk = new NodeDisk();
  const log = await open(disk, {
    directory: `${directory}/log`,
    segmentBytes: 1_048_576,
    checksum: zlibCrc32,
  });
  const file = await disk.open(`${directory}/other`, { mode: "create" });
  const bytes = new Uint8Array(65_536);
  let others = 0;
  const filling: Promise<void>[] = [];
  for (let i = 0; i < 400; i++) {
    const work = async (): Promise<void> => {
      await file.write(bytes, i * bytes.length);
      await file.sync();
      others++;
    };
    filling.push(work());
  }
  // The log's own writes overtake the hundreds of operations that were there before.
  for (let i = 1; i <= 20; i++) await log.append([put(1, i)]);
  expect(others).toBeLessThan(400);
  await Promise.all(filling);
  await file.close();
  await log.close();
});
