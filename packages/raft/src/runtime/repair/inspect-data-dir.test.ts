/**
 * Looking at a data directory: the facts, one finding for each way in which the engine refuses to
 * open it, and not a byte changed.
 */
import { describe, expect, test } from "vitest";
import { openLog } from "../../log/open-log.ts";
import { encodeSegmentHead } from "../../log/segment.ts";
import { openSnapshots } from "../../snapshot/snapshot-directory.ts";
import { ManualClock } from "../../transport/manual-clock.ts";
import type { SimDisk } from "../../disk/sim-disk.ts";
import { crc32 } from "../../util/checksum.ts";
import { SeededRandom } from "../../util/random.ts";
import { nodeDigest } from "../node-checksum.ts";
import { IdentityFile } from "../identity.ts";
import { add, errorOf, World } from "../world-harness.ts";
import { inspectDirectory } from "./inspect-data-dir.ts";
import type { InspectOptions } from "./inspect-data-dir.ts";
import type { FindingCode, Inspection } from "./inspection.ts";

const DATA = "/data/n1";
const IDENTITY = `${DATA}/identity.json`;
const WRITES = new Set(["write", "truncate", "rename", "remove", "makeDirectory", "lock"]);

/** A member of a cluster of one that took some writes and was closed. */
async function used(writes = 3): Promise<{ world: World; disk: SimDisk }> {
  const world = new World();
  const { node } = await world.open("n1", { bootstrap: true });
  for (let i = 0; i < writes; i++) await world.until(node.write(add(5)));
  await world.until(node.close());
  return { world, disk: world.disk("n1") };
}

/** Looks, and holds the look to its promise: nothing is written, made, renamed or removed. */
async function inspect(disk: SimDisk, options: InspectOptions = {}): Promise<Inspection> {
  const before = imageOf(disk);
  disk.beforeOperation = (operation) => {
    const { kind, creates } = operation as { kind: string; creates?: boolean };
    if (WRITES.has(kind) || creates === true) throw new Error(`${kind} while looking`);
    return undefined;
  };
  const inspection = await inspectDirectory(
    { disk, checksum: crc32, digest: nodeDigest },
    DATA,
    options,
  );
  disk.beforeOperation = undefined;
  expect(imageOf(disk)).toEqual(before);
  return inspection;
}

function imageOf(disk: SimDisk): unknown {
  return disk.paths().map((path) => [path, crc32(disk.image(path))]);
}

function codes({ findings }: Inspection): FindingCode[] {
  return findings.map(({ code }) => code);
}

function segmentOf(disk: SimDisk, number: number): string {
  return disk.paths().find((path) => path.endsWith(`${number}.log`))!;
}

/** The directory is damaged in this one way, says so in sentences, and the engine refuses it. */
async function expectDamage(
  disk: SimDisk,
  code: FindingCode,
  refusal: { world: World; code: RegExp },
): Promise<Inspection> {
  const inspection = await inspect(disk);
  expect(inspection.health).toBe("damaged");
  const [finding, ...others] = inspection.findings;
  expect(finding).toMatchObject({ code, severity: "damage" });
  expect(finding!.problem).toMatch(/^[A-Z/].*\.$/s);
  expect(finding!.remedy).toMatch(/^[A-Z].*\.$/s);
  expect(others.filter(({ severity }) => severity === "damage")).toEqual([]);
  const error = await errorOf(refusal.world.open("n1", { bootstrap: true }));
  expect(error.code).toMatch(refusal.code);
  return inspection;
}

