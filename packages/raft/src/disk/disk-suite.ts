/**
 * What every disk does, real or simulated: the conformance suite of the disk port.
 *
 * It covers what can be seen without cutting the power: names, contents, errors, ordering, locks.
 * What a power loss leaves is tested for the simulated disk in its own file, and for the real one
 * by the power-cut rig.
 */
import { SeededRandom } from "../util/random.ts";
import type { SuiteCase } from "../util/suite.ts";
import { expectEqual, expectRejects, expectTrue } from "../util/suite.ts";
import { DiskError } from "./disk.ts";
import type { Disk, DiskFile, DiskReason } from "./disk.ts";

/** A disk to test, and a directory on it that is there and empty. */
export interface DiskUnderTest {
  readonly disk: Disk;
  readonly directory: string;
  dispose(): Promise<void>;
}

/** The cases of the disk port. `make` is called once for each of them. */
export function diskSuite(make: () => Promise<DiskUnderTest>): SuiteCase[] {
  return [...CONTENT, ...NAMES, ...LIFE, ...LOCKS].map(([name, body]) => ({
    name,
    run: async () => {
      const under = await make();
      try {
        await body(under.disk, under.directory);
      } finally {
        await under.dispose();
      }
    },
  }));
}

type Body = (disk: Disk, directory: string) => Promise<void>;

const CONTENT: readonly [string, Body][] = [
  [
    "a created file is empty",
    async (disk, dir) => {
      const file = await disk.open(`${dir}/a`, { mode: "create" });
      expectEqual(file.path, `${dir}/a`);
      expectEqual(await file.size(), 0);
      expectEqual(await file.read(new Uint8Array(10), 0), 0);
      await file.close();
    },
  ],
  [
    "what was written is read, by this file and by the next one opened",
    async (disk, dir) => {
      const file = await disk.open(`${dir}/a`, { mode: "create" });
      await file.write(pattern(5000, 1), 0);
      await file.write(pattern(100, 2), 700);
      const want = pattern(5000, 1);
      want.set(pattern(100, 2), 700);
      expectEqual(await contentOf(file), want);
      await file.close();
      const again = await disk.open(`${dir}/a`, { mode: "read" });
      expectEqual(await contentOf(again), want);
      await again.close();
    },
  ],
  [
    "a gap reads as zeros",
    async (disk, dir) => {
      const file = await disk.open(`${dir}/a`, { mode: "create" });
      await file.write(new Uint8Array([7]), 3000);
      expectEqual(await file.size(), 3001);
      const want = new Uint8Array(3001);
      want[3000] = 7;
      expectEqual(await contentOf(file), want);
      await file.close();
    },
  ],
  [
    "a read is short only at the end of the file, and leaves the rest of the buffer alone",
    async (disk, dir) => {
      const file = await disk.open(`${dir}/a`, { mode: "create" });
      await file.write(pattern(10, 3), 0);
      const into = new Uint8Array(8).fill(0xee);
      expectEqual(await file.read(into, 6), 4);
      expectEqual([...into], [...pattern(10, 3).subarray(6), 0xee, 0xee, 0xee, 0xee]);
      expectEqual(await file.read(into, 10), 0);
      expectEqual(await file.read(into, 5000), 0);
      expectEqual(await file.read(new Uint8Array(0), 0), 0);
      await file.close();
    },
  ],
  [
    "only the view is written and filled, not the buffer around it",
    async (disk, dir) => {
      const file = await disk.open(`${dir}/a`, { mode: "create" });
      const around = pattern(64, 4);
      await file.write(around.subarray(10, 20), 0);
      expectEqual(await contentOf(file), around.slice(10, 20));
      const into = new Uint8Array(30).fill(1);
      expectEqual(await file.read(into.subarray(5, 15), 0), 10);
      expectEqual([...into.subarray(0, 5)], [1, 1, 1, 1, 1]);
      expectEqual(into.slice(5, 15), around.slice(10, 20));
      expectEqual(
        [...into.subarray(15)],
        Array.from({ length: 15 }, () => 1),
      );
      await file.close();
    },
  ],
  [
    "a large write is whole",
    async (disk, dir) => {
      const file = await disk.open(`${dir}/a`, { mode: "create", dataSync: true });
      const large = pattern(3 * 1024 * 1024 + 17, 5);
      await file.write(large, 1);
      const got = await contentOf(file);
      expectEqual(got.length, large.length + 1);
      let same = got[0] === 0;
      for (let i = 0; i < large.length; i++) if (got[i + 1] !== large[i]) same = false;
      expectTrue(same, "the bytes read are those written");
      await file.close();
    },
  ],
  [
    "an empty write changes nothing",
    async (disk, dir) => {
      const file = await disk.open(`${dir}/a`, { mode: "create", dataSync: true });
      await file.write(new Uint8Array(0), 100);
      expectEqual(await file.size(), 0);
      await file.close();
    },
  ],
  [
    "truncate cuts and extends, and what was cut off comes back as zeros",
    async (disk, dir) => {
      const file = await disk.open(`${dir}/a`, { mode: "create" });
      await file.write(pattern(2000, 6), 0);
      await file.truncate(700);
      expectEqual(await contentOf(file), pattern(2000, 6).slice(0, 700));
      await file.truncate(1500);
      const want = new Uint8Array(1500);
      want.set(pattern(2000, 6).subarray(0, 700));
      expectEqual(await contentOf(file), want);
      await file.sync();
      await file.truncate(0);
      await file.sync();
      expectEqual(await file.size(), 0);
      await file.close();
    },
  ],
  [
    "a file opened for reading cannot be changed",
    async (disk, dir) => {
      await writeFile(disk, `${dir}/a`, pattern(10, 7));
      const file = await disk.open(`${dir}/a`, { mode: "read" });
      await rejectsWith("access", file.write(pattern(1, 1), 0));
      await rejectsWith("access", file.truncate(0));
      expectEqual(await contentOf(file), pattern(10, 7));
      await file.close();
    },
  ],
  [
    "a long random run of writes, cuts and reads equals a plain array",
    async (disk, dir) => {
      for (const dataSync of [false, true]) {
        const file = await disk.open(`${dir}/${dataSync}`, { mode: "create", dataSync });
        await compareWithModel(file, new SeededRandom(dataSync ? 11 : 12));
        await file.close();
      }
    },
  ],
];

