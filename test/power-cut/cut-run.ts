/**
 * Cuts the power under a program again and again; a judge compares what the program finds
 * afterwards with what it had said was durable.
 *
 * The program says "ready" when it is loaded, and begins with the line "open <directory> <round>".
 * What it writes while it runs is one line per event for its judge; "failed" says that it met an
 * error, which is right once the power is gone and wrong before.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { SeededRandom } from "../../packages/raft/src/util/random.ts";
import type { Ext4Volume } from "./ext4-volume.ts";

/** Knows what must be there. */
export interface Judge {
  /** One line for each thing that must not be. */
  readonly losses: string[];
  /** How much was acknowledged so far. */
  readonly acknowledged: number;
  /** Takes one line of the program; whether it was an acknowledgement. */
  hear(line: string, round: number): boolean;
  /** The program begins with an empty directory. */
  startAnew(): void;
}

/** What to run, how, and how often. */
export interface CutOptions {
  readonly volume: Ext4Volume;
  /** The compiled program. */
  readonly program: string;
  readonly args?: readonly string[];
  readonly judge: Judge;
  readonly cuts: number;
  readonly seed: number;
  /** After so many rounds the directory is removed, so that beginnings are cut as well. */
  readonly roundsPerDirectory: number;
  /** Hears how many cuts there were. */
  readonly progress?: (cuts: number) => void;
  /** Ends the run at the first loss. */
  readonly untilLoss?: boolean;
}

/** Runs rounds of load and cut on one volume; returns how many there were. */
export async function runCuts(options: CutOptions): Promise<number> {
  const { volume, cuts, judge, roundsPerDirectory } = options;
  const random = new SeededRandom(options.seed);
  const directory = join(volume.mountPoint, "data");
  let round = 0;
  let next = new Program(options);
  try {
    while (round < cuts && !(options.untilLoss === true && judge.losses.length > 0)) {
      if (round % roundsPerDirectory === 0) {
        rmSync(directory, { recursive: true, force: true });
        judge.startAnew();
      }
      round++;
      const program = next;
      next = new Program(options);
      await program.begin(directory, round);
      // Mostly under load, now and then at some moment of the beginning.
      if (random.below(6) > 0) await program.follow(judge, round, 1 + random.below(60));
      else await delay(random.below(25));
      await volume.cut(random.below(4) === 0 ? "logflush" : "nologflush");
      await program.kill();
      // What it said before the power went still counts.
      await program.follow(judge, round, undefined);
      await volume.restore();
      options.progress?.(round);
    }
  } finally {
    await next.kill();
  }
  return round;
}

/** One process of the program. */
class Program {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #lines: AsyncIterator<string>;

  constructor({ program, args = [] }: CutOptions) {
    const child = spawn(process.execPath, [program, ...args], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    child.stdin.on("error", () => {});
    this.#child = child;
    this.#ended = once(child, "exit");
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  async begin(directory: string, round: number): Promise<void> {
    const line = await this.#line();
    if (line !== "ready") throw new Error(`the program did not start: ${line}`);
    this.#child.stdin?.write(`open ${directory} ${round}\n`);
  }

  /** Passes on what it says, up to a number of acknowledgements; without one, to its end. */
  async follow(judge: Judge, round: number, acknowledgements: number | undefined): Promise<void> {
    for (let heard = 0; heard !== acknowledgements;) {
      const line = await this.#line();
      if (line === undefined) return;
      if (line.startsWith("failed")) {
        if (acknowledgements === undefined) continue;
        judge.losses.push(`round ${round}: ${line}`);
        return;
      }
      if (judge.hear(line, round)) heard++;
    }
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  async #line(): Promise<string | undefined> {
    const next = await this.#lines.next();
    return next.done === true ? undefined : next.value;
  }
}
