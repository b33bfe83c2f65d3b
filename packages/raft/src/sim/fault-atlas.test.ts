import { describe, expect, test } from "vitest";
import { SimDisk } from "../disk/sim-disk.ts";
import { batchOf, DIRECTORY, emptyDisk, hard, open } from "../log/log-harness.ts";
import { QuorateError } from "../util/error.ts";
import { SeededRandom } from "../util/random.ts";
import { FaultAtlas, rotPlaces } from "./fault-atlas.ts";
import { MemberDisk } from "./member-disk.ts";
import { SimProcess } from "./process.ts";
import { Schedule } from "./schedule.ts";

const NO_TIME = { minUs: 0, maxUs: 0, tailShare: 0, tailMaxUs: 0 };

/** A disk with a log of so many writes, in small segments. */
async function written(
  writes: number,
  options: { settle?: boolean; disk?: SimDisk } = {},
): Promise<SimDisk> {
  const disk = await emptyDisk(options.disk);
  const log = await open(disk);
  for (let i = 1; i <= writes; i++) {
    const entries = [batchOf(i, 1, { text: "some longer value of an entry " })];
    await log.append([{ group: 1, hardState: hard(i), entries, commit: 0 }]);
  }
  if (options.settle === true) await log.settle();
  return disk;
}

/** How opening the log ends. */
async function codeOfOpening(disk: SimDisk): Promise<string> {
  try {
    const log = await open(disk);
    const { lastIndex } = log.recovered(1);
    await log.close();
    return `opened at ${lastIndex}`;
  } catch (error) {
    if (QuorateError.is(error)) return error.code;
    throw error;
  }
}

/** The disk of a member that holds what that disk holds. */
function memberDisk(from: SimDisk): MemberDisk {
  const schedule = new Schedule(new SeededRandom(1));
  const options = { write: NO_TIME, other: NO_TIME };
  const disk = new MemberDisk({ schedule, options, random: new SeededRandom(2) });
  const inUse = disk.begin(new SimProcess(() => undefined));
  for (const path of from.paths()) inUse.place(path, from.image(path));
  return disk;
}

describe("which members may be hit", () => {
  test("never so many that those left are no majority", async () => {
    const source = await written(10);
    for (const [members, allowed] of [
      [1, 0],
      [2, 0],
      [3, 1],
      [4, 1],
      [5, 2],
      [7, 3],
    ] as const) {
      const atlas = new FaultAtlas(members);
      const random = new SeededRandom(members);
      let hits = 0;
      for (let member = 0; member < members; member++) {
        if (atlas.rot(member, memberDisk(source), random) !== undefined) hits++;
      }
      expect(hits, `${members} members`).toBe(allowed);
    }
  });

  test("each of them once, and one that is lost otherwise counts as well", async () => {
    const source = await written(10);
    const atlas = new FaultAtlas(5);
    const random = new SeededRandom(1);
    const what = atlas.rot(4, memberDisk(source), random);
    expect(what).toMatch(/\.log at \d+, (bits 10*|unreadable)$/);
    expect([atlas.isDamaged(4), atlas.isDamaged(0), atlas.mayRot(4)]).toEqual([true, false, false]);
    expect(atlas.rot(4, memberDisk(source), random)).toBeUndefined();
    expect(atlas.mayRot(0)).toBe(true);
    atlas.lost(1);
    expect([atlas.mayRot(0), atlas.isDamaged(1)]).toEqual([false, false]);
  });

  test("a log without an entry, or without one that a mark proves, is left alone", async () => {
    const random = new SeededRandom(1);
    for (const disk of [new SimDisk(), await written(0), await written(1)]) {
      const atlas = new FaultAtlas(3);
      expect(atlas.rot(0, memberDisk(disk), random)).toBeUndefined();
      expect(atlas.mayRot(0)).toBe(true);
    }
  });
});