const NAMES: readonly [string, Body][] = [
  [
    "create refuses a name that is taken",
    async (disk, dir) => {
      await writeFile(disk, `${dir}/a`, pattern(3, 1));
      await rejectsWith("exists", disk.open(`${dir}/a`, { mode: "create" }), `${dir}/a`);
      expectEqual(await readFile(disk, `${dir}/a`), pattern(3, 1));
    },
  ],
  [
    "read and write refuse a name that is not there, and make nothing",
    async (disk, dir) => {
      await rejectsWith("not-found", disk.open(`${dir}/a`, { mode: "read" }), `${dir}/a`);
      await rejectsWith("not-found", disk.open(`${dir}/a`, { mode: "write" }), `${dir}/a`);
      expectEqual(await disk.list(dir), []);
    },
  ],
  [
    "write keeps what is there",
    async (disk, dir) => {
      await writeFile(disk, `${dir}/a`, pattern(10, 1));
      const file = await disk.open(`${dir}/a`, { mode: "write", dataSync: true, urgent: true });
      await file.write(new Uint8Array([9]), 4);
      const want = pattern(10, 1);
      want[4] = 9;
      expectEqual(await contentOf(file), want);
      await file.close();
    },
  ],
  [
    "nothing is made in a directory that is not there",
    async (disk, dir) => {
      await rejectsWith("not-found", disk.open(`${dir}/no/a`, { mode: "create" }));
      await rejectsWith("not-found", disk.list(`${dir}/no`));
      await rejectsWith("not-found", disk.syncDirectory(`${dir}/no`));
      await rejectsWith("not-found", disk.lock(`${dir}/no/lock`));
    },
  ],
  [
    "list gives the names of one directory, sorted",
    async (disk, dir) => {
      for (const name of ["b", "a", "10", "9", "B"]) await writeFile(disk, `${dir}/${name}`);
      await disk.makeDirectory(`${dir}/c`);
      await writeFile(disk, `${dir}/c/inner`);
      expectEqual(await disk.list(dir), ["10", "9", "B", "a", "b", "c"]);
      expectEqual(await disk.list(`${dir}/c`), ["inner"]);
    },
  ],
  [
    "makeDirectory makes parents, and is content with what is there",
    async (disk, dir) => {
      await disk.makeDirectory(`${dir}/x/y/z`);
      await disk.makeDirectory(`${dir}/x/y/z`);
      expectEqual(await disk.list(`${dir}/x/y`), ["z"]);
      expectEqual(await disk.list(`${dir}/x/y/z`), []);
      await disk.syncDirectory(`${dir}/x/y`);
      await disk.syncDirectory(dir);
      await writeFile(disk, `${dir}/f`);
      await rejectsWith("exists", disk.makeDirectory(`${dir}/f`));
    },
  ],
  [
    "rename replaces its target, and open files stay what they were",
    async (disk, dir) => {
      await writeFile(disk, `${dir}/a`, pattern(5, 1));
      await writeFile(disk, `${dir}/b`, pattern(5, 2));
      const old = await disk.open(`${dir}/b`, { mode: "read" });
      await disk.rename(`${dir}/a`, `${dir}/b`);
      await disk.syncDirectory(dir);
      expectEqual(await disk.list(dir), ["b"]);
      expectEqual(await readFile(disk, `${dir}/b`), pattern(5, 1));
      expectEqual(await contentOf(old), pattern(5, 2));
      await old.close();
    },
  ],
  [
    "rename stays within one directory and needs its source",
    async (disk, dir) => {
      await writeFile(disk, `${dir}/a`, pattern(5, 1));
      await disk.makeDirectory(`${dir}/c`);
      await rejectsWith("io", disk.rename(`${dir}/a`, `${dir}/c/a`));
      await rejectsWith("not-found", disk.rename(`${dir}/x`, `${dir}/y`), `${dir}/x`);
      expectEqual(await disk.list(dir), ["a", "c"]);
    },
  ],
  [
    "remove takes the name; a file that is open can still be read",
    async (disk, dir) => {
      await writeFile(disk, `${dir}/a`, pattern(5, 1));
      const file = await disk.open(`${dir}/a`, { mode: "read" });
      expectEqual(await disk.exists(`${dir}/a`), true);
      await disk.remove(`${dir}/a`);
      expectEqual(await disk.exists(`${dir}/a`), false);
      await rejectsWith("not-found", disk.remove(`${dir}/a`), `${dir}/a`);
      expectEqual(await contentOf(file), pattern(5, 1));
      await file.close();
    },
  ],
  [
    "exists sees directories too",
    async (disk, dir) => {
      expectEqual(await disk.exists(dir), true);
      expectEqual(await disk.exists(`${dir}/no`), false);
      expectEqual(await disk.exists(`${dir}/no/deeper`), false);
    },
  ],
];

