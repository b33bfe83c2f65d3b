/**
 * What every state machine promises, whatever it does: the same commands lead to the same state,
 * and to the same answers. Looked at when a run has ended and all members agree on the log.
 *
 *  - `same-state`: the snapshots of all members are equal, and so is that of a machine made just
 *    now which applies the same log. A machine that keeps something outside of itself, looks at a
 *    clock or depends on what happened to one process shows here, even if every answer was right.
 *  - `same-answers`: what callers were told is what that new machine answers.
 *
 * The order of a Map's keys is state, too: what depends on it must come out the same.
 */
import type { Applied, Codec, StateMachine } from "../machine/state-machine.ts";
import type { AppliedCommand, MemberView, Observer, SimOperation } from "./observer.ts";
import { SimViolation } from "./observer.ts";

/** A member with the machine of its present life. */
export interface MachineOwner extends MemberView {
  readonly machine: unknown;
}

/** What a run with a user's machine left behind; see `check` of `simulate`. */
export interface RunEnd<Command, Query> {
  /**
   * The machines of all members, in the order of the members, without those whose disks were
   * damaged for good. All have applied the same log.
   */
  readonly machines: ReadonlyArray<StateMachine<Command, Query>>;
  /** Every call that was made, in the order of the calls, with its outcome. */
  readonly history: readonly SimOperation[];
  /** The calls whose commands were applied, in the order of the log. */
  readonly applied: readonly SimOperation[];
}

/** What the check is made from. */
export interface MachineCheckParts<Command, Query> {
  readonly members: readonly MachineOwner[];
  readonly machine: () => StateMachine<Command, Query>;
  readonly codec: Codec<Command>;
  readonly check: ((end: RunEnd<Command, Query>) => void) | undefined;
}

/** One command of the log. */
interface Applying {
  readonly at: Applied;
  readonly operation: SimOperation;
}

/** Keeps calls and log of a run, and looks at the machines at its end. */
export class MachineCheck<Command, Query> implements Observer {
  readonly #parts: MachineCheckParts<Command, Query>;
  readonly #history: SimOperation[] = [];
  /** By number. */
  readonly #operations: Map<number, SimOperation> = new Map();
  /** Answers to writes as they were when they came: a machine may go on changing what it gave. */
  readonly #answers: Map<number, string> = new Map();
  readonly #log: Applying[] = [];
  #lastIndex = 0;

  constructor(parts: MachineCheckParts<Command, Query>) {
    this.#parts = parts;
  }

  called(operation: SimOperation): void {
    this.#history.push(operation);
    this.#operations.set(operation.number, operation);
  }

  applied(_member: MemberView, command: AppliedCommand): void {
    const { index, term, timeMs } = command;
    // Whoever applies it first; that all apply the same is for the invariants.
    if (index <= this.#lastIndex) return;
    this.#lastIndex = index;
    const operation = this.#operations.get(command.operation);
    if (operation !== undefined) {
      this.#log.push({ at: { index, term, timeMs, version: 1 }, operation });
    }
  }

  settled({ kind, outcome, number, result }: SimOperation): void {
    if (kind === "write" && outcome === "done") this.#answers.set(number, textOf(result));
  }

  ended(): void {
    // A member that has lost its disk has no process, and so no machine.
    const owners = this.#parts.members.filter(({ machine }) => machine !== undefined);
    this.#compare(owners, this.#replay());
    const { check } = this.#parts;
    if (check === undefined) return;
    const machines = owners.map(({ machine }) => machine as StateMachine<Command, Query>);
    const applied = this.#log.map(({ operation }) => operation);
    try {
      check({ machines, history: this.#history, applied });
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      throw new SimViolation("check", text, error);
    }
  }

  /** A machine that has lived through the log alone, in one go. */
  #replay(): StateMachine<Command, Query> {
    const machine = this.#parts.machine();
    const { codec } = this.#parts;
    for (const { at, operation } of this.#log) {
      // Through the codec, as every member had it.
      const command = codec.decode(codec.encode(operation.input as Command));
      const answer = textOf(machine.apply(command, at));
      const heard = this.#answers.get(operation.number);
      if (heard === undefined || heard === answer) continue;
      throw new SimViolation(
        "same-answers",
        `${operation.member.id} answered ${short(heard)} to ${short(textOf(operation.input))} at ` +
          `index ${at.index}; a new machine that applies the same log answers ${short(answer)}`,
      );
    }
    return machine;
  }

  #compare(owners: readonly MachineOwner[], replayed: StateMachine<Command, Query>): void {
    const wanted = snapshotText(replayed);
    if (wanted === undefined) return;
    for (const { id, machine } of owners) {
      const text = snapshotText(machine as StateMachine<Command, Query>) ?? "";
      if (text === wanted) continue;
      const [own, other] = whereTheyPart(text, wanted);
      throw new SimViolation(
        "same-state",
        `after ${this.#log.length} commands ${id} is in another state than a new machine that ` +
          `applies the same log: ${own} against ${other}`,
      );
    }
  }
}

/** A snapshot as text; undefined where it cannot be had without waiting. */
function snapshotText(machine: { snapshot(): unknown }): string | undefined {
  const snapshot = machine.snapshot();
  if (typeof snapshot !== "object" || snapshot === null) return textOf(snapshot);
  if (Symbol.asyncIterator in snapshot) return undefined;
  if (Symbol.iterator in snapshot && !Array.isArray(snapshot)) {
    const chunks = [...(snapshot as Iterable<Uint8Array>)];
    return chunks.map((chunk) => Array.from(chunk).join(" ")).join(" ");
  }
  return textOf(snapshot);
}

/** A value as people read it, and equal where values are equal. */
function textOf(value: unknown): string {
  try {
    // Undefined where JSON has no word for it.
    const text: string | undefined = JSON.stringify(value);
    return text ?? "nothing";
  } catch {
    return String(value);
  }
}

const SHORT = 80;

function short(text: string): string {
  return text.length <= SHORT ? text : `${text.slice(0, SHORT - 1)}…`;
}

/** Both texts from a little before the place where they part. */
function whereTheyPart(a: string, b: string): readonly [string, string] {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  const from = Math.max(0, at - SHORT / 4);
  const cut = (text: string): string => `${from > 0 ? "…" : ""}${short(text.slice(from))}`;
  return [cut(a), cut(b)];
}
