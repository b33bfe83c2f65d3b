import { describe, expect, test } from "vitest";
import type { DiskFile } from "../disk/disk.ts";
import { batchOf, contentOf, hard, logOptions } from "../log/log-harness.ts";
import { openLog } from "../log/open-log.ts";
import type { SegmentedLog } from "../log/segmented-log.ts";
import { SeededRandom } from "../util/random.ts";
import { MemberDisk } from "./member-disk.ts";
import type { DiskOptions } from "./options.ts";
import { SimProcess } from "./process.ts";
import { Schedule } from "./schedule.ts";

const OPTIONS: DiskOptions = {
  write: { minUs: 200, maxUs: 400, tailShare: 0, tailMaxUs: 0 },
  other: { minUs: 10, maxUs: 20, tailShare: 0, tailMaxUs: 0 },
};
const DIRECTORY = "/data";
const SEGMENT = "/data/00000000000000000001.log";

/** A disk, its process, and the loop of a world with nothing else in it. */
class Bench {
  readonly schedule: Schedule;
  readonly disk: MemberDisk;
  process: SimProcess = this.#process();

  constructor(seed = 1, options: DiskOptions = OPTIONS) {
    this.schedule = new Schedule(new SeededRandom(seed));
    const random = new SeededRandom(seed + 100);
    this.disk = new MemberDisk({ schedule: this.schedule, options, random });
  }

  /** Runs until nothing is due, or until that time. */
  async run(untilUs = Number.MAX_SAFE_INTEGER): Promise<void> {
    await settle();
    while ((this.schedule.nextUs ?? untilUs) < untilUs) {
      this.schedule.next()!.run();
      await settle();
    }
    if (untilUs !== Number.MAX_SAFE_INTEGER) this.schedule.skipTo(untilUs);
  }

  /** What a promise comes to once nothing is due any more. */
  async end<T>(promise: Promise<T>): Promise<T> {
    const ended = record(promise);
    await this.run();
    expect(ended.text, "it has settled").not.toBe("open");
    return promise;
  }

  /** Opens a segment file in a durable directory. */
  async file(dataSync = true): Promise<DiskFile> {
    const disk = this.disk.begin(this.process);
    disk.place(SEGMENT, new Uint8Array(4_096));
    return this.end(disk.open(SEGMENT, { mode: "write", dataSync, urgent: true }));
  }

  die(how: "power" | "kill"): void {
    this.process.die();
    this.disk.die(how);
    this.process = this.#process();
  }

