/**
 * Installs what package-lock.json asks for, and builds, as far as that is not done yet; says so
 * where it takes a while. Every start script begins with this, and several may be started at once:
 * the first takes a lock, the others wait for it, and then find nothing to do.
 *
 * The lock is a directory, which only one can make. Who holds it touches it every second: where that
 * stops for long the holder was killed, and the lock is nobody's.
 */
import { spawn } from "node:child_process";
import { mkdirSync, rmdirSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const ROOT = join(import.meta.dirname, "..");
const LOCK = join(ROOT, ".ready.lock");
const TOUCH_MS = 1_000;
const POLL_MS = 100;
const SAY_MS = 2_000;
/** Not touched for so long: its holder is gone. */
const ABANDONED_MS = 10_000;

await takeLock();
const touching = setInterval(() => quietly(touchLock), TOUCH_MS);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));
process.on("exit", () => quietly(removeLock));
if (modified("node_modules/.package-lock.json") < modified("package-lock.json")) {
  say("Installing what is needed and building, once: this takes half a minute.");
  await run("npm ci --no-audit --no-fund --loglevel=error");
}
// The script "build"; without npm in between, which takes longer than finding nothing to do.
await run(`"${join(ROOT, "node_modules/.bin/tsc")}" -b`);
clearInterval(touching);

async function takeLock() {
  const beganMs = performance.now();
  let [touchedMs, sinceMs, isTold] = [0, beganMs, false];
  for (;;) {
    try {
      mkdirSync(LOCK);
      return;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const nowMs = performance.now();
    const lastMs = modified(".ready.lock");
    if (lastMs !== touchedMs) [touchedMs, sinceMs] = [lastMs, nowMs];
    else if (nowMs - sinceMs > ABANDONED_MS) quietly(removeLock);
    if (!isTold && nowMs - beganMs > SAY_MS) {
      say("Waiting for another start, which installs or builds.");
      isTold = true;
    }
    await sleep(POLL_MS);
  }
}

function touchLock() {
  utimesSync(LOCK, new Date(), new Date());
}

function removeLock() {
  rmdirSync(LOCK);
}

/** Somebody else may have removed the lock: who was frozen for long has lost it. */
function quietly(act) {
  try {
    act();
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
}

/** Ends the process where the command fails; it has said why. */
async function run(command) {
  const child = spawn(command, { cwd: ROOT, shell: true, stdio: ["ignore", 2, 2] });
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (code !== 0) process.exit(code ?? 1);
}

/** When it was changed; 0 where it is not there. */
function modified(name) {
  return statSync(join(ROOT, name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function say(line) {
  process.stderr.write(`${line}\n`);
}