describe("a directory that is well", () => {
  test("tells who it is and what its log holds", async () => {
    const { disk } = await used();
    const { health, identity, log, findings, inUse } = await inspect(disk);
    expect({ health, findings, inUse }).toEqual({
      health: "healthy",
      findings: [],
      inUse: undefined,
    });
    expect(identity).toMatchObject({ id: "n1", state: "formed", formerClusters: [] });
    expect(identity!.clusterId).toMatch(/^[0-9a-f]{32}$/);
    expect(log).toMatchObject({ startIndex: 0, isWhole: true, tornBytes: 0, unprovenBytes: 0 });
    expect(log!.lastIndex).toBeGreaterThanOrEqual(5);
    expect(log!.commit).toBeGreaterThan(0);
    expect(log!.term).toBe(log!.lastTerm);
    expect(log!.vote).toMatchObject({ id: "n1", incarnation: identity!.incarnation });
    const { configuration } = log!.configurations.at(-1)!;
    expect(configuration).toMatchObject({ voters: ["n1"], learners: [] });
    expect(log!.files.map(({ kind }) => kind)).toContain("log");
    expect(log!.files[0]!.records).toBe(log!.records);
    expect(log!.bytes).toBe(log!.files.reduce((sum, { bytes }) => sum + bytes, 0));
  });

  test("may be looked at beside the member that runs on it, and that is said", async () => {
    const world = new World();
    const { node } = await world.open("n1", { bootstrap: true });
    await world.until(node.write(add(5)));
    const inspection = await inspect(world.disk("n1"));
    expect(inspection.inUse).toMatch(/^locked by/);
    expect(codes(inspection)).toEqual(["IN_USE"]);
    expect(inspection.health).toBe("healthy");
    await world.until(node.close());
  });

  test("is said to be of another member where another was meant", async () => {
    const { disk } = await used();
    const inspection = await inspect(disk, { id: "n7" });
    expect(inspection.health).toBe("damaged");
    expect(inspection.findings[0]!.problem).toContain("belongs to member n1, not to n7");
  });

  test("that has files of others in it names them, and leftovers", async () => {
    const { disk } = await used();
    disk.place(`${DATA}/notes.txt`, new Uint8Array(3));
    disk.place(`${DATA}/log/copy.log`, new Uint8Array(3));
    disk.place(`${DATA}/identity.json.tmp`, new Uint8Array(3));
    const inspection = await inspect(disk);
    expect(inspection.health).toBe("healthy");
    expect(codes(inspection).sort()).toEqual(["FOREIGN_FILE", "FOREIGN_FILE", "LEFTOVER"]);
  });

  test("where a write was cut short says that nothing needs to be done", async () => {
    const { world, disk } = await used();
    const { end } = (await inspect(disk)).log!;
    const path = segmentOf(disk, end.segment);
    // The same write once more, behind the end, with its body lost: a whole header and no body.
    const { node } = await world.open("n1", undefined);
    await world.until(node.write(add(1)));
    await world.until(node.close());
    const after = (await inspect(disk)).log!;
    for (let at = after.end.offset - 24; at < after.end.offset; at++) disk.flip(path, at, 0xff);
    for (const slot of [512, 1_024]) for (let i = 0; i < 512; i++) wipe(disk, path, slot + i);
    const inspection = await inspect(disk);
    expect(inspection.health).toBe("healthy");
    expect(codes(inspection)).toEqual(["LOG_TORN"]);
    expect(inspection.findings[0]!.remedy).toMatch(/Nothing needs to be done/);
    await world.close([await world.open("n1", undefined)]);
  });
});

function wipe(disk: SimDisk, path: string, at: number): void {
  disk.flip(path, at, disk.image(path)[at]!);
}

describe("a directory with nothing in it", () => {
  test("that is not there is said to be absent", async () => {
    const world = new World();
    const inspection = await inspect(world.disk("n1"));
    expect(codes(inspection)).toEqual(["ABSENT"]);
    expect(inspection.health).toBe("damaged");
  });

  test("that is a file cannot be listed", async () => {
    const { disk } = await used();
    const inspection = await inspectDirectory(
      { disk, checksum: crc32, digest: nodeDigest },
      IDENTITY,
    );
    expect(codes(inspection)).toEqual(["UNREADABLE"]);
  });

  test("is empty", async () => {
    const world = new World();
    await world.disk("n1").makeDirectory(DATA);
    const inspection = await inspect(world.disk("n1"));
    expect(inspection).toMatchObject({ health: "empty", findings: [], identity: undefined });
  });

  test("whose member waits for the others of its list has not started", async () => {
    const world = new World();
    const opened = await world.open("n1", { members: World.members(3) });
    await world.close([opened]);
    const inspection = await inspect(world.disk("n1"));
    expect(inspection.health).toBe("empty");
    expect(codes(inspection)).toEqual(["NOT_STARTED"]);
    expect(inspection.identity).toMatchObject({ state: "new", clusterId: undefined });
  });
});

