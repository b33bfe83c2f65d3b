/**
 * Every answer of the key-value machine held against the log, as soon as it is given.
 *
 * The witness keeps a machine of its own and applies each command once, when the first member does.
 * So it knows every version of every key by index, and each answer is checked with a look-up:
 *
 *  - a write that is done was applied, at the index it names, with the answer that follows from all
 *    commands before it, and behind everything that was answered before it was called;
 *  - a read found a version that was in force at some index between the floor, the highest index
 *    shown to anybody before it was called, and the highest index applied when it returned;
 *  - a read by lease is held to the same;
 *  - a read that may be so old found a version that was in force at some index not below the floor
 *    of that time before it was called;
 *  - a local read found a version that was in force at some time;
 *  - a write that was refused is never applied.
 *
 * Sharper than a search over histories and far cheaper, but it trusts the log: that the log is the
 * same everywhere is for other invariants, that answers agree with no look inside for
 * history-check.ts.
 */
import type { AppliedCommand, MemberView, Observer, SimOperation } from "../observer.ts";
import { mayBeOld, SimViolation } from "../observer.ts";
import type { KvCommand, KvFound, KvQuery, KvWritten } from "./kv-machine.ts";
import { KvMachine } from "./kv-machine.ts";

/** All versions of one key; the first is its absence at index 0. */
interface Versions {
  readonly indexes: number[];
  readonly values: Array<string | null>;
}

/** A command that was applied. */
interface AppliedWrite {
  readonly index: number;
  readonly result: KvWritten;
}

