/**
 * No acknowledgement leaves before its sync: seen from the kernel, in a trace of a member's system
 * calls under load. Where power can be cut this says the same as the power-cut tests in another
 * way; elsewhere it is what there is.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { COMMAND } from "../harness/child.ts";
import { ask } from "../harness/http.ts";
import { httpPortOf, takePort } from "../harness/ports.ts";
import { scratchDirectory } from "../harness/scratch.ts";
import { skipLoudly } from "../harness/skip-loudly.ts";
import { waitUntil } from "../harness/wait.ts";
import { findEarlyAnswers, parseTrace } from "../trace/system-calls.ts";
import type { Promised } from "../trace/system-calls.ts";

const CALLS = "openat,pwrite64,write,writev,fdatasync,fsync,sendto,sendmsg";
const CLIENTS = 8;
const WRITES_PER_CLIENT = 40;

test("in a trace of system calls every answer follows its data-synced write", async (context) => {
  const attempt = spawnSync("strace", ["-f", "-o", "/dev/null", "true"], { encoding: "utf8" });
  if (attempt.status !== 0) {
    const why = attempt.error?.message ?? attempt.stderr.trim();
    skipLoudly(context, `strace is not there or not permitted: ${why}`);
  }
  const directory = scratchDirectory(context);
  const trace = join(directory, "trace");
  const port = await takePort();
  const tracer = ["-f", "-qq", "-s", "65536", "-e", `trace=${CALLS}`, "-o", trace];
  const member = ["start", "--id", "n1", "--listen", `127.0.0.1:${port}`, "--bootstrap"];
  const rest = ["--data", join(directory, "n1")];
  const child = spawn("strace", [...tracer, process.execPath, COMMAND, ...member, ...rest], {
    stdio: ["ignore", "ignore", "inherit"],
    detached: true,
  });
  const ended = once(child, "exit");
  const kill = (): void => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, "SIGKILL");
  };
  context.onTestFinished(kill);

  const http = httpPortOf(port);
  await waitUntil("the traced member serves", 30_000, async () => {
    const reply = await ask({ port: http, method: "GET", path: "/health", timeoutMs: 1_000 });
    return reply.type === "reply" && reply.status === 200;
  });
  const clients = Array.from({ length: CLIENTS }, (_, client) => writeAll(http, client));
  const promised = (await Promise.all(clients)).flat();
  process.kill(-child.pid!, "SIGTERM");
  await ended;

  expect(promised.length).toBe(CLIENTS * WRITES_PER_CLIENT);
  expect(findEarlyAnswers(parseTrace(readFileSync(trace, "utf8")), promised)).toEqual([]);
});

/** Writes keys that occur nowhere else, and returns by what each answer is known. */
async function writeAll(port: number, client: number): Promise<Promised[]> {
  const promised: Promised[] = [];
  for (let i = 0; i < WRITES_PER_CLIENT; i++) {
    const token = `token-${client}-${String(i).padStart(4, "0")}`;
    const path = `/kv/${token}`;
    const reply = await ask({ port, method: "PUT", path, body: "value", timeoutMs: 20_000 });
    if (reply.type !== "reply" || reply.status !== 200) {
      throw new Error(`${token}: ${JSON.stringify(reply)}`);
    }
    // The header ends the number, so that 1 is not found in 12.
    const revision = reply.headers["x-quorate-revision"];
    promised.push({ token, answer: `x-quorate-revision: ${String(revision)}\\r\\n` });
  }
  return promised;
}