const LIFE: readonly [string, Body][] = [
  [
    "a closed file refuses everything, and closing again is fine",
    async (disk, dir) => {
      const file = await disk.open(`${dir}/a`, { mode: "create" });
      await file.close();
      await file.close();
      await rejectsWith("closed", file.write(pattern(1, 1), 0), `${dir}/a`);
      await rejectsWith("closed", file.read(new Uint8Array(1), 0));
      await rejectsWith("closed", file.sync());
      await rejectsWith("closed", file.truncate(0));
      await rejectsWith("closed", file.size());
    },
  ],
  [
    "close waits for what is in flight",
    async (disk, dir) => {
      for (const urgent of [false, true]) {
        const file = await disk.open(`${dir}/${urgent}`, { mode: "create", urgent });
        let written = 0;
        const count = (): void => void written++;
        const writes = [0, 1, 2, 3].map(async (i) => {
          await file.write(pattern(100_000, i), i * 100_000);
          count();
        });
        await file.close();
        await Promise.all(writes);
        expectEqual(written, 4);
        expectEqual((await readFile(disk, `${dir}/${urgent}`)).length, 400_000);
      }
    },
  ],
  [
    "operations that are not urgent keep the order of their calls",
    async (disk, dir) => {
      const file = await disk.open(`${dir}/a`, { mode: "create" });
      const order: number[] = [];
      const steps: Promise<void>[] = [];
      for (let i = 0; i < 40; i++) {
        const ended = (): void => void order.push(i);
        steps.push(file.write(pattern(3000 - i, i), 0).then(ended));
      }
      await Promise.all(steps);
      expectEqual(
        order,
        [...order].sort((a, b) => a - b),
      );
      expectEqual((await contentOf(file)).slice(0, 100), pattern(3000, 39).slice(0, 100));
      await file.close();
    },
  ],
  [
    "urgent operations do not wait for the others",
    async (disk, dir) => {
      const slow = await disk.open(`${dir}/slow`, { mode: "create" });
      const log = await disk.open(`${dir}/log`, { mode: "create", urgent: true });
      let ended = 0;
      const count = (): void => void ended++;
      const steps = Array.from({ length: 300 }, async (_, i) => {
        await slow.write(pattern(50_000, i), 0);
        count();
      });
      await log.write(pattern(512, 1), 0);
      expectTrue(ended < steps.length, "an urgent write ended only after all the others");
      await Promise.all(steps);
      await Promise.all([slow.close(), log.close()]);
    },
  ],
  [
    "a failed operation does not hold up the next",
    async (disk, dir) => {
      const failed = rejectsWith("not-found", disk.open(`${dir}/no`, { mode: "read" }));
      const file = await disk.open(`${dir}/a`, { mode: "create" });
      await failed;
      await file.close();
    },
  ],
];

