/**
 * Holds what a replica knows after a power cut against what its program (replica-process.ts) had
 * said: every acknowledged command is applied, and none twice.
 */
import type { Judge } from "./cut-run.ts";

/** What the program says of its machine after a start. */
interface Found {
  /** The commands that were applied, as ranges of numbers, both ends included. */
  readonly ranges: readonly (readonly [number, number])[];
  readonly twice: readonly number[];
}

/** What must have been applied, by what the program said. */
export class ReplicaJudge implements Judge {
  readonly losses: string[] = [];
  acknowledged = 0;
  /** Acknowledged since the directory was empty. */
  #numbers: Set<number> = new Set();

  hear(line: string, round: number): boolean {
    const [word, number = ""] = line.split(" ");
    if (word === "recovered") {
      this.#compare(JSON.parse(line.slice(word.length + 1)) as Found, round);
    } else if (word === "ack") {
      this.acknowledged++;
      this.#numbers.add(Number(number));
    } else {
      this.losses.push(`round ${round}: ${line}`);
    }
    return word === "ack";
  }

  startAnew(): void {
    this.#numbers = new Set();
  }

  #compare(found: Found, round: number): void {
    const there = new Set<number>();
    for (const [first, last] of found.ranges) for (let n = first; n <= last; n++) there.add(n);
    const lost = [...this.#numbers].filter((n) => !there.has(n));
    const where = `recovered in round ${round}`;
    if (lost.length > 0) {
      this.losses.push(`${where}: ${lost.length} acknowledged commands lost, first ${lost[0]}`);
    }
    if (found.twice.length > 0) this.losses.push(`${where}: applied twice: ${found.twice.join()}`);
  }
}