  #process(): SimProcess {
    return new SimProcess(() => undefined);
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

interface Ended {
  text: string;
}

function record(promise: Promise<unknown>): Ended {
  const ended = { text: "open" };
  promise.then(
    () => (ended.text = "done"),
    (error: unknown) => (ended.text = String((error as { reason?: string }).reason)),
  );
  return ended;
}

const bytes = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

describe("time", () => {
  test("data-synced writes and syncs take the times of writes, all else the others", async () => {
    const bench = new Bench();
    const file = await bench.file();
    const times = new Map<string, number>();
    const take = async (name: string, start: () => Promise<unknown>): Promise<void> => {
      const fromUs = bench.schedule.nowUs;
      await bench.end(start());
      times.set(name, bench.schedule.nowUs - fromUs);
    };
    const plain = await bench.end(bench.disk.disk.open(SEGMENT, { mode: "write" }));
    await take("write", () => file.write(bytes(10, 1), 0));
    await take("sync", () => plain.sync());
    await take("names", () => bench.disk.disk.syncDirectory(DIRECTORY));
    for (const [name, us] of times) expect(us, name).toBeGreaterThanOrEqual(200);
    times.clear();
    await take("plain write", () => plain.write(bytes(10, 1), 0));
    await take("read", () => plain.read(new Uint8Array(10), 0));
    await take("size", () => plain.size());
    for (const [name, us] of times) expect(us, name).toBeLessThanOrEqual(20);
  });

  test("what is in flight together completes in any order", async () => {
    const orders = new Set<string>();
    for (let seed = 0; seed < 20; seed++) {
      const bench = new Bench(seed);
      const file = await bench.file();
      const order: string[] = [];
      const first = file.write(bytes(10, 1), 0).then(() => order.push("a"));
      const second = file.write(bytes(10, 2), 600).then(() => order.push("b"));
      await bench.end(Promise.all([first, second]));
      orders.add(order.join(""));
    }
    expect([...orders].sort()).toEqual(["ab", "ba"]);
  });

  test("a paused process completes nothing; afterwards all of it, in order", async () => {
    const bench = new Bench();
    const file = await bench.file();
    const ended = record(file.write(bytes(10, 1), 0));
    bench.process.pause();
    await bench.run(1_000_000);
    expect(ended.text).toBe("open");
    expect(bench.disk.disk.image(SEGMENT)[0]).toBe(0);
    bench.process.resume();
    await settle();
    expect(ended.text).toBe("done");
  });

  test("a slow disk takes up to so much longer, for a while", async () => {
    const bench = new Bench();
    const file = await bench.file();
    bench.disk.slow(1_000_000, 500);
    let fromUs = bench.schedule.nowUs;
    await bench.end(file.write(bytes(10, 1), 0));
    expect(bench.schedule.nowUs - fromUs).toBeGreaterThan(400);
    expect(bench.schedule.nowUs - fromUs).toBeLessThanOrEqual(1_000_400);
    fromUs = bench.schedule.nowUs;
    await bench.end(file.write(bytes(10, 1), 0));
    expect(bench.schedule.nowUs - fromUs).toBeLessThanOrEqual(400);
  });

  test("is the same for the same seed", async () => {
    const run = async (): Promise<string> => {
      const bench = new Bench(5);
      const file = await bench.file();
      const times: number[] = [];
      for (let i = 0; i < 30; i++) {
        void file.write(bytes(100, i), i * 100).then(() => times.push(bench.schedule.nowUs));
      }
      await bench.run();
      return times.join();
    };
    expect(await run()).toBe(await run());
  });
});

describe("a stall", () => {
  test("holds what is in flight and what comes, until it ends", async () => {
    const bench = new Bench();
    const file = await bench.file();
    const untilUs = bench.schedule.nowUs + 50_000;
    const before = record(file.write(bytes(10, 1), 0));
    bench.disk.stall(50_000);
    bench.disk.stall(10_000);
    await bench.run(untilUs - 1_000);
    const later = record(file.write(bytes(10, 1), 600));
    await bench.run(untilUs - 1);
    expect([before.text, later.text, bench.disk.held]).toEqual(["open", "open", 2]);
    await bench.run();
    expect([before.text, later.text, bench.disk.held]).toEqual(["done", "done", 0]);
    expect(bench.schedule.nowUs).toBeLessThanOrEqual(untilUs + 400);
  });

  test("is ended by the healing, and may be made longer", async () => {
    const bench = new Bench();
    const file = await bench.file();
    bench.disk.stall(50_000);
    bench.disk.stall(5_000_000);
    const ended = record(file.write(bytes(10, 1), 0));
    await bench.run(bench.schedule.nowUs + 100_000);
    expect(ended.text).toBe("open");
    bench.disk.healAll();
    await bench.run(bench.schedule.nowUs + 1_000);
    expect(ended.text).toBe("done");
  });

  test("does not end with a power loss, which may come in the middle", async () => {
    const bench = new Bench();
    const file = await bench.file();
    bench.disk.stall(50_000);
    const untilUs = bench.schedule.nowUs + 50_000;
    const lost = record(file.write(bytes(10, 1), 0));
    await bench.run(bench.schedule.nowUs + 1_000);
    bench.die("power");
    expect(bench.disk.held).toBe(0);
    const next = record(bench.disk.begin(bench.process).list(DIRECTORY));
    await bench.run(untilUs - 1);
    expect(next.text).toBe("open");
    await bench.run();
    expect([lost.text, next.text]).toEqual(["open", "done"]);
  });
});

describe("death", () => {
  test("keeps what was synced for the next life, and tells the dead process nothing", async () => {
    const bench = new Bench();
    const file = await bench.file();
    await bench.end(file.write(bytes(10, 7), 0));
    const inFlight = record(file.write(bytes(10, 8), 600));
    bench.die("power");
    bench.disk.die("power");
    const late = record(file.write(bytes(10, 9), 0));
    expect(bench.disk.isInUse).toBe(false);
    const next = bench.disk.begin(bench.process);
    expect(() => bench.disk.begin(bench.process)).toThrow(/still has this disk/);
    await bench.run();
    expect([inFlight.text, late.text]).toEqual(["open", "open"]);
    expect(next.image(SEGMENT)[0]).toBe(7);
    const again = await bench.end(next.open(SEGMENT, { mode: "read" }));
    expect(await bench.end(again.read(new Uint8Array(10), 0))).toBe(10);
  });

  test("a kill keeps what was not synced, a power loss may take it", async () => {
    const seen = { kill: new Set<number>(), power: new Set<number>() };
    for (const how of ["kill", "power"] as const) {
      for (let seed = 0; seed < 20; seed++) {
        const bench = new Bench(seed);
        const file = await bench.file(false);
        await bench.end(file.write(bytes(10, 7), 0));
        bench.die(how);
        seen[how].add(bench.disk.begin(bench.process).image(SEGMENT)[0]!);
      }
    }
    expect([...seen.kill]).toEqual([7]);
    expect(seen.power).toEqual(new Set([0, 7]));
  });

  test("comes at an operation that is named beforehand, and is told at once", async () => {
    const bench = new Bench();
    const file = await bench.file();
    let deaths = 0;
    bench.disk.dieAt(2, "power", () => {
      bench.process.die();
      expect(bench.disk.isInUse).toBe(false);
      deaths++;
    });
    await bench.end(file.write(bytes(10, 1), 0));
    expect(deaths).toBe(0);
    const ended = record(file.write(bytes(10, 2), 0));
    expect(deaths).toBe(1);
    bench.disk.die("kill");
    bench.disk.dieAt(1, "kill", () => deaths++);
    bench.disk.begin(new SimProcess(() => undefined));
    await bench.run();
    expect([ended.text, deaths]).toEqual(["open", 1]);
  });
});

describe("failures", () => {
  test("hit the next such operation of a segment file, once, and no other file", async () => {
    for (const what of ["write", "read", "sync"] as const) {
      const bench = new Bench();
      const file = await bench.file();
      const disk = bench.disk.disk;
      const other = await bench.end(disk.open("/data/identity.json", { mode: "create" }));
      bench.disk.failNext(what);
      const act = (on: DiskFile): Promise<unknown> => {
        if (what === "write") return on.write(bytes(10, 1), 0);
        return what === "read" ? on.read(new Uint8Array(10), 0) : on.sync();
      };
      const ended = [record(act(other)), record(act(file)), record(act(file))];
      await bench.run();
      expect(ended.map(({ text }) => text)).toEqual(["done", "io", "done"]);
      expect([...bench.disk.hurts]).toEqual([what]);
    }
  });

  test("wait for a later life, until the healing", async () => {
    const bench = new Bench();
    await bench.file();
    bench.disk.failNext("read");
    bench.die("kill");
    const disk = bench.disk.begin(bench.process);
    const file = await bench.end(disk.open(SEGMENT, { mode: "read" }));
    const ended = record(file.read(new Uint8Array(10), 0));
    await bench.run();
    expect(ended.text).toBe("io");
    bench.disk.failNext("read");
    bench.disk.healAll();
    expect(await bench.end(file.read(new Uint8Array(10), 0))).toBe(10);
  });

  test("a failed write is on the medium, in part or not at all", async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 40; seed++) {
      const bench = new Bench(seed);
      const file = await bench.file();
      bench.disk.failNext("write");
      record(file.write(bytes(1_024, 1), 0));
      await bench.run();
      bench.die("power");
      const image = bench.disk.begin(bench.process).image(SEGMENT);
      seen.add(`${image[0]}${image[512]}`);
    }
    expect([...seen].sort()).toEqual(["00", "10", "11"]);
  });

