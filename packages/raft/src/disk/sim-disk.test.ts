import { describe, expect, test } from "vitest";
import { SeededRandom } from "../util/random.ts";
import { diskSuite } from "./disk-suite.ts";
import { DiskError } from "./disk.ts";
import type { DiskReason } from "./disk.ts";
import { SimDisk } from "./sim-disk.ts";

const DIR = "/data";

async function madeDisk(disk = new SimDisk()): Promise<SimDisk> {
  await disk.makeDirectory(DIR);
  await disk.syncDirectory("/");
  return disk;
}

function filled(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}

/** A file of one value, as length and value. */
function shown(bytes: Uint8Array): string {
  return bytes.every((byte) => byte === bytes[0]) ? `${bytes.length}x${bytes[0]}` : "mixed";
}

async function reasonOf(promise: Promise<unknown>): Promise<DiskReason | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    if (error instanceof DiskError) return error.reason;
    throw error;
  }
}

/** The results of one experiment over many seeds. */
async function outcomes(run: (seed: number) => Promise<string>): Promise<Set<string>> {
  const seen = new Set<string>();
  for (let seed = 0; seed < 200; seed++) seen.add(await run(seed));
  return seen;
}

describe("the port", () => {
  const make = async () => ({
    disk: await madeDisk(),
    directory: DIR,
    dispose: () => Promise.resolve(),
  });
  for (const suiteCase of diskSuite(make)) test(suiteCase.name, () => suiteCase.run());
});

