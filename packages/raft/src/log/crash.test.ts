/**
 * Crashes at every operation. What was acknowledged must be there, what is there must have been
 * written, in order, and term and vote never go back: the log must equal the naive model after some
 * number of steps, not fewer than were acknowledged and not more than were begun.
 */
import { describe, expect, test } from "vitest";
import type { Disk, DiskFile, OpenOptions } from "../disk/disk.ts";
import type { SimDisk } from "../disk/sim-disk.ts";
import { SeededRandom } from "../util/random.ts";
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
} from "./log-harness.ts";
import type { Step } from "./log-harness.ts";
import type { LogWrite } from "./log.ts";
import type { SegmentedLog } from "./segmented-log.ts";
import { segmentName } from "./segment.ts";

const GROUPS = [1, 2, 3];
/** The long form draws more of what a power loss leaves. */
const LONG = process.env["QUORATE_LONG"] === "1";

/** Runs against a log and keeps account of what was begun and what was acknowledged. */
class Account {
  readonly steps: Step[] = [];
  /** What the log holds after so many steps. */
  readonly contents: string[] = [""];
  readonly #model: LogModel;
  acknowledged = 0;

  constructor(model: LogModel = new LogModel()) {
    this.#model = model;
    this.contents[0] = model.content().join("\n");
  }

  async append(log: SegmentedLog, ...writes: LogWrite[]): Promise<void> {
    this.#begin(stepsOf(writes));
    await log.append(writes);
    this.acknowledged = this.steps.length;
  }

  async release(log: SegmentedLog, group: number, index: number): Promise<void> {
    this.#begin([{ kind: "release", group, index }]);
    await log.release(group, index);
    this.acknowledged = this.steps.length;
  }

  get model(): LogModel {
    return this.#model;
  }

  /** How many steps the log has taken; fails where it is in no state that it may be in. */
  matched(content: readonly string[], what: string): number {
    const text = content.join("\n");
    for (let taken = this.steps.length; taken >= this.acknowledged; taken--) {
      if (this.contents[taken] === text) return taken;
    }
    const wanted = this.contents.slice(this.acknowledged);
    expect({ what, found: text }).toEqual({ what, found: wanted });
    return -1;
  }

  /** The model as it was after so many steps. */
  modelAfter(start: LogModel, taken: number): LogModel {
    const model = start.copy();
    for (const step of this.steps.slice(0, taken)) model.apply(step);
    return model;
  }

  #begin(steps: readonly Step[]): void {
    for (const step of steps) {
      this.steps.push(step);
      this.contents.push(this.#model.apply(step).content().join("\n"));
    }
  }
}

function put(group: number, index: number, term: number, options = {}): LogWrite {
  const entries = [batchOf(index, term, options)];
  return { group, hardState: undefined, entries, commit: index - 1 };
}

function vote(group: number, term: number, id: string): LogWrite {
  return { group, hardState: hard(term, id), entries: [], commit: 0 };
}

/** A life with rolls, several groups, truncations, marks, releases, moves and a restart. */
async function life(disk: Disk, account: Account): Promise<void> {
  let log = await open(disk);
  await account.append(log, vote(1, 1, "n1"), vote(2, 1, "n2"));
  await account.append(log, {
    group: 1,
    hardState: undefined,
    entries: [configurationBatch(1, 1, 3)],
    commit: 0,
  });
  await account.append(log, put(3, 1, 1, { count: 2 }), vote(3, 2, "n3"));
  for (let i = 2; i <= 14; i++) {
    const text = "x".repeat(20 * (i % 5));
    await account.append(log, put(1, i, 1, { text }), put(2, i - 1, 1, { text, count: 1 }));
    if (i === 6) await log.settle();
  }
  await account.append(log, vote(1, 3, "n2"), put(1, 12, 3, { count: 2 }));
  await account.append(log, put(2, 9, 4, { count: 5, text: "y".repeat(30) }));
  // More than a segment in one append.
  const batches = Array.from({ length: 9 }, (_, i) =>
    batchOf(14 + i, 3, { text: "z".repeat(300) }),
  );
  await account.append(log, { group: 1, hardState: hard(4), entries: batches, commit: 13 });
  await account.release(log, 1, 20);
  await account.release(log, 2, 12);
  await account.append(log, vote(2, 6, "n1"), put(3, 3, 2));
  await log.close();
  log = await open(disk);
  for (let i = 23; i <= 30; i++) {
    await account.append(log, put(1, i, 4, { text: "w".repeat(150) }));
    if (i === 27) await account.release(log, 1, 26);
  }
  await account.append(log, vote(1, 9, "n3"));
  await log.close();
}

