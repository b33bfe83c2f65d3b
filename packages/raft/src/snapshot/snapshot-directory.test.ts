import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { describe, expect, test } from "vitest";
import { NodeDisk } from "../disk/node-disk.ts";
import { SimDisk } from "../disk/sim-disk.ts";
import { crc32 } from "../util/checksum.ts";
import { snapshotName } from "./snapshot-format.ts";
import { DIRECTORY, emptyDisk, open } from "./snapshot-harness.ts";
import { bytesOf, metaOf, send, take } from "./snapshot-samples.ts";
import { snapshotSuite } from "./snapshot-suite.ts";
import type { SnapshotsUnderTest } from "./snapshot-suite.ts";
import type { SnapshotDirectory } from "./snapshot-directory.ts";

const snapOf = (index: number): string =>
  `${DIRECTORY}/${snapshotName({ index, term: 3 }, "snap")}`;

describe("the port, on the simulated disk", () => {
  async function make(): Promise<SnapshotsUnderTest> {
    const disk = await emptyDisk();
    return {
      open: () => open(disk),
      openOther: () => open(disk, "/data/other"),
      damage: async (index, offset) => {
        const size = disk.image(snapOf(index)).length;
        disk.flip(snapOf(index), offset < 0 ? size + offset : offset, 0x10);
      },
      dispose: async () => {},
    };
  }
  for (const suiteCase of snapshotSuite(make)) test(suiteCase.name, () => suiteCase.run());
});

describe("the port, on the real disk", () => {
  async function make(): Promise<SnapshotsUnderTest> {
    const disk = new NodeDisk();
    const root = fs.mkdtempSync(path.join(os.tmpdir(), "quorate-snapshot-"));
    return {
      open: () => open(disk, `${root}/a`),
      openOther: () => open(disk, `${root}/b`),
      damage: async (index, offset) => {
        const file = `${root}/a/${snapshotName({ index, term: 3 }, "snap")}`;
        const bytes = fs.readFileSync(file);
        bytes[offset < 0 ? bytes.length + offset : offset]! ^= 0x10;
        fs.writeFileSync(file, bytes);
      },
      dispose: async () => fs.rmSync(root, { recursive: true }),
    };
  }
  for (const suiteCase of snapshotSuite(make)) test(suiteCase.name, () => suiteCase.run());
});

describe("leftovers", () => {
  test("are removed at opening, but for a part that can be gone on with", async () => {
    const disk = await emptyDisk();
    const from = await open(disk, "/data/other");
    const store = await open(disk);
    await take(store, 5, bytesOf(10));
    const writer = await store.create(metaOf(9));
    await writer.write(bytesOf(100_000));
    const id = await take(from, 7, bytesOf(100_000));
    await send(from, store, id, 50_000);
    disk.place(`${DIRECTORY}/${snapshotName({ index: 3, term: 1 }, "part")}`, bytesOf(10));
    disk.place(`${DIRECTORY}/${snapshotName({ index: 4, term: 1 }, "note")}`, bytesOf(72));
    disk.place(`${DIRECTORY}/readme.txt`, bytesOf(10));
    await open(disk);
    const names = disk.paths().filter((name) => name.startsWith(DIRECTORY));
    expect(names.map((name) => name.slice(name.lastIndexOf("/") + 1))).toEqual([
      snapshotName({ index: 5, term: 3 }, "snap"),
      snapshotName({ index: 7, term: 3 }, "note"),
      snapshotName({ index: 7, term: 3 }, "part"),
      "readme.txt",
    ]);
  });

  test("a part of what is here already is one, too", async () => {
    const disk = await emptyDisk();
    const from = await open(disk, "/data/other");
    const store = await open(disk);
    await send(from, store, await take(from, 7, bytesOf(100_000)), 50_000);
    await take(store, 8, bytesOf(10));
    await open(disk);
    expect(disk.paths().filter((name) => name.endsWith(".part"))).toEqual([]);
  });
});

describe("failures of the disk", () => {
  test("at every operation of taking one: it is refused or whole, and the next one succeeds", async () => {
    for (const reason of ["full", "io"] as const) {
      for (let n = 1; ; n++) {
        const disk = await emptyDisk();
        const store = await open(disk);
        await take(store, 1, bytesOf(10));
        const first = disk.operations + n;
        disk.beforeOperation = () =>
          disk.operations === first ? { reason, effect: "some" } : undefined;
        const outcome = await take(store, 2, bytesOf(150_000)).catch((error: unknown) => error);
        disk.beforeOperation = undefined;
        if (disk.operations < first) break;
        if (outcome instanceof Error) {
          expect(outcome).toMatchObject({
            code: reason === "full" ? "DISK_FULL" : "SNAPSHOT_FAILED",
          });
        }
        await take(store, 3, bytesOf(150_000));
        const again = await open(disk);
        expect(again.list.map(({ index }) => index).slice(0, 1)).toEqual([3]);
        for (const id of again.list) await again.verify(id);
      }
    }
  });

  test("a sector that cannot be read is damage", async () => {
    const disk = await emptyDisk();
    const store = await open(disk);
    const id = await take(store, 4, bytesOf(100_000));
    disk.dropCaches();
    disk.spoil(snapOf(4), 20_000, 1);
    await expect(store.verify(id)).rejects.toMatchObject({ code: "SNAPSHOT_DAMAGED" });
  });

  test("a file of a later version is not taken for a damaged one", async () => {
    const disk = await emptyDisk();
    await take(await open(disk), 4, bytesOf(10));
    const bytes = disk.image(snapOf(4)).slice();
    bytes[8] = 2;
    const crc = crc32(bytes.subarray(0, 20));
    bytes.set([crc, crc >>> 8, crc >>> 16, crc >>> 24], 20);
    disk.place(snapOf(4), bytes);
    await expect(open(disk)).rejects.toMatchObject({ code: "FORMAT_UNSUPPORTED" });
  });
});

test("a snapshot cut at any length is no snapshot", async () => {
  const disk = await emptyDisk();
  const id = await take(await open(disk), 4, bytesOf(300));
  const bytes = disk.image(snapOf(4)).slice();
  for (let length = 0; length < bytes.length; length++) {
    const cut = new SimDisk();
    cut.place(snapOf(4), bytes.subarray(0, length));
    const store: SnapshotDirectory = await open(cut);
    expect(store.list, `${length} bytes`).toEqual([]);
    await expect(store.verify(id)).rejects.toMatchObject({ code: "SNAPSHOT_DAMAGED" });
  }
});