describe("power loss", () => {
  test("keeps what was synced, in every case", async () => {
    const seen = await outcomes(async (seed) => {
      const disk = await madeDisk();
      const a = await disk.open("/data/a", { mode: "create" });
      await a.write(filled(1100, 1), 0);
      await a.sync();
      const b = await disk.open("/data/b", { mode: "create", dataSync: true });
      await b.write(filled(1100, 2), 0);
      await disk.syncDirectory(DIR);
      const after = disk.crash(new SeededRandom(seed));
      return `${shown(after.image("/data/a"))} ${shown(after.image("/data/b"))}`;
    });
    expect([...seen]).toEqual(["1100x1 1100x2"]);
  });

  test("keeps any subset of the sectors that were not synced", async () => {
    const seen = await outcomes(async (seed) => {
      const disk = await madeDisk();
      disk.place("/data/a", filled(2048, 0));
      const file = await disk.open("/data/a", { mode: "write" });
      await file.write(filled(2048, 1), 0);
      const image = disk.crash(new SeededRandom(seed)).image("/data/a");
      const sectors = [0, 1, 2, 3].map((s) => image.subarray(s * 512, s * 512 + 512));
      for (const sector of sectors) expect(new Set(sector).size).toBe(1);
      return sectors.map((sector) => sector[0]).join("");
    });
    expect(seen.size).toBe(16);
  });

  test("may lose the growth of a file, or keep the size without the data", async () => {
    const seen = await outcomes(async (seed) => {
      const disk = await madeDisk();
      disk.place("/data/a", filled(512, 1));
      const file = await disk.open("/data/a", { mode: "write" });
      await file.write(filled(512, 1), 512);
      const image = disk.crash(new SeededRandom(seed)).image("/data/a");
      if (image.length !== 512 && image.length !== 1024) return "between";
      return `${image.length}:${image[image.length - 1]}`;
    });
    expect([...seen].sort()).toEqual(["1024:0", "1024:1", "512:1", "between"]);
  });

  test("a data-synced write keeps itself and its size, but not the writes of others", async () => {
    const seen = await outcomes(async (seed) => {
      const disk = await madeDisk();
      disk.place("/data/a", filled(2048, 0));
      const plain = await disk.open("/data/a", { mode: "write" });
      const synced = await disk.open("/data/a", { mode: "write", dataSync: true });
      await plain.write(filled(512, 1), 0);
      await synced.write(filled(512, 2), 2048);
      const image = disk.crash(new SeededRandom(seed)).image("/data/a");
      return `${image.length}:${image[0]}:${image[2048]}`;
    });
    expect([...seen].sort()).toEqual(["2560:0:2", "2560:1:2"]);
  });

  test("tears a data-synced write that was in flight", async () => {
    const seen = await outcomes(async (seed) => {
      const disk = await madeDisk();
      disk.place("/data/a", filled(1024, 0));
      const file = await disk.open("/data/a", { mode: "write", dataSync: true, urgent: true });
      disk.dieAt(disk.operations + 1, new SeededRandom(seed));
      expect(await reasonOf(file.write(filled(1024, 1), 0))).toBe("closed");
      const image = disk.successor!.image("/data/a");
      return `${image[0]}${image[512]}`;
    });
    expect([...seen].sort()).toEqual(["00", "01", "10", "11"]);
  });

  test("may lose names until their directory was synced", async () => {
    const seen = await outcomes(async (seed) => {
      const disk = await madeDisk();
      for (const name of ["kept", "a", "b"]) {
        const file = await disk.open(`/data/${name}`, { mode: "create" });
        await file.write(filled(1, 1), 0);
        await file.sync();
        if (name === "kept") await disk.syncDirectory(DIR);
      }
      return (await disk.crash(new SeededRandom(seed)).list(DIR)).join();
    });
    expect([...seen].sort()).toEqual(["a,b,kept", "a,kept", "b,kept", "kept"]);
  });

  test("undoes a rename as a whole or keeps it as a whole", async () => {
    const seen = await outcomes(async (seed) => {
      const disk = await madeDisk();
      disk.place("/data/a", filled(1, 1));
      disk.place("/data/b", filled(1, 2));
      await disk.rename("/data/b", "/data/a");
      const after = disk.crash(new SeededRandom(seed));
      return after
        .paths()
        .map((path) => `${path}=${after.image(path)[0]}`)
        .join();
    });
    expect([...seen].sort()).toEqual(["/data/a=1,/data/b=2", "/data/a=2"]);
  });

  test("a renamed file that was never synced may be there and empty", async () => {
    const seen = await outcomes(async (seed) => {
      const disk = await madeDisk();
      const file = await disk.open("/data/t", { mode: "create" });
      await file.write(filled(100, 1), 0);
      await disk.rename("/data/t", "/data/a");
      await disk.syncDirectory(DIR);
      return String(disk.crash(new SeededRandom(seed)).image("/data/a").length > 0);
    });
    expect([...seen].sort()).toEqual(["false", "true"]);
  });

  test("may lose a directory that was not synced, with all that is in it", async () => {
    const seen = await outcomes(async (seed) => {
      const disk = new SimDisk();
      await disk.makeDirectory("/x/y");
      await (await disk.open("/x/y/a", { mode: "create" })).close();
      await disk.syncDirectory("/x/y");
      const after = disk.crash(new SeededRandom(seed));
      return [await after.exists("/x"), await after.exists("/x/y"), after.paths().length].join();
    });
    expect([...seen].sort()).toEqual(["false,false,0", "true,false,0", "true,true,1"]);
  });

  test("may bring a removed file back", async () => {
    const seen = await outcomes(async (seed) => {
      const disk = await madeDisk();
      disk.place("/data/a", filled(1, 1));
      await disk.remove("/data/a");
      return disk.crash(new SeededRandom(seed)).paths().join();
    });
    expect([...seen].sort()).toEqual(["", "/data/a"]);
  });

  test("ends open files, locks and everything in flight, and the old disk touches nothing", async () => {
    const disk = await madeDisk();
    const file = await disk.open("/data/a", { mode: "create" });
    await disk.syncDirectory(DIR);
    await disk.lock("/data/lock");
    disk.stall();
    const pending = [file.write(filled(1, 1), 0), file.sync(), disk.remove("/data/a")];
    const after = disk.crash(new SeededRandom(1));
    for (const promise of pending) expect(await reasonOf(promise)).toBe("closed");
    expect(await reasonOf(file.read(new Uint8Array(1), 0))).toBe("closed");
    expect(await reasonOf(disk.list(DIR))).toBe("closed");
    await file.close();
    expect(await after.list(DIR)).toEqual(["a"]);
    await (await after.lock("/data/lock")).release();
    expect(() => disk.crash(new SeededRandom(2))).toThrow(/dead already/);
  });

  test("comes at the operation that is described, and sees which open makes a file", async () => {
    const disk = await madeDisk();
    const seen: string[] = [];
    disk.dieWhen(({ kind, path, creates, bytes }) => {
      seen.push(`${kind} ${path} ${bytes}${creates ? " creates" : ""}`);
      return kind === "write" && bytes > 600;
    }, new SeededRandom(1));
    const file = await disk.open("/data/a", { mode: "create" });
    await disk.open("/data/a", { mode: "read" });
    await file.write(filled(600, 1), 0);
    expect(disk.successor).toBeUndefined();
    expect(await reasonOf(file.write(filled(601, 1), 0))).toBe("closed");
    expect(disk.successor).toBeDefined();
    const opened = ["open /data/a 0 creates", "open /data/a 0"];
    expect(seen).toEqual([...opened, "write /data/a 600", "write /data/a 601"]);
  });

  test("settles nothing where it is to be silent, and says at once that it came", async () => {
    const disk = await madeDisk(new SimDisk({ silentDeath: true }));
    const file = await disk.open("/data/a", { mode: "create", urgent: true });
    let settled = 0;
    let deaths = 0;
    const watch = (promise: Promise<unknown>): void => {
      const count = (): void => void settled++;
      promise.then(count, count);
    };
    disk.dieAt(disk.operations + 2, new SeededRandom(1), "kill", () => deaths++);
    watch(disk.list(DIR));
    watch(disk.exists(DIR));
    expect(deaths).toBe(0);
    watch(file.write(filled(1, 1), 0));
    expect(deaths).toBe(1);
    watch(file.sync());
    watch(disk.list(DIR));
    for (let i = 0; i < 20; i++) await Promise.resolve();
    expect(settled).toBe(0);
    expect(await disk.successor!.list(DIR)).toEqual(["a"]);
  });

  test("is the same for the same seed", async () => {
    const run = async (seed: number): Promise<string> => {
      const disk = await madeDisk();
      const file = await disk.open("/data/a", { mode: "create" });
      await disk.syncDirectory(DIR);
      await file.write(filled(20_000, 1), 0);
      return String(disk.crash(new SeededRandom(seed)).image("/data/a"));
    };
    for (let seed = 0; seed < 20; seed++) expect(await run(seed)).toBe(await run(seed));
  });
});

