/**
 * The data directory: what is missing, foreign or damaged in it is found before anything is
 * written.
 */
import { describe, expect, test } from "vitest";
import { SimDisk } from "../disk/sim-disk.ts";
import { crc32 } from "../util/checksum.ts";
import { SeededRandom } from "../util/random.ts";
import { IdentityFile } from "./identity.ts";
import type { Identity } from "./identity.ts";
import { add, errorOf, total, World } from "./world-harness.ts";

const IDENTITY = "/data/n1/identity.json";

async function used(): Promise<World> {
  const world = new World();
  const { node } = await world.open("n1", { bootstrap: true });
  await world.until(node.write(add(5)));
  await world.until(node.close());
  return world;
}

/** What opening says, and that it changed nothing. */
async function refusal(world: World, start?: { bootstrap: true }): Promise<string> {
  const before = imageOf(world.disk("n1"));
  const error = await errorOf(world.open("n1", start));
  expect(imageOf(world.disk("n1"))).toEqual(before);
  return error.message;
}

function imageOf(disk: SimDisk): unknown {
  return disk.paths().map((path) => [path, crc32(disk.image(path))]);
}

describe("opening a directory", () => {
  test("that is empty needs a way to start", async () => {
    const error = await errorOf(new World().open("n1", undefined));
    expect(error.code).toBe("OPTION_INVALID");
    expect(error.message).toMatch(/is empty and no way to start was given: say start:/);
  });

  test("that is empty is not begun with another address than the list has", async () => {
    const world = new World();
    const start = { members: [{ id: "n1", address: "n1:9091" }] };
    const error = await errorOf(world.open("n1", start, { advertise: "n1:7777" }));
    expect(error.code).toBe("OPTION_INVALID");
    expect(error.message).toMatch(/advertise says n1:7777, but start.members has n1:9091 for n1$/);
    expect(
      world
        .disk("n1")
        .paths()
        .filter((path) => path.endsWith("identity.json")),
    ).toEqual([]);
    const { node } = await world.open("n1", start);
    await world.until(node.write(add(5)));
    await world.until(node.close());
    // Later the list says nothing that counts, and the member may have moved.
    const moved = await world.open("n1", start, { advertise: "n1:7777" });
    expect(moved.node.status().address).toBe("n1:7777");
    await world.close([moved]);
  });

  test("of another member names both", async () => {
    const world = await used();
    world.disks.set("n2", world.disk("n1"));
    const error = await errorOf(world.open("n2", { bootstrap: true }, { dataDir: "/data/n1" }));
    expect(error.code).toBe("DATA_DIR_INVALID");
    expect(error.message).toMatch(/belongs to member n1, but this member is n2/);
  });

  test("twice at a time is refused, and works once the first is closed", async () => {
    const world = new World();
    const { node } = await world.open("n1", { bootstrap: true });
    const error = await errorOf(world.open("n1", undefined, { listen: "n1:7" }));
    expect(error.code).toBe("DATA_DIR_LOCKED");
    expect(error.message).toMatch(/one process at a time/);
    await world.until(node.close());
    await world.close([await world.open("n1", undefined)]);
  });

  test("whose identity is lost is refused: its votes are nobody's", async () => {
    const world = await used();
    await world.disk("n1").remove(IDENTITY);
    expect(await refusal(world, { bootstrap: true })).toMatch(/has a log but no identity\.json/);
  });

  test.each(["every file of the log", "each file of the log in turn"])(
    "that has lost %s is refused, and is not taken for an empty one",
    async (what) => {
      const names = (await used())
        .disk("n1")
        .paths()
        .filter((path) => path.includes("/log/"));
      expect(names.length).toBeGreaterThan(0);
      const cases = what.startsWith("every") ? [names] : names.map((name) => [name]);
      for (const lost of cases) {
        const world = await used();
        const disk = world.disk("n1");
        for (const path of lost) await disk.remove(path);
        if (lost.every((path) => path.endsWith(".spare") || path.endsWith(".new"))) continue;
        const hasRecords = lost.some((path) => path.endsWith("1.log"));
        if (hasRecords) {
          const message = await errorOf(world.open("n1", { bootstrap: true }));
          expect(message.code).toMatch(/DATA_DIR_INVALID|LOG_DAMAGED/);
        } else {
          // A segment that was prepared and never written to is no loss.
          const again = await world.open("n1", undefined);
          expect(await world.until(again.node.read(total))).toBe(5);
          await world.close([again]);
        }
      }
    },
  );

  test("whose log directory is empty or holds no log is refused before anything is made", async () => {
    const world = await used();
    const disk = world.disk("n1");
    for (const path of disk.paths().filter((name) => name.includes("/log/"))) {
      await disk.remove(path);
    }
    expect(await refusal(world, { bootstrap: true })).toMatch(/\/log is missing or empty/);
    // Not empty, but nothing in it is a log: found once the log is open.
    disk.place("/data/n1/log/note.txt", new Uint8Array(3));
    const error = await errorOf(world.open("n1", undefined));
    expect(error.code).toBe("DATA_DIR_INVALID");
    expect(error.message).toMatch(/\/log holds no entry/);
  });

  test("whose identity is cut or changed at any byte is refused", async () => {
    const world = await used();
    const disk = world.disk("n1");
    const whole = disk.image(IDENTITY);
    for (let at = 0; at < whole.length - 1; at++) {
      disk.flip(IDENTITY, at, 0x01);
      const error = await errorOf(world.open("n1", { bootstrap: true }));
      expect(error.code, `byte ${at}`).toMatch(/DATA_DIR_INVALID|FORMAT_UNSUPPORTED/);
      disk.flip(IDENTITY, at, 0x01);
    }
    for (let size = 0; size < whole.length - 1; size += 7) {
      disk.place(IDENTITY, whole.slice(0, size));
      expect((await errorOf(world.open("n1", undefined))).code).toBe("DATA_DIR_INVALID");
    }
    disk.place(IDENTITY, whole);
    await world.close([await world.open("n1", undefined)]);
  });

  test("of a newer version is refused as such", async () => {
    const world = await used();
    const text = new TextDecoder().decode(world.disk("n1").image(IDENTITY));
    const newer = text.replace('"format":1', '"format":2');
    world.disk("n1").place(IDENTITY, new TextEncoder().encode(newer));
    expect((await errorOf(world.open("n1", undefined))).code).toBe("FORMAT_UNSUPPORTED");
  });

  test("with a start that contradicts the directory changes nothing about who is a member", async () => {
    const world = await used();
    const again = await world.open("n1", { members: World.members(3) });
    expect(again.node.status().configuration.voters).toEqual(["n1"]);
    expect(await world.until(again.node.read(total))).toBe(5);
    await world.close([again]);
  });
});

