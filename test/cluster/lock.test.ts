/**
 * The lock of a data directory, between real processes: it keeps a second one off, also from
 * another network name space and while its holder is stopped, and it ends with its holder.
 */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { scratchDirectory } from "../harness/scratch.ts";
import { skipLoudly } from "../harness/skip-loudly.ts";

const BUILT = resolve(import.meta.dirname, "../../packages/raft/dist/disk/node-disk.js");

const PRELUDE = `
import { NodeDisk } from ${JSON.stringify(pathToFileURL(BUILT).href)};
import * as fs from "node:fs";
const path = process.argv[1];
const say = (line) => fs.writeSync(1, line + "\\n");
process.stdin.resume();
process.stdin.on("end", () => process.exit());
`;

/** Takes the lock and keeps it until its standard input ends. */
const HOLDER = `${PRELUDE}
try {
  await new NodeDisk().lock(path);
  say("held");
} catch (error) {
  say(error.reason + " " + error.message);
  process.exit();
}
`;

/** Takes and releases the lock for ever, and checks that it is alone while it holds it. */
const CONTENDER = `${PRELUDE}
const disk = new NodeDisk();
const marker = path + "-marker";
// A killed process has let go of the lock a little before it counts as gone.
const lives = (pid) => {
  try {
    return !/\\) [ZX] /.test(fs.readFileSync("/proc/" + pid + "/stat", "utf8"));
  } catch {
    return false;
  }
};
const holderByMarker = () => {
  try { return Number(fs.readFileSync(marker, "utf8")); } catch { return 0; }
};
for (;;) {
  let lock;
  try {
    lock = await disk.lock(path);
  } catch (error) {
    if (error.reason !== "locked") { say("wrong " + error.message); process.exit(); }
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 4));
    continue;
  }
  const other = holderByMarker();
  while (other !== 0 && lives(other) && holderByMarker() === other) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  // Only a living holder takes its marker away.
  if (holderByMarker() !== other) { say("wrong: " + other + " holds it as well"); process.exit(); }
  if (other !== 0) fs.unlinkSync(marker);
  fs.writeFileSync(marker + process.pid, String(process.pid));
  fs.linkSync(marker + process.pid, marker);
  fs.unlinkSync(marker + process.pid);
  say("held");
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 6));
  if (holderByMarker() !== process.pid) { say("wrong marker"); process.exit(); }
  fs.unlinkSync(marker);
  await lock.release();
}
`;

interface Process {
  readonly child: ChildProcess;
  readonly pid: number;
  /** The next line it says; undefined after its end. */
  line(): Promise<string | undefined>;
  kill(): Promise<void>;
}

function start(context: TestContext, program: string, path: string, wrapper: string[] = []) {
  if (!existsSync(BUILT)) throw new Error("the packages are not built: run `npm run build`");
  const [command = process.execPath, ...rest]: string[] = [...wrapper, process.execPath];
  const args = [...rest, "--input-type=module", "-e", program, path];
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => {});
  const ended = once(child, "exit");
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  context.onTestFinished(kill);
  const line = async (): Promise<string | undefined> => {
    const next = await lines.next();
    return next.done === true ? undefined : next.value;
  };
  return { child, pid: child.pid ?? 0, line, kill } satisfies Process;
}

test("a second process is refused and told who holds the lock", async (context) => {
  const path = join(scratchDirectory(context), "lock");
  const holder = start(context, HOLDER, path);
  expect(await holder.line()).toBe("held");
  const began = performance.now();
  const second = start(context, HOLDER, path);
  expect(await second.line()).toBe(`locked ${path}: locked by process ${holder.pid}`);
  expect(performance.now() - began).toBeLessThan(10_000);
});

test("the lock is free the moment its holder was killed, fifteen times in a row", async (context) => {
  const path = join(scratchDirectory(context), "lock");
  let holder = start(context, HOLDER, path);
  for (let round = 0; round < 15; round++) {
    expect(await holder.line()).toBe("held");
    await holder.kill();
    holder = start(context, HOLDER, path);
  }
  expect(await holder.line()).toBe("held");
});

test("a stopped process keeps its lock", async (context) => {
  const path = join(scratchDirectory(context), "lock");
  const holder = start(context, HOLDER, path);
  expect(await holder.line()).toBe("held");
  holder.child.kill("SIGSTOP");
  const second = start(context, HOLDER, path);
  expect(await second.line()).toContain(`locked by process ${holder.pid}, which lives`);
});

test("another network name space is kept off as well", async (context) => {
  if (spawnSync("unshare", ["-n", "true"]).status !== 0) {
    skipLoudly(context, "`unshare -n` is not permitted or not there: run as root on Linux");
  }
  const path = join(scratchDirectory(context), "lock");
  const holder = start(context, HOLDER, path);
  expect(await holder.line()).toBe("held");
  const second = start(context, HOLDER, path, ["unshare", "-n"]);
  expect(await second.line()).toBe(`locked ${path}: locked by process ${holder.pid}`);
});

test("among processes that come, go and are killed, never two hold it", async (context) => {
  const path = join(scratchDirectory(context), "lock");
  const wrong: string[] = [];
  let held = 0;
  let kills = 0;
  const until = performance.now() + 4_000;
  const live = async (seat: number): Promise<void> => {
    while (performance.now() < until) {
      const contender = start(context, CONTENDER, path);
      const quota = 2 + ((seat * 7 + kills * 3) % 9);
      for (let n = 0; n < quota && performance.now() < until; n++) {
        const line = await contender.line();
        if (line === "held") held++;
        else wrong.push(line ?? "it ended by itself");
        if (line !== "held") break;
      }
      // It dies while it holds the lock, releases it, or asks for it again.
      await contender.kill();
      kills++;
    }
  };
  await Promise.all([0, 1, 2, 3].map(live));
  expect(wrong).toEqual([]);
  expect(kills).toBeGreaterThan(10);
  expect(held).toBeGreaterThan(kills);
});