  test("what a failed write left in the cache is gone when that is dropped between lives", async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 40; seed++) {
      const bench = new Bench(seed);
      const file = await bench.file();
      bench.disk.failNext("write");
      record(file.write(bytes(1_024, 1), 0));
      await bench.run();
      bench.disk.dropCaches();
      expect(bench.disk.disk.image(SEGMENT)[0]).toBe(1);
      bench.die("kill");
      expect(bench.disk.disk.image(SEGMENT)[0]).toBe(1);
      bench.disk.dropCaches();
      const image = bench.disk.begin(bench.process).image(SEGMENT);
      seen.add(`${image[0]}${image[512]}`);
    }
    expect([...seen].sort()).toEqual(["00", "10", "11"]);
  });

  test("a full disk takes what is there already and a few sectors, and is free again", async () => {
    const bench = new Bench();
    const file = await bench.file(false);
    bench.disk.fill(50_000);
    const ended = [
      record(file.write(bytes(4_096, 1), 0)),
      record(file.write(bytes(8_192, 1), 4_096)),
    ];
    await bench.run(bench.schedule.nowUs + 10_000);
    expect(ended.map(({ text }) => text)).toEqual(["done", "full"]);
    expect([...bench.disk.hurts]).toEqual(["full"]);
    bench.die("kill");
    const next = bench.disk.begin(bench.process);
    expect([...bench.disk.hurts]).toEqual(["full"]);
    await bench.run();
    const again = await bench.end(next.open(SEGMENT, { mode: "write" }));
    await bench.end(again.write(bytes(8_192, 1), 4_096));
  });

  test("a disk that fills when a segment is begun leaves no space for it", async () => {
    const bench = new Bench();
    const file = await bench.file();
    bench.disk.fill(50_000, "next-segment");
    const { disk } = bench.disk;
    const other = await bench.end(disk.open("/data/identity.tmp", { mode: "create" }));
    await bench.end(other.write(bytes(8_192, 1), 0));
    expect([...bench.disk.hurts]).toEqual([]);
    const made = "/data/00000000000000000002.new";
    const opening = disk.open(made, { mode: "create" });
    await bench.run(bench.schedule.nowUs + 1_000);
    const next = await opening;
    const ended = [record(next.write(bytes(8_192, 1), 0)), record(file.write(bytes(10, 1), 0))];
    await bench.run(bench.schedule.nowUs + 10_000);
    expect(ended.map(({ text }) => text)).toEqual(["full", "done"]);
    expect([[...bench.disk.hurts], bench.disk.hasFailed]).toEqual([["full"], false]);
    await bench.run();
    await bench.end(next.write(bytes(8_192, 1), 0));
    bench.disk.fill(50_000, "next-segment");
    bench.disk.healAll();
    await bench.end(disk.open("/data/00000000000000000003.new", { mode: "create" }));
    bench.disk.failNext("write");
    record(file.write(bytes(10, 1), 0));
    await bench.run();
    expect([[...bench.disk.hurts].sort(), bench.disk.hasFailed]).toEqual([["full", "write"], true]);
  });

  test("unreadable sectors and flipped bits pass through to the next life", async () => {
    const bench = new Bench();
    const file = await bench.file();
    bench.disk.flip(SEGMENT, 5, 0x10);
    bench.disk.spoil(SEGMENT, 1_000, 1);
    expect(bench.disk.disk.image(SEGMENT)[5]).toBe(0x10);
    const ended = record(file.read(new Uint8Array(4_096), 0));
    await bench.run();
    expect(ended.text).toBe("io");
  });
});