describe("which bytes may be hit", () => {
  test("any byte of any place makes the log refuse to open", async () => {
    const random = new SeededRandom(3);
    for (const writes of [2, 3, 40]) {
      for (const settle of [false, true]) {
        const disk = await written(writes, { settle });
        const { records, identities } = rotPlaces(disk);
        for (const place of [...records, ...identities]) {
          for (let i = 0; i < 2; i++) {
            const offset = place.offset + random.below(place.bytes);
            const rotten = disk.clone();
            rotten.flip(place.path, offset, 1 << random.below(8));
            const where = `${place.path} at ${offset} after ${writes} writes`;
            expect(await codeOfOpening(rotten), where).toBe("LOG_DAMAGED");
          }
        }
      }
    }
  });

  test("any sector of any place that is unreadable does so as well, for ever", async () => {
    const random = new SeededRandom(4);
    let places = 0;
    for (const writes of [2, 3, 40]) {
      for (const settle of [false, true]) {
        const disk = await written(writes, { settle });
        for (const place of rotPlaces(disk).sectors) {
          const spoiled = disk.clone();
          spoiled.spoil(place.path, place.offset + random.below(place.bytes), 1);
          const where = `${place.path} at ${place.offset} after ${writes} writes`;
          expect(await codeOfOpening(spoiled.clone()), where).toBe("LOG_DAMAGED");
          places++;
        }
      }
    }
    expect(places).toBeGreaterThan(50);
  });

  test("a sector with what is still to be written into it is left alone", async () => {
    const random = new SeededRandom(6);
    for (let round = 0; round < 20; round++) {
      const disk = await emptyDisk();
      const log = await open(disk);
      const count = 8 + random.below(30);
      const append = async (from: number, to: number): Promise<void> => {
        for (let i = from; i <= to; i++) {
          const entries = [batchOf(i, 1, { text: "some longer value of an entry " })];
          await log.append([{ group: 1, hardState: hard(i), entries, commit: 0 }]);
        }
      };
      await append(1, count);
      const { sectors } = rotPlaces(disk);
      const { path, offset, bytes } = sectors.at(-1)!;
      disk.spoil(path, offset + bytes - 1, 1);
      await append(count + 1, count + 3);
      expect(await codeOfOpening(disk.kill(random)), `${count} writes`).toBe("LOG_DAMAGED");
    }
  });

  test("both are done", async () => {
    const source = await written(40);
    const seen = new Set<string>();
    for (let seed = 1; seed <= 40; seed++) {
      const what = new FaultAtlas(3).rot(0, memberDisk(source), new SeededRandom(seed))!;
      seen.add(what.includes("unreadable") ? "unreadable" : "bits");
    }
    expect(seen).toEqual(new Set(["unreadable", "bits"]));
  });

  test("all records but those of the last write, which nothing proves", async () => {
    const disk = await written(40);
    const { records } = rotPlaces(disk);
    const last = records.at(-1)!;
    const unproven = last.offset + last.bytes;
    disk.flip(last.path, unproven + 70, 1);
    // Such a byte would lose an acknowledged entry without anybody noticing.
    expect(await codeOfOpening(disk)).toBe("opened at 39");
  });

  test("the last write as well, once the log has settled", async () => {
    const before = rotPlaces(await written(40)).records.length;
    const after = rotPlaces(await written(40, { settle: true })).records.length;
    expect(after).toBeGreaterThan(before);
  });

  test("what was proven stays proven while the log goes on", async () => {
    const random = new SeededRandom(5);
    for (let round = 0; round < 20; round++) {
      const disk = await emptyDisk();
      const log = await open(disk);
      const append = async (from: number, to: number): Promise<void> => {
        for (let i = from; i <= to; i++) {
          const entries = [batchOf(i, 1, { text: "some longer value of an entry " })];
          await log.append([{ group: 1, hardState: hard(i), entries, commit: 0 }]);
          if (random.below(4) === 0) await log.settle();
        }
      };
      const count = 2 + random.below(30);
      await append(1, count);
      const { records } = rotPlaces(disk);
      const { path, offset, bytes } = records[random.below(records.length)]!;
      disk.flip(path, offset + random.below(bytes), 1);
      await append(count + 1, count + random.below(40));
      const after = random.below(2) === 0 ? disk.kill(random) : disk.crash(random);
      expect(await codeOfOpening(after), `${path} in ${DIRECTORY}`).toBe("LOG_DAMAGED");
    }
  });
});