describe("the identity file", () => {
  const one: Identity = {
    id: "n1",
    incarnation: "ab".repeat(16),
    state: "new",
    clusterId: "0".repeat(32),
    configuration: "",
  };

  test("is the old one or the new one after a crash at any operation of its replacement", async () => {
    const two: Identity = {
      ...one,
      state: "formed",
      clusterId: "1".repeat(32),
      configuration: "01",
    };
    let outcomes = "";
    for (let at = 1; ; at++) {
      const disk = new SimDisk();
      await disk.makeDirectory("/d");
      await disk.syncDirectory("/");
      const file = new IdentityFile(disk, "/d", crc32);
      await file.write(one);
      disk.dieAt(disk.operations + at, new SeededRandom(at));
      const done = await file.write(two).then(
        () => true,
        () => false,
      );
      const found = await new IdentityFile(disk.successor ?? disk.clone(), "/d", crc32).read();
      expect([one, two]).toContainEqual(found);
      outcomes += found?.state === "formed" ? "2" : "1";
      if (!done) continue;
      expect(found).toEqual(two);
      break;
    }
    expect(outcomes).toMatch(/^1.*2$/);
  });
});

describe("the directory of a member that was invited", () => {
  async function invited(): Promise<World> {
    const world = new World();
    const n1 = await world.open("n1", { bootstrap: true });
    await world.when(() => n1.node.isLeader, "n1 leads");
    const n2 = await world.open("n2", { join: ["n1:9091"], as: "learner" });
    await world.when(() => n2.node.status().state === "running", "n2 is invited");
    await world.close([n2, n1]);
    return world;
  }

  test("needs its log from the first moment, though it holds no entry yet", async () => {
    const world = await invited();
    const disk = world.disk("n2");
    for (const path of disk.paths().filter((name) => name.includes("/log/"))) {
      await disk.remove(path);
    }
    const error = await errorOf(world.open("n2", undefined));
    expect(error.message).toMatch(/\/log is missing or empty: what this member voted for/);
    disk.place("/data/n2/log/note.txt", new Uint8Array(3));
    const other = await errorOf(world.open("n2", undefined));
    expect(other.code).toBe("DATA_DIR_INVALID");
    expect(other.message).toMatch(/\/log holds no entry/);
  });

  test("goes on after a crash at every operation of the invitation", async () => {
    let states = "";
    for (let at = 1; at < 400; at++) {
      const world = new World(at);
      const n1 = await world.open("n1", { bootstrap: true });
      await world.when(() => n1.node.isLeader, "n1 leads");
      const disk = world.disk("n2");
      const opening = world.open("n2", { join: ["n1:9091"], as: "learner" });
      const n2 = await opening;
      const before = disk.operations;
      disk.dieAt(before + at, new SeededRandom(at));
      await world.when(
        () => disk.successor !== undefined || n2.node.status().lastIndex > 0,
        "it died, or is done",
      );
      const isMember = n2.node.status().lastIndex > 0;
      await world.close([n2]);
      if (disk.successor !== undefined) world.disks.set("n2", disk.successor);
      const found = await new IdentityFile(world.disk("n2"), "/data/n2", crc32).read();
      states += `${found?.state} `;
      const again = await world.open("n2", { join: ["n1:9091"], as: "learner" });
      await world.when(
        () => again.node.status().configuration.learners.includes("n2"),
        `it is a member after a death at ${at}`,
      );
      expect(again.node.status().incarnation).toBe(found?.incarnation);
      await world.close([n1, again]);
      if (isMember) break;
    }
    expect(states).toMatch(/^(?:new )+(?:joining )+(?:formed )+$/);
  });
});

test("nothing stays open when opening fails half-way", async () => {
  const world = await used();
  // The address is taken: listening is the last step.
  const other = await world.open(
    "n2",
    { bootstrap: true },
    { listen: "n1:9091", advertise: "a:1" },
  );
  const error = await errorOf(world.open("n1", undefined));
  expect(error.code).toBe("LISTEN_FAILED");
  await world.close([other]);
  const again = await world.open("n1", undefined);
  expect(await world.until(again.node.read(total))).toBe(5);
  await world.close([again]);
});