describe("a directory that the engine refuses", () => {
  test("for its identity is lost", async () => {
    const { world, disk } = await used();
    await disk.remove(IDENTITY);
    const found = await expectDamage(disk, "IDENTITY_LOST", { world, code: /DATA_DIR_INVALID/ });
    expect(found.identity).toBeUndefined();
    expect(found.log!.lastIndex).toBeGreaterThan(3);
  });

  test("for its identity is changed at any byte, or cut", async () => {
    const { disk } = await used();
    const whole = disk.image(IDENTITY);
    for (let at = 0; at < whole.length - 1; at += 5) {
      disk.flip(IDENTITY, at, 0x01);
      const [found] = codes(await inspect(disk));
      expect(found, `byte ${at}`).toMatch(/IDENTITY_DAMAGED|FORMAT_NEWER/);
      disk.flip(IDENTITY, at, 0x01);
    }
    for (let size = 0; size < whole.length - 1; size += 31) {
      disk.place(IDENTITY, whole.slice(0, size));
      expect(codes(await inspect(disk))[0]).toBe("IDENTITY_DAMAGED");
    }
  });

  test("for its identity is of a newer version", async () => {
    const { world, disk } = await used();
    const text = new TextDecoder().decode(disk.image(IDENTITY));
    disk.place(IDENTITY, new TextEncoder().encode(text.replace('"format":1', '"format":9')));
    await expectDamage(disk, "FORMAT_NEWER", { world, code: /FORMAT_UNSUPPORTED/ });
  });

  test("for its identity is of a member that has not started, beside a log", async () => {
    const { world, disk } = await used();
    const file = new IdentityFile(disk, DATA, crc32);
    const identity = (await file.read())!;
    await file.write({ ...identity, state: "new", clusterId: "0".repeat(32), configuration: "" });
    await expectDamage(disk, "NOT_TOGETHER", { world, code: /DATA_DIR_INVALID/ });
  });

  test("for its log is lost, or emptied", async () => {
    const { world, disk } = await used();
    for (const path of disk.paths().filter((name) => name.includes("/log/")))
      await disk.remove(path);
    await expectDamage(disk, "LOG_LOST", { world, code: /DATA_DIR_INVALID/ });
  });

  test("for its log directory holds no log", async () => {
    const { world, disk } = await used();
    for (const path of disk.paths().filter((name) => name.includes("/log/")))
      await disk.remove(path);
    disk.place(`${DATA}/log/note.txt`, new Uint8Array(3));
    await expectDamage(disk, "LOG_LOST", { world, code: /DATA_DIR_INVALID/ });
  });

  test("for its log is of a newer version", async () => {
    const { world, disk } = await used();
    const path = segmentOf(disk, 1);
    const bytes = disk.image(path);
    const head = encodeSegmentHead({ sequence: 1, size: bytes.length, logId: 5 }, crc32);
    head[8] = 2;
    new DataView(head.buffer).setUint32(508, crc32(head.subarray(0, 508)), true);
    bytes.set(head.subarray(0, 512));
    disk.place(path, bytes);
    await expectDamage(disk, "FORMAT_NEWER", { world, code: /FORMAT_UNSUPPORTED/ });
  });

  test("for a bit flipped below the durable mark, with file, place and what is left", async () => {
    const { world, disk } = await used(20);
    const path = segmentOf(disk, 1);
    const { end } = (await inspect(disk)).log!;
    const middle = Math.floor((1_536 + end.offset) / 2);
    disk.flip(path, middle, 0x10);
    const found = await expectDamage(disk, "LOG_DAMAGED", { world, code: /LOG_DAMAGED/ });
    const [finding] = found.findings;
    expect(finding!.path).toBe(path);
    expect(finding!.offset).toBeLessThanOrEqual(middle);
    expect(middle - finding!.offset!).toBeLessThan(300);
    expect(finding!.problem).toMatch(/Entries 1 to \d+ could be read.* records? (is|are) whole/s);
    expect(found.log).toMatchObject({ isWhole: false });
    expect(found.log!.files[0]!.recordsBehind).toBeGreaterThan(3);
    expect(found.log!.lastIndex).toBeGreaterThan(1);
  });

  test("for a flip anywhere in the log: the same verdict as opening it, at every 97th byte", async () => {
    const { disk } = await used();
    const path = segmentOf(disk, 1);
    const { end } = (await inspect(disk)).log!;
    const seen = new Set<string>();
    for (let at = 0; at < end.offset + 200; at += 97) {
      disk.flip(path, at, 0x40);
      const inspection = await inspect(disk);
      const copy = new World();
      copy.disks.set("n1", disk.clone());
      const error = await copy.open("n1", undefined).then(
        async (opened) => copy.close([opened]).then(() => undefined),
        (refusal: unknown) => refusal as { code: string },
      );
      const verdict = error === undefined ? "healthy" : "damaged";
      expect(inspection.health, `byte ${at}`).toBe(verdict);
      seen.add(verdict);
      disk.flip(path, at, 0x40);
    }
    expect([...seen].sort()).toEqual(["damaged", "healthy"]);
  });

  test("for its file is cut, or missing", async () => {
    const { world, disk } = await used();
    const path = segmentOf(disk, 1);
    const whole = disk.image(path);
    disk.place(path, whole.slice(0, whole.length - 512));
    const cut = await expectDamage(disk, "LOG_DAMAGED", { world, code: /LOG_DAMAGED/ });
    expect(cut.findings[0]).toMatchObject({ path, offset: whole.length - 512 });
    await disk.remove(path);
    await expectDamage(disk, "LOG_DAMAGED", { world, code: /LOG_DAMAGED/ });
  });

  test("for the medium cannot read it", async () => {
    const { disk } = await used();
    const path = segmentOf(disk, 1);
    disk.beforeOperation = (operation) =>
      operation.kind === "read" && operation.path === path ? { reason: "io" } : undefined;
    const ports = { disk, checksum: crc32, digest: nodeDigest };
    expect(codes(await inspectDirectory(ports, DATA))).toContain("UNREADABLE");
    disk.beforeOperation = undefined;
    disk.spoil(path, 2_000, 1);
    expect(codes(await inspectDirectory(ports, DATA))).toContain("LOG_DAMAGED");
  });

  test("for its member was removed, with the reason", async () => {
    const { world, disk } = await used();
    const file = new IdentityFile(disk, DATA, crc32);
    await file.write({ ...(await file.read())!, state: "removed", reason: "configuration 7" });
    const found = await expectDamage(disk, "REMOVED", { world, code: /REMOVED/ });
    expect(found.findings[0]!.problem).toContain("configuration 7");
  });

  test("for recovery from a lost quorum was begun and not finished", async () => {
    const { world, disk } = await used();
    const file = new IdentityFile(disk, DATA, crc32);
    const identity = (await file.read())!;
    const former = { formerClusters: [identity.clusterId], clusterId: "3".repeat(32) };
    await file.write({ ...identity, ...former, state: "recovering" });
    const found = await expectDamage(disk, "RECOVERY_UNFINISHED", {
      world,
      code: /DATA_DIR_INVALID/,
    });
    expect(found.identity!.formerClusters).toEqual([identity.clusterId]);
  });
});