const LOCKS: readonly [string, Body][] = [
  [
    "a lock keeps a second one off until it is released",
    async (disk, dir) => {
      expectEqual(await disk.lockHolder(`${dir}/lock`), undefined);
      const lock = await disk.lock(`${dir}/lock`);
      const names = await disk.list(dir);
      expectTrue(
        String(await disk.lockHolder(`${dir}/lock`)).startsWith("locked by "),
        "the holder",
      );
      expectEqual(await disk.list(dir), names);
      await rejectsWith("locked", disk.lock(`${dir}/lock`), `${dir}/lock`);
      const other = await disk.lock(`${dir}/other`);
      await lock.release();
      await lock.release();
      expectEqual(await disk.lockHolder(`${dir}/lock`), undefined);
      const again = await disk.lock(`${dir}/lock`);
      await rejectsWith("locked", disk.lock(`${dir}/lock`));
      await Promise.all([again.release(), other.release()]);
    },
  ],
  [
    "of several that ask at once exactly one gets the lock",
    async (disk, dir) => {
      for (let round = 0; round < 5; round++) {
        const asked = Array.from({ length: 6 }, () => disk.lock(`${dir}/lock`));
        const answers = await Promise.allSettled(asked);
        const got = answers.filter((answer) => answer.status === "fulfilled");
        expectEqual(got.length, 1, "locks granted");
        await got[0]!.value.release();
      }
    },
  ],
];

async function compareWithModel(file: DiskFile, random: SeededRandom): Promise<void> {
  let model = new Uint8Array(0);
  const resize = (size: number): void => {
    const next = new Uint8Array(size);
    next.set(model.subarray(0, size));
    model = next;
  };
  for (let step = 0; step < 120; step++) {
    const at = random.below(6000);
    const length = random.below(1500);
    const kind = random.below(8);
    if (kind === 0) {
      await file.truncate(at);
      resize(at);
    } else if (kind === 1) {
      await file.sync();
    } else if (kind < 4) {
      const into = new Uint8Array(length);
      const want = model.slice(at, at + length);
      expectEqual(await file.read(into, at), want.length);
      expectEqual(into.slice(0, want.length), want);
    } else if (length > 0) {
      const bytes = pattern(length, step);
      await file.write(bytes, at);
      if (at + length > model.length) resize(at + length);
      model.set(bytes, at);
    }
    expectEqual(await file.size(), model.length);
  }
  expectEqual(await contentOf(file), model);
}

function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + seed * 101 + (i >> 8)) & 0xff;
  return bytes;
}

async function contentOf(file: DiskFile): Promise<Uint8Array> {
  const bytes = new Uint8Array(await file.size());
  expectEqual(await file.read(bytes, 0), bytes.length, "bytes read");
  return bytes;
}

async function readFile(disk: Disk, path: string): Promise<Uint8Array> {
  const file = await disk.open(path, { mode: "read" });
  const bytes = await contentOf(file);
  await file.close();
  return bytes;
}

async function writeFile(
  disk: Disk,
  path: string,
  bytes: Uint8Array = new Uint8Array(0),
): Promise<void> {
  const file = await disk.open(path, { mode: "create" });
  await file.write(bytes, 0);
  await file.close();
}

async function rejectsWith(
  reason: DiskReason,
  promise: Promise<unknown>,
  path?: string,
): Promise<void> {
  const accepts = (error: unknown): boolean =>
    error instanceof DiskError &&
    error.reason === reason &&
    (path === undefined || (error.path === path && error.message.includes(path)));
  await expectRejects(promise, accepts, `a rejection with ${reason}`);
}