/** Runs a life until its disk dies; what it then throws is of no interest. */
async function lifeUntilDeath(disk: SimDisk): Promise<Account> {
  const account = new Account();
  try {
    await life(disk, account);
  } catch (error) {
    if (disk.successor === undefined) throw error;
  }
  return account;
}

async function countOperations(run: (disk: SimDisk) => Promise<unknown>): Promise<number> {
  const disk = await emptyDisk();
  await run(disk);
  return disk.operations;
}

/** Opens, compares with the account, closes; returns how many steps were found. */
async function check(disk: Disk, account: Account, what: string): Promise<number> {
  const log = await open(disk);
  const taken = account.matched(await contentOf(log, GROUPS), what);
  await log.close();
  return taken;
}

const PREPARED = 2; // operations of emptyDisk

describe("power loss", () => {
  test("at every operation, then once more at operations of the recovery", async () => {
    const operations = await countOperations(lifeUntilDeath);
    expect(operations).toBeGreaterThan(200);
    for (let n = PREPARED + 1; n <= operations; n++) {
      for (let seed = n; seed <= (LONG ? n + 20_000 : n); seed += 1_000) {
        const disk = await emptyDisk();
        disk.dieAt(n, new SeededRandom(seed));
        const account = await lifeUntilDeath(disk);
        const left = disk.successor!;
        await recoveryDies(left, account, seed);
        await check(left, account, `crash at ${n}, seed ${seed}`);
      }
    }
  });

  /** Ends the recovery at some of its operations, and checks what the next one finds. */
  async function recoveryDies(left: SimDisk, account: Account, seed: number): Promise<void> {
    const random = new SeededRandom(seed);
    const rehearsal = left.clone();
    const log = await open(rehearsal);
    const operations = rehearsal.operations;
    await log.close();
    for (let i = 0; i < (LONG ? 3 : 1); i++) {
      const m = 1 + random.below(operations);
      const disk = left.clone();
      disk.dieAt(m, random);
      const opened = await open(disk).catch(() => undefined);
      await opened?.close().catch(() => {});
      const after = disk.successor ?? disk.crash(random);
      await check(after, account, `crash, seed ${seed}, and at operation ${m} of recovery`);
    }
  }

  test("at every operation of one recovery, and of the recovery after that", async () => {
    const disk = await emptyDisk();
    disk.dieAt(150, new SeededRandom(4));
    const account = await lifeUntilDeath(disk);
    const left = disk.successor!;
    for (let m = 1; m <= 40; m++) {
      const first = left.clone();
      first.dieAt(m, new SeededRandom(m));
      const opened = await open(first).catch(() => undefined);
      await opened?.close().catch(() => {});
      if (first.successor === undefined) break;
      for (let k = 1; k <= 40; k += 3) {
        const second = first.successor.clone();
        second.dieAt(k, new SeededRandom(m * 100 + k));
        const again = await open(second).catch(() => undefined);
        await again?.close().catch(() => {});
        await check(second.successor ?? second, account, `recoveries end at ${m} and ${k}`);
      }
    }
  });
});

describe("death of the process", () => {
  test("at every operation; what recovery then reports survives a power loss", async () => {
    const operations = await countOperations(lifeUntilDeath);
    for (let n = PREPARED + 1; n <= operations; n++) {
      const disk = await emptyDisk();
      disk.dieAt(n, new SeededRandom(n), "kill");
      const account = await lifeUntilDeath(disk);
      await reportedIsKept(disk.successor!, account, n);
    }
  });

  test("without writing again what was found it would be lost: the test sees that", async () => {
    const operations = await countOperations(lifeUntilDeath);
    let losses = 0;
    for (let n = PREPARED + 1; n <= operations; n += 3) {
      const disk = await emptyDisk();
      disk.dieAt(n, new SeededRandom(n), "kill");
      const account = await lifeUntilDeath(disk);
      const killed = disk.successor!;
      const log = await open(withoutRewriting(killed));
      const reported = await contentOf(log, GROUPS);
      const after = killed.crash(new SeededRandom(n));
      await log.close().catch(() => {});
      const again = await open(after).catch(() => undefined);
      const found = again === undefined ? [] : await contentOf(again, GROUPS);
      if (found.join("\n") !== reported.join("\n")) losses++;
      await again?.close();
      expect(account.steps.length).toBeGreaterThanOrEqual(account.acknowledged);
    }
    expect(losses).toBeGreaterThan(0);
  });

  async function reportedIsKept(killed: SimDisk, account: Account, n: number): Promise<void> {
    const log = await open(killed);
    const reported = await contentOf(log, GROUPS);
    account.matched(reported, `kill at ${n}`);
    const after = killed.crash(new SeededRandom(n));
    await log.close().catch(() => {});
    const again = await open(after);
    expect({ n, content: await contentOf(again, GROUPS) }).toEqual({ n, content: reported });
    await again.close();
  }

  /** A disk on which the recovery only seems to write again. */
  function withoutRewriting(disk: SimDisk): Disk {
    return new Proxy(disk, {
      get: (target, name) => {
        if (name !== "open") return bound(target, name);
        return async (path: string, options: OpenOptions): Promise<DiskFile> => {
          const file = await target.open(path, options);
          if (options.dataSync !== true || options.urgent === true) return file;
          return new Proxy(file, {
            get: (inner, key) => (key === "write" ? () => Promise.resolve() : bound(inner, key)),
          });
        };
      },
    });
  }

  function bound(target: object, name: string | symbol): unknown {
    const value: unknown = Reflect.get(target, name, target);
    return typeof value === "function" ? value.bind(target) : value;
  }
});