describe("snapshots", () => {
  const SNAPSHOTS = `${DATA}/snapshot`;

  /** A log that starts behind entry 4, and two snapshots that it can start from. */
  async function compacted(): Promise<{ disk: SimDisk; paths: string[] }> {
    const { disk } = await used(10);
    const { log, identity } = await inspect(disk);
    const { clusterId } = identity!;
    const configuration = log!.configurations.at(-1)!;
    const options = { disk, checksum: crc32, clock: new ManualClock() };
    const opened = await openLog({
      ...options,
      directory: `${DATA}/log`,
      random: new SeededRandom(1),
      segmentBytes: 65_536,
    });
    await opened.release(1, 4);
    await opened.close();
    const store = await openSnapshots({ ...options, directory: SNAPSHOTS, digest: nodeDigest });
    for (const index of [4, 7]) {
      const at = { index, term: log!.lastTerm, timeMs: 5, engine: new Uint8Array(3) };
      const writer = await store.create({ ...at, configuration, clusterId: clusterId! });
      for (let i = 0; i < 40; i++) await writer.write(new Uint8Array(5_000).fill(i));
      await writer.finish();
    }
    return { disk, paths: disk.paths().filter((path) => path.endsWith(".snap")) };
  }

  test("are listed with what they stand for", async () => {
    const { disk } = await compacted();
    disk.place(`${SNAPSHOTS}/00000000000000000009-00000000000000000002.new`, new Uint8Array(9));
    const { health, findings, snapshots, log } = await inspect(disk);
    expect({ health, findings }).toEqual({ health: "healthy", findings: [] });
    expect(log!.startIndex).toBe(4);
    expect(snapshots).toMatchObject([
      { kind: "snap", index: 4, isWhole: true, configuration: { index: 1 } },
      { kind: "snap", index: 7, isWhole: true, timeMs: 5 },
      { kind: "new", index: 9, isWhole: false },
    ]);
    expect(snapshots[0]!.bytes).toBeGreaterThan(200_000);
  });

  test("of which the newest is damaged are enough with the older one", async () => {
    const { disk, paths } = await compacted();
    disk.flip(paths[1]!, 150_000, 0x04);
    const inspection = await inspect(disk);
    expect(inspection.health).toBe("healthy");
    expect(inspection.findings).toMatchObject([
      { code: "SNAPSHOT_DAMAGED", severity: "warning", path: paths[1] },
    ]);
    expect(inspection.findings[0]!.offset).toBeGreaterThan(100_000);
    expect(inspection.snapshots.map(({ isWhole }) => isWhole)).toEqual([true, false]);
  });

  test("that are all damaged or lost leave nothing to start from", async () => {
    const { disk, paths } = await compacted();
    for (const path of paths) disk.flip(path, 40, 0x04);
    const damaged = await inspect(disk);
    expect(damaged.health).toBe("damaged");
    expect(codes(damaged)).toEqual(["SNAPSHOT_DAMAGED", "SNAPSHOT_DAMAGED"]);
    for (const path of paths) await disk.remove(path);
    const lost = await inspect(disk);
    expect(lost.health).toBe("damaged");
    expect(codes(lost)).toEqual(["SNAPSHOT_LOST"]);
  });

  test("of a newer version are said to be so", async () => {
    const { disk, paths } = await compacted();
    const bytes = disk.image(paths[1]!);
    bytes[8] = 2;
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(20, crc32(bytes.subarray(0, 20)), true);
    disk.place(paths[1]!, bytes);
    expect(codes(await inspect(disk))).toEqual(["FORMAT_NEWER"]);
  });
});