describe("death of the process", () => {
  test("keeps the page cache, synced or not, and a later power loss may take it", async () => {
    const disk = await madeDisk();
    const file = await disk.open("/data/a", { mode: "create" });
    await file.write(filled(600, 1), 0);
    const lost = await outcomes(async (seed) => {
      const after = disk.clone().kill(new SeededRandom(seed));
      expect(shown(after.image("/data/a"))).toBe("600x1");
      return String(after.crash(new SeededRandom(seed)).paths().length);
    });
    expect([...lost].sort()).toEqual(["0", "1"]);
    expect(await reasonOf(file.sync())).toBeUndefined();
  });

  test("leaves a write in flight undone, done or begun", async () => {
    const seen = await outcomes(async (seed) => {
      const disk = await madeDisk();
      const file = await disk.open("/data/a", { mode: "create" });
      disk.dieAt(disk.operations + 1, new SeededRandom(seed), "kill");
      expect(await reasonOf(file.write(filled(100, 1), 0))).toBe("closed");
      const image = disk.successor!.image("/data/a");
      expect(image).toEqual(filled(image.length, 1));
      return image.length === 0 ? "undone" : image.length === 100 ? "done" : "begun";
    });
    expect([...seen].sort()).toEqual(["begun", "done", "undone"]);
  });

  test("a clone is independent of its origin", async () => {
    const disk = await madeDisk();
    disk.place("/data/a", filled(10, 1));
    const clone = disk.clone();
    await (await clone.open("/data/a", { mode: "write" })).write(filled(10, 2), 0);
    await clone.remove("/data/a");
    expect(disk.image("/data/a")).toEqual(filled(10, 1));
  });
});