/** The witness of one run. */
export class Witness implements Observer {
  readonly #machine = new KvMachine();
  readonly #versions: Map<string, Versions> = new Map();
  /** Writes that were not applied yet; what never is stays here. */
  readonly #waiting: Map<number, SimOperation> = new Map();
  /** Writes that were applied and have not ended yet. */
  readonly #applied: Map<number, AppliedWrite> = new Map();
  /** Of every open operation: the floor when it was called. */
  readonly #floors: Map<number, number> = new Map();
  /** The highest index applied by anybody. */
  #highest = 0;
  /** The highest index that an answer has shown to lie in the past. */
  #floor = 0;
  /** How the floor rose: from when on it was how high. */
  readonly #rises: { readonly atUs: number[]; readonly floors: number[] } = {
    atUs: [-1],
    floors: [0],
  };

  called(operation: SimOperation): void {
    const { kind, number, calledUs, maxStalenessUs } = operation;
    if (kind === "write") this.#waiting.set(number, operation);
    if (kind === "stale-read")
      this.#floors.set(number, this.#floorBefore(calledUs - maxStalenessUs));
    else if (kind !== "local-read") this.#floors.set(number, this.#floor);
  }

  applied(member: MemberView, { index, operation: number }: AppliedCommand): void {
    if (index <= this.#highest) return;
    this.#highest = index;
    const operation = this.#waiting.get(number);
    if (operation === undefined) {
      throw new SimViolation(
        "write-witness",
        `${member.id} applied operation ${number} at ${index}, which nobody called or which was ` +
          `applied before`,
      );
    }
    if (operation.outcome === "not-done") {
      throw new SimViolation(
        "write-witness",
        `${member.id} applied ${textOf(operation)} at ${index}, after it was refused as not done`,
      );
    }
    this.#waiting.delete(number);
    const command = operation.input as KvCommand;
    const result = this.#machine.apply(command, { index });
    if (result.ok) this.#keep(command.key, index);
    if (operation.outcome === "open") this.#applied.set(number, { index, result });
  }

  settled(operation: SimOperation): void {
    const { number, kind, outcome } = operation;
    const floor = this.#floors.get(number) ?? 0;
    this.#floors.delete(number);
    if (kind === "write") {
      const applied = this.#applied.get(number);
      this.#applied.delete(number);
      if (outcome === "done") this.#checkWrite(operation, applied, floor);
      else if (outcome === "not-done" && applied !== undefined) {
        throw new SimViolation(
          "write-witness",
          `${textOf(operation)} was refused as not done, but was applied at ${applied.index}`,
        );
      }
    } else if (outcome === "done") this.#checkRead(operation, floor);
  }

  #keep(key: string, index: number): void {
    const versions = this.#versionsOf(key);
    versions.indexes.push(index);
    versions.values.push(this.#machine.query({ type: "get", key }).value);
  }

  #checkWrite(operation: SimOperation, applied: AppliedWrite | undefined, floor: number): void {
    const heard = operation.result as KvWritten;
    if (applied === undefined) {
      throw new SimViolation(
        "write-witness",
        `${textOf(operation)} was answered as done, but no member has applied it`,
      );
    }
    const { index, result } = applied;
    if (!isSameAnswer(heard, result)) {
      throw new SimViolation(
        "write-witness",
        `${textOf(operation)} was answered ${shortOf(heard)}; the log says ${shortOf(result)}`,
      );
    }
    if (index <= floor) {
      throw new SimViolation(
        "write-witness",
        `${textOf(operation)} took effect at ${index}, but was called after an answer that ` +
          `showed index ${floor}`,
      );
    }
    this.#rise(index, operation.returnedUs);
  }

  #checkRead(operation: SimOperation, floor: number): void {
    const { key } = operation.input as KvQuery;
    const { value, revision } = operation.result as KvFound;
    const { indexes, values } = this.#versionsOf(key);
    const at = placeOf(indexes, revision);
    if (indexes[at] !== revision || values[at] !== value) {
      throw new SimViolation(
        "read-witness",
        `${textOf(operation)} was answered ${shortOf(operation.result)}, a version that the key ` +
          `never had; at ${indexes[at]} it was ${shortOf(values[at])}`,
      );
    }
    if (operation.kind === "local-read") return;
    const next = indexes[at + 1];
    if (next !== undefined && next <= floor) {
      throw new SimViolation(
        "read-witness",
        `${textOf(operation)} was answered with the version of ${revision}, which was replaced at ` +
          `${next}; but index ${floor} had been shown before the read was called` +
          (operation.kind === "stale-read" ? `, by ${operation.maxStalenessUs} µs` : ""),
      );
    }
    if (!mayBeOld(operation.kind)) this.#rise(revision, operation.returnedUs);
  }

  #rise(index: number, atUs: number): void {
    if (index <= this.#floor) return;
    this.#floor = index;
    this.#rises.atUs.push(atUs);
    this.#rises.floors.push(index);
  }

  /** The floor before that time: what came in the same moment may have been too late. */
  #floorBefore(atUs: number): number {
    if (atUs <= 0) return 0;
    return this.#rises.floors[placeOf(this.#rises.atUs, atUs - 1)]!;
  }

  #versionsOf(key: string): Versions {
    let versions = this.#versions.get(key);
    if (versions === undefined) {
      versions = { indexes: [0], values: [null] };
      this.#versions.set(key, versions);
    }
    return versions;
  }
}

/** The place of the last index that is not above `index`. */
function placeOf(indexes: readonly number[], index: number): number {
  let low = 0;
  let high = indexes.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (indexes[middle]! <= index) low = middle;
    else high = middle - 1;
  }
  return low;
}

function isSameAnswer(a: KvWritten, b: KvWritten): boolean {
  return a.ok === b.ok && a.index === b.index && a.value === b.value && a.revision === b.revision;
}

/** An operation for a report. */
function textOf({ number, client, kind, input, member }: SimOperation): string {
  return `${kind} ${number} (${client} at ${member.id}, ${shortOf(input)})`;
}

const SHORT = 160;

function shortOf(value: unknown): string {
  const text = (JSON.stringify(value) as string | undefined) ?? "nothing";
  return text.length <= SHORT ? text : `${text.slice(0, SHORT)}…`;
}