describe("a directory that starts, and is odd", () => {
  test("says that the cluster knows its member by another directory", async () => {
    const { disk } = await used();
    const file = new IdentityFile(disk, DATA, crc32);
    const identity = (await file.read())!;
    await file.write({ ...identity, incarnation: "9".repeat(32) });
    const inspection = await inspect(disk);
    expect(inspection.health).toBe("healthy");
    expect(inspection.findings).toMatchObject([{ code: "OTHER_INCARNATION", severity: "warning" }]);
  });

  test("says of one that was invited that its log is still to come", async () => {
    const { disk } = await used();
    const file = new IdentityFile(disk, DATA, crc32);
    const identity = (await file.read())!;
    await disk.remove(IDENTITY);
    for (const path of disk.paths().filter((name) => name.includes("/log/"))) {
      await disk.remove(path);
    }
    const invited = { ...identity, invitedBy: 12 };
    await file.write({ ...invited, state: "joining" });
    const inspection = await inspect(disk);
    expect(inspection.health).toBe("healthy");
    expect(codes(inspection)).toEqual(["JOINING"]);
  });

  test("says that its member is none of the configuration in force", async () => {
    const { disk } = await used();
    const file = new IdentityFile(disk, DATA, crc32);
    const identity = (await file.read())!;
    await file.write({ ...identity, id: "n9" });
    expect(codes(await inspect(disk))).toEqual(["NOT_A_MEMBER"]);
  });

  test("is refused where the configuration it began with is not in its log", async () => {
    const { disk } = await used();
    const file = new IdentityFile(disk, DATA, crc32);
    const identity = (await file.read())!;
    await file.write({ ...identity, configuration: "01000000" });
    const inspection = await inspect(disk);
    expect(inspection.health).toBe("damaged");
    expect(codes(inspection)).toEqual(["NOT_TOGETHER"]);
  });
});