describe("faults", () => {
  test("every operation is numbered and shown before it starts", async () => {
    const seen: string[] = [];
    const disk = new SimDisk({
      beforeOperation: ({ n, kind, path, bytes, urgent }) => {
        seen.push([n, kind, path, bytes, urgent].join(" "));
        return undefined;
      },
    });
    await disk.makeDirectory(DIR);
    const file = await disk.open("/data/a", { mode: "create", urgent: true });
    await file.write(filled(7, 1), 0);
    await file.close();
    expect(seen).toEqual([
      "1 makeDirectory /data 0 false",
      "2 open /data/a 0 false",
      "3 write /data/a 7 true",
    ]);
    expect(disk.operations).toBe(3);
  });

  test("a failed sync drops the pages, the next one succeeds, and the data is gone", async () => {
    const disk = await madeDisk();
    disk.place("/data/a", filled(512, 1));
    const file = await disk.open("/data/a", { mode: "write" });
    await file.write(filled(512, 2), 0);
    disk.beforeOperation = ({ kind }) => (kind === "sync" ? { reason: "io" } : undefined);
    expect(await reasonOf(file.sync())).toBe("io");
    disk.beforeOperation = undefined;
    await file.sync();
    expect(disk.image("/data/a")[0]).toBe(2);
    const clone = disk.clone();
    clone.dropCaches();
    expect(clone.image("/data/a")[0]).toBe(1);
    for (let seed = 0; seed < 20; seed++) {
      expect(disk.clone().crash(new SeededRandom(seed)).image("/data/a")[0]).toBe(1);
    }
  });

  test("a failed data-synced write looks written until the power goes", async () => {
    const states = { none: [1, 1], some: [2, 1], all: [2, 2] } as const;
    for (const effect of ["none", "some", "all"] as const) {
      const disk = await madeDisk();
      disk.place("/data/a", filled(1024, 1));
      const file = await disk.open("/data/a", { mode: "write", dataSync: true });
      disk.beforeOperation = () => ({ reason: "io", effect });
      expect(await reasonOf(file.write(filled(1024, 2), 0))).toBe("io");
      disk.beforeOperation = undefined;
      await file.sync();
      expect(disk.image("/data/a")).toEqual(filled(1024, 2));
      const left = disk.crash(new SeededRandom(1)).image("/data/a");
      expect([left[0], left[512]], effect).toEqual(states[effect]);
    }
  });

  test("a failed directory sync loses the names behind the back of the next one", async () => {
    const disk = await madeDisk();
    await (await disk.open("/data/a", { mode: "create" })).close();
    disk.beforeOperation = () => ({ reason: "io" });
    expect(await reasonOf(disk.syncDirectory(DIR))).toBe("io");
    disk.beforeOperation = undefined;
    await disk.syncDirectory(DIR);
    expect(disk.paths()).toEqual(["/data/a"]);
    for (let seed = 0; seed < 20; seed++) {
      expect(disk.clone().crash(new SeededRandom(seed)).paths()).toEqual([]);
    }
  });

  test("a full disk writes what fits, and goes on when there is room again", async () => {
    const disk = await madeDisk(new SimDisk({ capacityBytes: 2048 }));
    const file = await disk.open("/data/a", { mode: "create" });
    await file.write(filled(1000, 1), 0);
    expect(disk.usedBytes).toBe(1024);
    expect(await reasonOf(file.write(filled(1500, 2), 1000))).toBe("full");
    expect(await file.size()).toBe(2048);
    await file.write(filled(2048, 3), 0);
    expect(await reasonOf(file.write(filled(1, 1), 2048))).toBe("full");
    await file.truncate(512);
    await file.write(filled(1536, 4), 512);
    const other = await disk.open("/data/b", { mode: "create" });
    expect(await reasonOf(other.write(filled(1, 1), 0))).toBe("full");
    await disk.remove("/data/a");
    await other.write(filled(2048, 1), 0);
    await other.truncate(100_000);
    expect(disk.usedBytes).toBe(2048);
  });

  test("an injected full leaves the file alone", async () => {
    const disk = await madeDisk();
    const file = await disk.open("/data/a", { mode: "create", dataSync: true });
    disk.beforeOperation = () => ({ reason: "full" });
    expect(await reasonOf(file.write(filled(1, 1), 0))).toBe("full");
    disk.beforeOperation = undefined;
    expect(await file.size()).toBe(0);
  });

  test("bits rot on the medium, and sectors become unreadable until written again", async () => {
    const disk = await madeDisk();
    disk.place("/data/a", filled(1024, 1));
    disk.flip("/data/a", 700, 0x80);
    disk.spoil("/data/a", 0, 1);
    const after = disk.crash(new SeededRandom(1));
    const file = await after.open("/data/a", { mode: "write" });
    const into = new Uint8Array(512);
    expect(await reasonOf(file.read(into, 0))).toBe("io");
    expect(await file.read(into, 512)).toBe(512);
    expect(into[188]).toBe(0x81);
    await file.write(filled(512, 3), 0);
    expect(await file.read(into, 0)).toBe(512);
  });

  test("a caller that changes the bytes of a write in flight is caught", async () => {
    const disk = await madeDisk();
    const file = await disk.open("/data/a", { mode: "create", urgent: true });
    const bytes = filled(10, 1);
    const write = file.write(bytes, 0);
    bytes[0] = 2;
    await expect(write).rejects.toThrow(/were changed/);
  });
});

describe("timing", () => {
  test("a stall holds everything, and urgent operations may end in another order", async () => {
    const disk = await madeDisk();
    const file = await disk.open("/data/a", { mode: "create", urgent: true });
    const orders = await outcomes(async (seed) => {
      const order: number[] = [];
      disk.stall();
      const writes = [0, 1, 2].map((i) =>
        file.write(filled(1, i), i).then(() => void order.push(i)),
      );
      await Promise.resolve();
      await Promise.resolve();
      expect(order).toEqual([]);
      disk.resume(new SeededRandom(seed));
      await Promise.all(writes);
      return order.join("");
    });
    expect(orders.size).toBe(6);
  });

  test("the scheduler decides when an operation takes effect", async () => {
    const tasks: (() => void)[] = [];
    const disk = new SimDisk({ complete: (task) => void tasks.push(task) });
    const made = disk.makeDirectory(DIR);
    await Promise.resolve();
    await Promise.resolve();
    expect(tasks.length).toBe(1);
    const seen = disk.clone();
    tasks[0]?.();
    await made;
    const listed = seen.list("/");
    await Promise.resolve();
    tasks[1]?.();
    expect(await listed).toEqual([]);
  });
});
