/**
 * The recipes on real processes, while members are killed and frozen: a lock that never has two
 * owners, a job that runs once per interval, a counter that is exact.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { takePort } from "../harness/ports.ts";
import { forgetGroup, watchGroup } from "../harness/reaper.ts";
import { scratchDirectory } from "../harness/scratch.ts";
import { waitUntil } from "../harness/wait.ts";
import { compileProgram } from "../power-cut/compile.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const PROGRAM = join(ROOT, "test/harness/recipes-process.ts");
const ROUNDS = process.env["QUORATE_LONG"] === "1" ? 30 : 4;
const ENTRIES_PER_ROUND = 40;
/** Longer than the lock of a member that dies, or stands still, is kept for it. */
const LOCK_MS = 1_500;

interface Line {
  readonly ns: bigint;
  readonly member: string;
  readonly word: string;
  readonly numbers: readonly number[];
}

test(
  "a lock has one owner, a job one run per interval, and a counter is exact, whoever dies",
  { timeout: 60_000 + ROUNDS * 10_000 },
  async (context) => {
    const cluster = await Members.make(context);
    const stills: { member: string; from: bigint; to: bigint }[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await cluster.works();
      const [member] = cluster.owner();
      if (round % 2 === 0) {
        await member.kill();
        stills.push({ member: member.id, from: now(), to: now() });
        member.start();
      } else {
        const from = now();
        member.signal("SIGSTOP");
        await sleep(2 * LOCK_MS);
        member.signal("SIGCONT");
        stills.push({ member: member.id, from, to: now() });
      }
    }
    await cluster.works();
    const count = await cluster.stop();
    await cluster.end();
    const lines = cluster.lines();

    const entries = lines.filter(({ word }) => word === "enter");
    const fences = entries.map(({ numbers }) => numbers[0]!);
    expect(fences).toEqual([...new Set(fences)].sort((a, b) => a - b));
    expect(overlaps(lines, stills)).toEqual([]);

    const times = (word: string): number => lines.filter((line) => line.word === word).length;
    expect(count).toBeGreaterThanOrEqual(times("added"));
    // One more for each that died before it could say so.
    expect(count).toBeLessThanOrEqual(times("added") + times("unknown") + ROUNDS);

    const jobs = lines.filter(({ word }) => word === "run").map(({ numbers }) => numbers);
    const numbers = jobs.map(([run]) => run!);
    expect(new Set(numbers).size).toBe(numbers.length);
    const byRun = jobs.toSorted((a, b) => a[0]! - b[0]!).map(([, fence]) => fence!);
    expect(byRun).toEqual(byRun.toSorted((a, b) => a - b));
    expect(numbers.length).toBeGreaterThan(ROUNDS * 5);
    await context.annotate(`${entries.length} times under the lock, ${numbers.length} runs`);
  },
);

/** Work under the lock that began while another member was at it and could act. */
function overlaps(
  lines: readonly Line[],
  stills: ReadonlyArray<{ readonly member: string; readonly from: bigint; readonly to: bigint }>,
): readonly string[] {
  const found: string[] = [];
  let open: Line | undefined;
  for (const line of lines) {
    if (line.word === "enter") {
      // Who died or stood still under the lock could not leave it in time: the fence tells.
      const wasStill =
        open !== undefined &&
        stills.some(({ member, to }) => member === open!.member && to >= open!.ns);
      if (open !== undefined && !wasStill) found.push(`${open.numbers[0]}, ${line.numbers[0]}`);
      open = line;
    } else if (["leave", "lost"].includes(line.word) && open?.numbers[0] === line.numbers[0]) {
      open = undefined;
    }
  }
  return found;
}

function now(): bigint {
  return process.hrtime.bigint();
}

/** One process after the other on a directory of its own. */
class Member {
  readonly id: string;
  readonly #program: string;
  readonly #directory: string;
  readonly #list: string;
  #child: ChildProcess | undefined;

  constructor(id: string, program: string, directory: string, list: string) {
    this.id = id;
    this.#program = program;
    this.#directory = directory;
    this.#list = list;
  }

  get output(): string {
    return readFileSync(join(this.#directory, `${this.id}.log`), "utf8");
  }

  start(): void {
    const output = openSync(join(this.#directory, `${this.id}.log`), "a", 0o600);
    const data = join(this.#directory, this.id);
    const child = spawn(process.execPath, [this.#program, this.id, data, this.#list], {
      detached: true,
      stdio: ["ignore", output, output],
    });
    closeSync(output);
    const { pid } = child;
    if (pid === undefined) throw new Error("the process could not be started");
    watchGroup(pid);
    child.on("exit", () => forgetGroup(pid));
    this.#child = child;
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGKILL");
    await ended;
  }
}

class Members {
  readonly all: readonly Member[];

  static async make(context: TestContext): Promise<Members> {
    const directory = scratchDirectory(context);
    const into = join(ROOT, "test/.scratch", `recipes-${process.pid}`);
    mkdirSync(into, { recursive: true });
    context.onTestFinished(() => rmSync(into, { recursive: true, force: true }));
    const program = await compileProgram(PROGRAM, into);
    const list: { id: string; address: string }[] = [];
    for (const id of ["n1", "n2", "n3"]) {
      list.push({ id, address: `127.0.0.1:${await takePort()}` });
    }
    const text = JSON.stringify(list);
    const members = new Members(list.map(({ id }) => new Member(id, program, directory, text)));
    context.onTestFinished(() => members.end());
    for (const member of members.all) member.start();
    return members;
  }

  constructor(all: readonly Member[]) {
    this.all = all;
  }

  /** Waits until all members have worked for a while. */
  async works(): Promise<void> {
    const count = (word: string): number =>
      this.lines().filter((line) => line.word === word).length;
    const entries = count("enter") + ENTRIES_PER_ROUND;
    const runs = count("run") + 5;
    await waitUntil(
      "work goes on",
      30_000,
      () => count("enter") >= entries && count("run") >= runs,
    );
  }

  /** Has all members stop their work, and gives what the counter shows then. */
  async stop(): Promise<number> {
    const found = (word: string): readonly Line[] =>
      this.lines().filter((line) => line.word === word);
    for (const member of this.all) member.signal("SIGUSR2");
    await waitUntil("all stop", 30_000, () => found("stopped").length === this.all.length);
    this.all[0]!.signal("SIGUSR2");
    return waitUntil("n1 counts", 10_000, () => found("count")[0]?.numbers[0]);
  }

  /** Who entered last. */
  owner(): [Member] {
    const last = this.lines().findLast(({ word }) => word === "enter");
    return [this.all.find(({ id }) => id === last?.member) ?? this.all[0]!];
  }

  async end(): Promise<void> {
    await Promise.all(this.all.map((member) => member.kill()));
  }

  /** What all have said, in the order of time. */
  lines(): readonly Line[] {
    const lines = this.all.flatMap(({ id, output }) =>
      output
        .split("\n")
        .slice(0, -1)
        .map((text) => lineOf(id, text)),
    );
    return lines.sort((a, b) => (a.ns < b.ns ? -1 : 1));
  }
}

function lineOf(member: string, text: string): Line {
  const [ns, word, ...rest] = text.split(" ");
  if (!/^\d+$/.test(ns ?? "") || word === undefined) throw new Error(`${member} says ${text}`);
  return { ns: BigInt(ns!), member, word, numbers: rest.map(Number) };
}
