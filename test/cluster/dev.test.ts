/**
 * `quorate dev`, as somebody meets it first: it says who leads, its lines work when pasted, Ctrl-C
 * ends everything, the data is there the next time, and nothing is ever left running.
 */
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { Child, COMMAND } from "../harness/child.ts";
import { askForReply, jsonOf } from "../harness/http.ts";
import { httpPortOf, takePort } from "../harness/ports.ts";
import { scratchDirectory } from "../harness/scratch.ts";
import { waitUntil } from "../harness/wait.ts";

const LEADS = /(n\d) leads/;
/** Promised to a user on an idle machine; the machine may be busy here, so this is twice that. */
const LEADER_MS = 20_000;
const END_MS = 12_000;

interface Dev {
  readonly data: string;
  readonly port: number;
  readonly ports: readonly number[];
  start(): Child;
}

test("names the leader; its lines work when pasted; Ctrl-C ends all; the data stays", async (context) => {
  const dev = await makeDev(context);
  const first = dev.start();
  await leads(first);
  const lines = [...first.output.matchAll(/^ {4}(curl .+)$/gm)].map((match) => match[1]!);
  expect(lines.length).toBe(5);
  if (spawnSync("curl", ["--version"]).error !== undefined) {
    context.skip("curl is not there: the printed lines cannot be pasted");
  }
  expect(JSON.parse(await paste(lines[0]!))).toMatchObject({ key: "greeting", created: true });
  expect(await paste(lines[1]!)).toBe("hello");
  expect(JSON.parse(await paste(lines[2]!))).toMatchObject({ items: [{ key: "greeting" }] });
  expect(JSON.parse(await paste(lines[4]!))).toMatchObject({ member: { id: "n1" } });

  first.signal("SIGINT");
  await endedWell(first, dev);
  const second = dev.start();
  await leads(second);
  for (const line of lines.filter((l) => l.endsWith("/kv/greeting") && l.startsWith("curl http"))) {
    expect(await paste(line)).toBe("hello");
  }
  expect(JSON.parse(await paste(lines[3]!))).toMatchObject({ deleted: true });
  second.signal("SIGINT");
  await endedWell(second, dev);
});

test("the members end when their parent is killed, and when only it is told to end", async (context) => {
  const dev = await makeDev(context);
  const killed = dev.start();
  await leads(killed);
  process.kill(killed.pid, "SIGKILL");
  await killed.ended;
  await nothingRuns(dev);

  const told = dev.start();
  await leads(told);
  process.kill(told.pid, "SIGTERM");
  await endedWell(told, dev);
});

test("Ctrl-C before anybody leads ends everything as well, a second one at once", async (context) => {
  const dev = await makeDev(context);
  const early = dev.start();
  await waitUntil("it starts its members", LEADER_MS, () =>
    /starting 3 members/.test(early.output),
  );
  early.signal("SIGINT");
  await endedWell(early, dev);

  const twice = dev.start();
  await leads(twice);
  // A member that cannot hear holds up the first Ctrl-C; the second does not wait for it.
  process.kill(await pidOf(dev, 0), "SIGSTOP");
  process.kill(twice.pid, "SIGINT");
  await waitUntil("it ends its members", END_MS, () => /ending all members/.test(twice.output));
  await waitUntil("another Ctrl-C ends it at once", END_MS, () => {
    if (twice.running) process.kill(twice.pid, "SIGINT");
    return !twice.running;
  });
  expect(await twice.ended).toEqual({ code: 130, signal: null });
  await nothingRuns(dev);
});

test("a member that crashes is started again, and it says so", async (context) => {
  const dev = await makeDev(context);
  const child = dev.start();
  await leads(child);
  const before = await pidOf(dev, 0);
  process.kill(before, "SIGKILL");
  await waitUntil("it says so", LEADER_MS, () =>
    /n1 ended by SIGKILL; starting it/.test(child.output),
  );
  await waitUntil("n1 is back", LEADER_MS, async () => (await pidOf(dev, 0)) !== before);
  child.signal("SIGINT");
  await endedWell(child, dev);
});

