import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { diskSuite } from "./disk-suite.ts";
import { DiskError } from "./disk.ts";
import { NodeDisk, toDiskError } from "./node-disk.ts";

const made: string[] = [];

function makeDirectory(): string {
  const directory = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "quorate-disk-")));
  made.push(directory);
  return directory;
}

afterEach(() => {
  for (const directory of made.splice(0)) fs.rmSync(directory, { recursive: true, force: true });
});

async function failureOf(promise: Promise<unknown>): Promise<DiskError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof DiskError) return error;
    throw error;
  }
  throw new Error("want a rejection");
}

describe("the port", () => {
  const make = () =>
    Promise.resolve({
      disk: new NodeDisk(),
      directory: makeDirectory(),
      dispose: () => Promise.resolve(),
    });
  for (const suiteCase of diskSuite(make)) test(suiteCase.name, () => suiteCase.run());
});

describe("directories", () => {
  test("parents are made; a file in the way, or a place that takes none, is an error", async () => {
    const directory = makeDirectory();
    const disk = new NodeDisk();
    await disk.makeDirectory(join(directory, "a/b/c"));
    await disk.makeDirectory(join(directory, "a/b/c"));
    expect(await disk.list(join(directory, "a/b"))).toEqual(["c"]);
    fs.writeFileSync(join(directory, "file"), "");
    const inTheWay = await failureOf(disk.makeDirectory(join(directory, "file")));
    expect(inTheWay.reason).toBe("exists");
    await failureOf(disk.makeDirectory(join(directory, "file/below")));
  });

  test.runIf(process.platform === "linux")("where nothing can be made, it says so", async () => {
    // Node's own recursive form never comes back from here.
    const failure = await failureOf(new NodeDisk().makeDirectory("/proc/nope"));
    expect(failure.reason).toBe("not-found");
  });
});

describe("files", () => {
  test("files are 0600 and directories 0700, whatever the umask allows", async () => {
    const directory = makeDirectory();
    const disk = new NodeDisk();
    const umask = process.umask(0);
    try {
      await disk.makeDirectory(`${directory}/a/b`);
      await (await disk.open(`${directory}/a/b/file`, { mode: "create" })).close();
    } finally {
      process.umask(umask);
    }
    const modeOf = (path: string): string => (fs.statSync(path).mode & 0o777).toString(8);
    expect(modeOf(`${directory}/a`)).toBe("700");
    expect(modeOf(`${directory}/a/b`)).toBe("700");
    expect(modeOf(`${directory}/a/b/file`)).toBe("600");
  });

  test.runIf(process.platform === "linux")(
    "a data-synced file carries O_DSYNC, another does not",
    async () => {
      const directory = makeDirectory();
      const disk = new NodeDisk();
      const options = { mode: "create", urgent: true } as const;
      const files = [
        await disk.open(`${directory}/synced`, { ...options, dataSync: true }),
        await disk.open(`${directory}/plain`, options),
      ];
      expect(flagsOf(`${directory}/synced`) & fs.constants.O_DSYNC).not.toBe(0);
      expect(flagsOf(`${directory}/plain`) & fs.constants.O_DSYNC).toBe(0);
      for (const file of files) await file.close();
    },
  );

  test("errors of the operating system become reasons of the port", () => {
    const reasons = {
      ENOSPC: "full",
      EDQUOT: "full",
      ENOENT: "not-found",
      EEXIST: "exists",
      EACCES: "access",
      EPERM: "access",
      EROFS: "access",
      EIO: "io",
      EMFILE: "io",
      EISDIR: "io",
    };
    for (const [code, reason] of Object.entries(reasons)) {
      const error = Object.assign(new Error(code), { code, syscall: "write" });
      const translated = toDiskError(error, "/data/file");
      expect(translated.reason, code).toBe(reason);
      expect(translated.message).toBe(`/data/file: write: ${code}`);
      expect(translated.cause).toBe(error);
    }
    const unnamed = Object.assign(new Error("Unknown system error -122"), { errno: -122 });
    expect(toDiskError(unnamed, "/f").reason).toBe(process.platform === "linux" ? "full" : "io");
  });
});