describe("a life of crashes", () => {
  /** Some random work; the account says what of it must be there. */
  async function work(log: SegmentedLog, account: Account, random: SeededRandom): Promise<void> {
    const amount = random.below(4) === 0 ? 120 : 30;
    for (let i = 0; i < amount; i++) {
      const group = GROUPS[random.below(GROUPS.length)]!;
      const { term, start } = account.model.group(group);
      const last = account.model.lastIndex(group);
      const draw = random.below(20);
      if (draw < 3) await account.append(log, vote(group, term + 1, `n${random.below(9)}`));
      else if (draw === 3) await log.settle();
      else if (draw === 4 && last > start) {
        await account.release(log, group, start + 1 + random.below(last - start));
      } else {
        const from = draw < 8 ? start + 1 + random.below(last - start + 1) : last + 1;
        const writes: LogWrite[] = [];
        // A truncation is a new leader's: without its term, old and new entries would be alike.
        if (from <= last) writes.push(vote(group, term + 1, "n1"));
        const options = { text: "x".repeat(random.below(3) * 90), count: 1 + random.below(3) };
        writes.push(put(group, from, Math.max(1, term) + (from <= last ? 1 : 0), options));
        const other = GROUPS[random.below(GROUPS.length)]!;
        if (other !== group) {
          const { term: otherTerm } = account.model.group(other);
          writes.push(put(other, account.model.lastIndex(other) + 1, Math.max(1, otherTerm)));
        }
        await account.append(log, ...writes);
      }
    }
  }

  test.each(Array.from({ length: LONG ? 3_000 : 12 }, (_, i) => i + 1))("seed %d", async (seed) => {
    const random = new SeededRandom(seed * 77);
    let disk = await emptyDisk();
    let start = new LogModel();
    let account = new Account(start.copy());
    for (let round = 0; round < 25; round++) {
      const how = random.below(2) === 0 ? "crash" : "kill";
      // Sometimes far into the work, mostly close to the opening.
      disk.dieAt(1 + random.below(random.below(4) === 0 ? 400 : 90), random, how);
      try {
        const log = await open(disk);
        // From here on, what was found counts as said, and must stay.
        const taken = account.matched(await contentOf(log, GROUPS), `seed ${seed}, ${round}`);
        start = account.modelAfter(start, taken);
        account = new Account(start.copy());
        await work(log, account, random);
        await log.close();
      } catch (error) {
        if (disk.successor === undefined) throw error;
      }
      disk = disk.successor ?? (how === "crash" ? disk.crash(random) : disk.kill(random));
    }
    await check(disk, account, `seed ${seed}, at the end`);
  });
});

