/**
 * Cuts the power under a program again and again, and compares what its log holds afterwards with
 * what it had said was durable.
 *
 * Expected is exactly one of two logs: the acknowledged one, or that one after the append that was
 * in flight when the power went.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { SeededRandom } from "../../packages/raft/src/util/random.ts";
import type { Ext4Volume } from "./ext4-volume.ts";

/** What a run found. */
export interface CutReport {
  readonly cuts: number;
  /** Entries acknowledged over all rounds. */
  readonly acknowledged: number;
  /** One line for each thing that must not be. */
  readonly losses: readonly string[];
}

interface CutOptions {
  readonly volume: Ext4Volume;
  /** The compiled program. */
  readonly program: string;
  readonly args: readonly string[];
  readonly cuts: number;
  readonly seed: number;
  /** Ends the run at the first loss. */
  readonly untilLoss?: boolean;
}

interface Recovered {
  readonly startIndex: number;
  readonly lastIndex: number;
  readonly termRuns: readonly { readonly term: number; readonly index: number }[];
  readonly hardState: { readonly term: number };
}

/** Runs rounds of load and cut on one volume. */
export async function runCuts(options: CutOptions): Promise<CutReport> {
  const { volume, cuts } = options;
  const random = new SeededRandom(options.seed);
  const expected = new Expected();
  let next = new Program(options);
  let round = 1;
  try {
    for (; round <= cuts; round++) {
      const program = next;
      next = new Program(options);
      await program.openLog(join(volume.mountPoint, "log"), round);
      await expected.follow(program, round, 1 + random.below(60));
      await volume.cut(random.below(4) === 0 ? "logflush" : "nologflush");
      await program.kill();
      // What it said before the power went still counts.
      await expected.follow(program, round, Number.POSITIVE_INFINITY);
      await volume.restore();
      if (options.untilLoss === true && expected.losses.length > 0) break;
    }
  } finally {
    await next.kill();
  }
  const { acknowledged, losses } = expected;
  return { cuts: Math.min(round, cuts), acknowledged, losses };
}

/** What must be in the log. */
class Expected {
  readonly losses: string[] = [];
  acknowledged = 0;
  /** The term of each acknowledged entry, by index. */
  #terms: number[] = [0];
  /** The append that was in flight. */
  #pending: { first: number; last: number; term: number } | undefined;
  #released = 0;
  #durableTerm = 0;

  /** Reads what the program says, until it was given `acks` more acknowledgements. */
  async follow(program: Program, round: number, acks: number): Promise<void> {
    for (let seen = 0; seen < acks;) {
      const line = await program.line();
      if (line === undefined) return;
      const [word, first = "", last = ""] = line.split(" ");
      if (word === "recovered") this.#compare(JSON.parse(line.slice(10)) as Recovered, round);
      else if (word === "vote") this.#durableTerm = round;
      else if (word === "try") {
        this.#pending = { first: Number(first), last: Number(last), term: round };
      } else if (word === "ack") {
        seen++;
        this.acknowledged += Number(last) - Number(first) + 1;
        this.#acknowledge();
      } else if (word === "release") this.#released = Number(first);
      else if (word === "wrong") this.losses.push(`round ${round}: ${line}`);
      else if (word === "failed" && acks !== Number.POSITIVE_INFINITY) {
        this.losses.push(`round ${round}: ${line}`);
        return;
      }
    }
  }

  #acknowledge(): void {
    if (this.#pending !== undefined) this.#terms = applied(this.#terms, this.#pending);
    this.#pending = undefined;
  }

  #compare(found: Recovered, round: number): void {
    const where = `recovered in round ${round}`;
    if (found.hardState.term < this.#durableTerm) {
      this.losses.push(`${where}: term ${found.hardState.term}, was ${this.#durableTerm}`);
    }
    if (found.startIndex > this.#released) {
      this.losses.push(`${where}: starts at ${found.startIndex}, released ${this.#released}`);
    }
    const terms = termsOf(found);
    const difference = compareFrom(found.startIndex + 1, this.#terms, terms);
    if (difference === undefined || this.#pending === undefined) {
      if (difference !== undefined) this.losses.push(`${where}: ${difference}`);
    } else {
      // Not acknowledged, and there all the same: as good.
      const other = applied(this.#terms, this.#pending);
      const unlike = compareFrom(found.startIndex + 1, other, terms);
      if (unlike !== undefined) this.losses.push(`${where}: ${difference}; or ${unlike}`);
    }
    // From here on what was found is what is known to be there.
    for (let i = 0; i <= found.startIndex; i++) terms[i] = this.#terms[i] ?? 0;
    this.#terms = terms;
    this.#pending = undefined;
  }
}

function applied(
  terms: readonly number[],
  append: { first: number; last: number; term: number },
): number[] {
  const next = terms.slice(0, append.first);
  for (let i = append.first; i <= append.last; i++) next.push(append.term);
  return next;
}

function termsOf({ startIndex, lastIndex, termRuns }: Recovered): number[] {
  const terms = Array.from<number>({ length: startIndex + 1 }).fill(0);
  let run = 0;
  for (let i = startIndex + 1; i <= lastIndex; i++) {
    while ((termRuns[run + 1]?.index ?? Number.POSITIVE_INFINITY) <= i) run++;
    terms.push(termRuns[run]?.term ?? 0);
  }
  return terms;
}

/** What is different, in words; undefined where nothing is. */
function compareFrom(
  from: number,
  want: readonly number[],
  got: readonly number[],
): string | undefined {
  for (let i = from; i < Math.max(want.length, got.length); i++) {
    if (want[i] === got[i]) continue;
    const wanted = want[i] === undefined ? "nothing" : `term ${want[i]}`;
    const found = got[i] === undefined ? "nothing" : `term ${got[i]}`;
    return `entry ${i}: want ${wanted}, found ${found} (${got.length - 1} of ${want.length - 1})`;
  }
  return undefined;
}

/** One process of the program. */
class Program {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #lines: AsyncIterator<string>;

  constructor({ program, args }: CutOptions) {
    const child = spawn(process.execPath, [program, ...args], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    child.stdin.on("error", () => {});
    this.#child = child;
    this.#ended = once(child, "exit");
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  async openLog(directory: string, term: number): Promise<void> {
    const line = await this.line();
    if (line !== "ready") throw new Error(`the program did not start: ${line}`);
    this.#child.stdin?.write(`open ${directory} ${term}\n`);
  }

  async line(): Promise<string | undefined> {
    const next = await this.#lines.next();
    return next.done === true ? undefined : next.value;
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}