describe("the real log on it", () => {
  const WRITES = 40;

  async function openOn(bench: Bench): Promise<SegmentedLog> {
    const disk = bench.disk.begin(bench.process);
    return bench.end(openLog(logOptions(disk, { directory: "/log", segmentBytes: 4_096 })));
  }

  test("keeps what it reported as durable through deaths at any operation", async () => {
    for (let seed = 0; seed < 12; seed++) {
      const bench = new Bench(seed);
      const random = new SeededRandom(seed);
      let log = await openOn(bench);
      let durable = 0;
      for (let life = 0; life < 6; life++) {
        bench.disk.dieAt(1 + random.below(60), random.below(2) === 0 ? "power" : "kill", () => {
          bench.process.die();
          bench.process = new SimProcess(() => undefined);
        });
        const first = log.recovered(1).lastIndex + 1;
        expect(first).toBeGreaterThan(durable);
        for (let i = first; i < first + WRITES && bench.disk.isInUse; i++) {
          const entries = [batchOf(i, 1)];
          const ended = record(log.append([{ group: 1, hardState: hard(1), entries, commit: 0 }]));
          await bench.run();
          if (ended.text === "done") durable = i;
        }
        if (bench.disk.isInUse) bench.die("kill");
        log = await openOn(bench);
        const { lastIndex } = log.recovered(1);
        const [line] = await bench.end(contentOf(log, [1]));
        for (let i = 1; i <= lastIndex; i++) expect(line).toContain(`${i}@1:v${i}`);
      }
    }
  });
});