describe("the states at the head of a segment", () => {
  test("are written anew where some of them were torn: the segment may have to stand alone", async () => {
    const disk = await emptyDisk();
    const log = await open(disk);
    await log.append([vote(1, 1, "n1"), vote(2, 2, "n2"), vote(3, 3, "n3")]);
    let index = 0;
    while (log.status().segments < 2) {
      await log.append([put(1, ++index, 1, { text: "x".repeat(100) }), put(3, index, 3)]);
    }
    // Of the first write of segment 2 only the first state reached the medium.
    const path = `${DIRECTORY}/${segmentName(2, "log")}`;
    const killed = disk.kill(new SeededRandom(1));
    const image = killed.image(path);
    const second = image.indexOf(0x51, 1536 + 64);
    const torn = await emptyDisk();
    for (const other of killed.paths()) torn.place(other, killed.image(other));
    torn.place(path, image.fill(0, second));
    let again = await open(torn);
    expect(again.recovered(3).lastIndex).toBe(index - 1);
    await again.append([put(1, index, 1), put(3, index, 3)]);
    await again.release(1, index - 1);
    await again.release(3, index - 1);
    expect(torn.paths()).not.toContain(`${DIRECTORY}/${segmentName(1, "log")}`);
    await again.close();
    again = await open(torn);
    expect(await contentOf(again, GROUPS)).toEqual([
      `1: term 1 vote n1/${"cd".repeat(16)} from ${index - 1}@1 ${index}@1:v${index}`,
      `2: term 2 vote n2/${"cd".repeat(16)} from 0@0 `,
      `3: term 3 vote n3/${"cd".repeat(16)} from ${index - 1}@3 ${index}@3:v${index}`,
    ]);
    await again.close();
  });
});

describe("leftovers of a torn write", () => {
  const path = `${DIRECTORY}/${segmentName(1, "log")}`;
  const FIRST = 1536;
  const RECORD = 64 + 40 + 40 + 8; // one entry of up to 8 bytes

  /** A log whose last write held two records, the first of which was torn; the second is whole. */
  async function torn(): Promise<SimDisk> {
    const disk = await emptyDisk();
    const log = await open(disk);
    await log.append([put(1, 1, 1)]);
    await log.append([put(1, 2, 1, { text: "a" }), put(2, 1, 1, { text: "old" })]);
    const killed = disk.kill(new SeededRandom(1));
    expect(killed.image(path)[FIRST + 2 * RECORD]).toBe(0x51);
    killed.flip(path, FIRST + RECORD + 64 + 82, 1);
    return killed;
  }

  async function textsOf(disk: SimDisk): Promise<string[]> {
    const log = await open(disk);
    const content = await contentOf(log, GROUPS);
    await log.close();
    return content;
  }

  test("are not believed when a new record ends exactly where one begins", async () => {
    for (const text of ["a", "b"]) {
      const disk = await torn();
      const log = await open(disk);
      expect(log.recovered(1).lastIndex).toBe(1);
      expect(log.recovery.tornBytes).toBe(2 * RECORD);
      await log.append([put(1, 2, 1, { text })]);
      const killed = disk.kill(new SeededRandom(1));
      // It is still there, whole, at its place.
      expect(killed.image(path)[FIRST + 2 * RECORD]).toBe(0x51);
      expect(await textsOf(killed)).toEqual([`1: term 0 vote - from 0@0 1@1:v1 2@1:${text}2`]);
    }
  });

  test("are not mixed with what a later opening wrote behind them", async () => {
    const disk = await torn();
    const old = disk.image(path);
    const log = await open(disk);
    await log.append([put(1, 2, 1, { text: "a" }), put(2, 1, 2, { text: "new" }), put(2, 2, 2)]);
    const image = disk.kill(new SeededRandom(1)).image(path);
    // Of the second torn write, the record in the middle was lost: the old one shows again.
    const middle = FIRST + 2 * RECORD;
    image.set(old.subarray(middle, middle + RECORD), middle);
    const mixed = await emptyDisk();
    mixed.place(path, image);
    // The slot that proves the end was not written: this is the torn last write.
    expect(await textsOf(mixed)).toEqual(["1: term 0 vote - from 0@0 1@1:v1 2@1:a2"]);
  });

  test("are not joined: an entry of one write never follows one of another", async () => {
    const disk = await torn();
    const old = disk.image(path);
    old[FIRST + RECORD + 64 + 82]! ^= 1;
    const log = await open(disk);
    await log.append([put(1, 2, 1, { text: "a" }), put(2, 1, 2, { text: "new" }), put(2, 2, 2)]);
    const image = disk.kill(new SeededRandom(1)).image(path);
    // Of the second torn write only the last record and a sector with bytes that were equal in both
    // reached the medium: the first write is whole again, and the end of the second stands behind.
    const from = FIRST + RECORD;
    image.set(old.subarray(from, from + 2 * RECORD), from);
    const mixed = await emptyDisk();
    mixed.place(path, image);
    expect(await textsOf(mixed)).toEqual([
      "1: term 0 vote - from 0@0 1@1:v1 2@1:a2",
      "2: term 0 vote - from 0@0 1@1:old1",
    ]);
  });

  test("are not taken for torn bytes again once the log was opened", async () => {
    const disk = await torn();
    await (await open(disk)).close();
    const log = await open(disk);
    expect(log.recovery.tornBytes).toBe(0);
    await log.close();
  });
});