describe("the thread pool", () => {
  test("operations that hang, and hundreds more, leave the log its thread", async () => {
    // Opening a FIFO that nobody writes to holds a thread of the pool. Eight of them would hold all
    // four, and nothing else would ever settle, if more than one were in flight.
    const directory = makeDirectory();
    const disk = new NodeDisk();
    const options = { mode: "create", dataSync: true, urgent: true } as const;
    const log = await disk.open(`${directory}/log`, options);
    fs.writeFileSync(`${directory}/small`, "abc");
    const small = await disk.open(`${directory}/small`, { mode: "read" });
    const names = Array.from({ length: 8 }, (_, i) => `${directory}/fifo${i}`);
    execFileSync("mkfifo", names);
    const order: string[] = [];
    const hanging = names.map(async (name) => {
      const file = await disk.open(name, { mode: "read" });
      order.push("fifo");
      await file.close();
    });
    const queued = Array.from({ length: 400 }, async () => {
      await small.read(new Uint8Array(3), 0);
      order.push("small");
    });

    for (let i = 0; i < 50; i++) await log.write(new Uint8Array(4096).fill(i), i * 4096);
    expect(order).toEqual([]);

    const open = fs.constants.O_RDWR | fs.constants.O_NONBLOCK;
    const writers = names.map((name) => fs.openSync(name, open));
    await Promise.all([...hanging, ...queued]);
    expect(order.slice(0, 8)).toEqual(names.map(() => "fifo"));
    for (const fd of writers) fs.closeSync(fd);
    await Promise.all([log.close(), small.close()]);
  });
});

describe("the lock", () => {
  test("names the process that holds it", async () => {
    const directory = makeDirectory();
    const lock = await new NodeDisk().lock(`${directory}/lock`);
    const error = await failureOf(new NodeDisk().lock(`${directory}/lock`));
    expect(error.reason).toBe("locked");
    expect(error.message).toContain(`locked by process ${process.pid}`);
    await lock.release();
  });

  test("leaves nothing behind, and clears away what dead processes left", async () => {
    const directory = makeDirectory();
    const stale = "lock.4711-0123456789abcdef";
    await leaveDeadSocket(`${directory}/${stale}`);
    // Also a name that never was a socket, as a restored backup may have.
    fs.writeFileSync(`${directory}/lock.4712-0123456789abcdef`, "");
    fs.writeFileSync(`${directory}/lock.txt`, "not ours");
    const lock = await new NodeDisk().lock(`${directory}/lock`);
    const names = fs.readdirSync(directory).sort();
    expect(names.length).toBe(2);
    expect(names[0]).toMatch(new RegExp(`^lock\\.${process.pid}-[0-9a-f]{16}$`));
    await lock.release();
    expect(fs.readdirSync(directory)).toEqual(["lock.txt"]);
  });

  test("holds off others while its process does not answer", async () => {
    const directory = makeDirectory();
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => {
      silent.listen(`${directory}/lock.99-0123456789abcdef`, resolve);
    });
    const error = await failureOf(new NodeDisk().lock(`${directory}/lock`));
    expect(error.message).toContain("locked by process 99, which lives but does not answer");
    silent.close();
    expect(fs.readdirSync(directory)).toEqual([]);
  });

  test("works in a directory whose path is longer than the address of a socket", async () => {
    const directory = `${makeDirectory()}/${"deep".repeat(20)}/${"er".repeat(60)}`;
    const disk = new NodeDisk();
    await disk.makeDirectory(directory);
    const lock = await disk.lock(`${directory}/lock`);
    expect((await failureOf(disk.lock(`${directory}/lock`))).reason).toBe("locked");
    expect(fs.readdirSync(directory).length).toBe(1);
    await lock.release();
    expect(fs.readdirSync(directory)).toEqual([]);
  });

  test("twenty starters in many rounds: exactly one gets it, and it is free afterwards", async () => {
    const directory = makeDirectory();
    for (let round = 0; round < 5; round++) {
      const asked = Array.from({ length: 20 }, () => new NodeDisk().lock(`${directory}/lock`));
      const answers = await Promise.allSettled(asked);
      const locks = answers.flatMap((answer) =>
        answer.status === "fulfilled" ? [answer.value] : [],
      );
      expect(locks.length).toBe(1);
      for (const lock of locks) await lock.release();
      expect(fs.readdirSync(directory)).toEqual([]);
    }
  });

  test("a directory in which nothing can be made is refused, not taken for locked", async () => {
    const error = await failureOf(new NodeDisk().lock("/proc/lock"));
    expect(["access", "not-found", "io"]).toContain(error.reason);
    expect(error.message).toContain("cannot be locked");
  });
});

function flagsOf(path: string): number {
  for (const fd of fs.readdirSync("/proc/self/fd")) {
    let target: string;
    try {
      target = fs.readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      continue; // the descriptor of the listing itself
    }
    if (target !== path) continue;
    const info = fs.readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
    return Number.parseInt(/^flags:\s*(\d+)$/m.exec(info)?.[1] ?? "0", 8);
  }
  throw new Error(`${path} is not open`);
}

/** A socket whose process is gone, as far as anyone can tell: bound, listening no more. */
async function leaveDeadSocket(path: string): Promise<void> {
  const program = `require("net").createServer().listen(${JSON.stringify(path)},
    () => process.kill(process.pid, "SIGKILL"))`;
  try {
    execFileSync(process.execPath, ["-e", program], { stdio: "ignore" });
  } catch {
    // It killed itself.
  }
  expect(fs.statSync(path).isSocket()).toBe(true);
  await Promise.resolve();
}