test("a second one on the same ports is refused in a sentence, and the first goes on", async (context) => {
  const dev = await makeDev(context);
  const first = dev.start();
  await leads(first);
  const output = join(scratchDirectory(context), "second.log");
  const second = new Child(["dev", "--port", `${dev.port}`, "--data", dev.data], output);
  context.onTestFinished(() => second.kill());
  expect((await second.ended).code).toBe(7);
  expect(second.output).toMatch(new RegExp(`127\\.0\\.0\\.1:${dev.port}.* is in use: .*--port`));
  expect(await pidOf(dev, 2)).toBeGreaterThan(0);
  first.signal("SIGINT");
  await endedWell(first, dev);
});

test("a member that can never start ends the others, with its reason", async (context) => {
  const dev = await makeDev(context);
  mkdirSync(dev.data, { recursive: true });
  writeFileSync(join(dev.data, "n2"), "a file where a directory should be");
  const child = dev.start();
  const { code } = await child.ended;
  expect(child.output).toMatch(/n2 cannot run: /);
  expect(code).toBe(6);
  await nothingRuns(dev);
});

async function makeDev(context: TestContext): Promise<Dev> {
  const root = scratchDirectory(context);
  const ports = await consecutivePorts(3);
  const data = join(root, "data");
  let starts = 0;
  const start = (): Child => {
    const output = join(root, `dev-${++starts}.log`);
    const child = new Child(["dev", "--port", `${ports[0]}`, "--data", data], output);
    context.onTestFinished(({ task }) => {
      if (task.result?.state === "fail") process.stderr.write(`${child.output}\n`);
      return child.kill();
    });
    return child;
  };
  return { data, port: ports[0]!, ports, start };
}

async function consecutivePorts(count: number): Promise<readonly number[]> {
  let run: number[] = [];
  while (run.length < count) {
    const port = await takePort();
    run = run.at(-1) === port - 1 ? [...run, port] : [port];
  }
  return run;
}

/** Waits until the whole board is there. */
async function leads(child: Child): Promise<void> {
  await waitUntil("it says who leads", LEADER_MS, () => {
    return LEADS.test(child.output) && child.output.includes("Ctrl-C ends all members");
  });
}

async function pidOf(dev: Dev, member: number): Promise<number> {
  const port = httpPortOf(dev.ports[member]!);
  const reply = await askForReply({ port, method: "GET", path: "/status", timeoutMs: 1_000 });
  return (jsonOf(reply)["member"] as { pid: number }).pid;
}

async function paste(line: string): Promise<string> {
  const { stdout } = await promisify(execFile)("sh", ["-c", line.replace("curl", "curl -sS")]);
  return stdout;
}

async function endedWell(child: Child, dev: Dev): Promise<void> {
  expect(await child.ended).toEqual({ code: 0, signal: null });
  expect(child.output).toContain("All members have ended.");
  expect(processesOf(dev)).toEqual([]);
}

async function nothingRuns(dev: Dev): Promise<void> {
  await waitUntil("no member is left", END_MS, () => processesOf(dev).length === 0);
}

/** Processes of the command with that data directory among their arguments. */
function processesOf({ data }: Dev): readonly string[] {
  return commandLines().filter((line) => line.includes(COMMAND) && line.includes(`${data}/`));
}

function commandLines(): readonly string[] {
  if (!existsSync("/proc/self/cmdline")) {
    return execFileSync("ps", ["-Ao", "args="]).toString().split("\n");
  }
  return readdirSync("/proc").flatMap((name) => {
    try {
      return /^\d+$/.test(name) ? [readFileSync(`/proc/${name}/cmdline`, "utf8")] : [];
    } catch {
      return []; // it has ended since
    }
  });
}
