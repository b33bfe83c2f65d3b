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
 *
 * Of machines on disk the streams of checkpoints are compared, byte by byte. To read them takes
 * time, so they are looked at by {@link MachineCheck.examine} while the run goes on, and the new
 * machine lives on a disk of its own.
 */
import type { MemberId } from "../core/configuration.ts";
import { parentOf } from "../disk/path.ts";
import { SimDisk } from "../disk/sim-disk.ts";
import { isDiskMachine } from "../machine/disk-machine.ts";
import type { AnyMachine, DiskEntry, DiskStateMachine } from "../machine/disk-machine.ts";
import type { Applied, Codec, StateMachine } from "../machine/state-machine.ts";
import { crc32 } from "../util/checksum.ts";
import type { AppliedCommand, MemberView, Observer, SimOperation } from "./observer.ts";
import { SimViolation } from "./observer.ts";
import type { MachineOf } from "./sim-world.ts";

/** A member with the machine of its present life. */
export interface MachineOwner extends MemberView {
  readonly machine: unknown;
}

/** What a run with a user's machine left behind; see `check` of `simulate`. */
export interface RunEnd<Command, Query, Machine = StateMachine<Command, Query>> {
  /**
   * The machines of all members, in the order of the members, without those whose disks were
   * damaged for good. All have applied the same log.
   */
  readonly machines: readonly Machine[];
  /** Every call that was made, in the order of the calls, with its outcome. */
  readonly history: readonly SimOperation[];
  /** The calls whose commands were applied, in the order of the log. */
  readonly applied: readonly SimOperation[];
}

/** What the check is made from. */
export interface MachineCheckParts<Command, Query, Machine extends AnyMachine<Command, Query>> {
  readonly members: readonly MachineOwner[];
  readonly machine: (owner: MachineOf) => Machine;
  readonly codec: Codec<Command>;
  readonly check: ((end: RunEnd<Command, Query, Machine>) => void | Promise<void>) | undefined;
}

/** One command of the log. */
interface Applying {
  readonly at: Applied;
  readonly operation: SimOperation;
}

/** Keeps calls and log of a run, and looks at the machines at its end. */
export class MachineCheck<
  Command,
  Query,
  Machine extends AnyMachine<Command, Query>,
> implements Observer {
  readonly #parts: MachineCheckParts<Command, Query, Machine>;
  readonly #history: SimOperation[] = [];
  /** By number. */
  readonly #operations: Map<number, SimOperation> = new Map();
  /** Answers to writes as they were when they came: a machine may go on changing what it gave. */
  readonly #answers: Map<number, string> = new Map();
  readonly #log: Applying[] = [];
  #lastIndex = 0;
  /** A check that has not come to its end. */
  #waiting: Promise<void> | undefined;

  constructor(parts: MachineCheckParts<Command, Query, Machine>) {
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
    const { owners } = this;
    if (!owners.every(({ machine }) => isInMemory<Command, Query>(machine))) return;
    const replayed = this.#parts.machine(newOwner());
    if (isInMemory<Command, Query>(replayed)) {
      this.#replay(replayed);
      this.#compare(replayed);
    }
    this.#waiting = this.#checked();
    // Awaited by {@link examine}, unless something else is broken.
    this.#waiting?.catch(() => {});
  }

  /** What takes time: the streams of machines on disk, and a check that waits for them. */
  async examine(): Promise<void> {
    const { owners } = this;
    if (owners.every(({ machine }) => isInMemory<Command, Query>(machine))) return this.#waiting;
    const wanted = await this.#replayOnDisk();
    for (const { id, machine } of owners) {
      const text = await streamText(machine as DiskStateMachine<Command, Query>);
      this.#expectSame(id, text, wanted);
    }
    await this.#checked();
  }

  /** Members with a machine: one that has lost its disk has no process, and so none. */
  get owners(): readonly MachineOwner[] {
    return this.#parts.members.filter(({ machine }) => machine !== undefined);
  }

  #checked(): Promise<void> | undefined {
    const { check } = this.#parts;
    if (check === undefined) return undefined;
    const machines = this.owners.map(({ machine }) => machine as Machine);
    const applied = this.#log.map(({ operation }) => operation);
    const failed = (error: unknown): never => {
      const text = error instanceof Error ? error.message : String(error);
      throw new SimViolation("check", text, error);
    };
    try {
      const end = check({ machines, history: this.#history, applied });
      return end instanceof Promise ? end.catch(failed) : undefined;
    } catch (error) {
      return failed(error);
    }
  }

  /** A machine that has lived through the log alone, in one go. */
  #replay(machine: StateMachine<Command, Query>): void {
    for (const one of this.#log) {
      this.#expectAnswer(one, machine.apply(this.#commandOf(one), one.at));
    }
  }

  /** The same of a machine on disk, in other batches than anybody had: the text of its stream. */
  async #replayOnDisk(): Promise<string> {
    const owner = newOwner();
    await owner.storage.disk.makeDirectory(parentOf(owner.storage.directory));
    const machine = this.#parts.machine(owner) as DiskStateMachine<Command, Query>;
    await machine.open();
    for (let from = 0; from < this.#log.length; from += REPLAY_BATCH) {
      const some = this.#log.slice(from, from + REPLAY_BATCH);
      const entries = some.map((one): DiskEntry<Command> => {
        return { ...one.at, command: this.#commandOf(one) };
      });
      const results = await machine.apply({ entries, records: () => [] });
      some.forEach((one, i) => this.#expectAnswer(one, results[i]));
    }
    const text = await streamText(machine);
    await machine.close();
    return text;
  }

  /** Through the codec, as every member had it. */
  #commandOf({ operation }: Applying): Command {
    const { codec } = this.#parts;
    return codec.decode(codec.encode(operation.input as Command));
  }

  #expectAnswer({ at, operation }: Applying, result: unknown): void {
    const answer = textOf(result);
    const heard = this.#answers.get(operation.number);
    if (heard === undefined || heard === answer) return;
    throw new SimViolation(
      "same-answers",
      `${operation.member.id} answered ${short(heard)} to ${short(textOf(operation.input))} at ` +
        `index ${at.index}; a new machine that applies the same log answers ${short(answer)}`,
    );
  }

  #compare(replayed: StateMachine<Command, Query>): void {
    const wanted = snapshotText(replayed);
    if (wanted === undefined) return;
    for (const { id, machine } of this.owners) {
      const text = snapshotText(machine as StateMachine<Command, Query>) ?? "";
      this.#expectSame(id, text, wanted);
    }
  }

  #expectSame(id: MemberId, text: string, wanted: string): void {
    if (text === wanted) return;
    const [own, other] = whereTheyPart(text, wanted);
    throw new SimViolation(
      "same-state",
      `after ${this.#log.length} commands ${id} is in another state than a new machine that ` +
        `applies the same log: ${own} against ${other}`,
    );
  }
}

/** Commands that a new machine on disk gets together. */
const REPLAY_BATCH = 7;

/** Whom a machine belongs to that lives through the log after a run. */
function newOwner(): MachineOf {
  const disk = new SimDisk();
  const directory = "/data/new/machine";
  const storage = { disk, directory, checksum: crc32, changesPerCommit: REPLAY_BATCH };
  return { id: "new", life: 1, storage };
}

function isInMemory<Command, Query>(machine: unknown): machine is StateMachine<Command, Query> {
  return !isDiskMachine(machine as object);
}

/** What a checkpoint streams, as text: one char per byte. */
async function streamText<Command, Query>(
  machine: DiskStateMachine<Command, Query>,
): Promise<string> {
  const checkpoint = machine.checkpoint();
  let text = "";
  for await (const chunk of checkpoint.stream()) text += asText(chunk);
  checkpoint.release();
  return JSON.stringify(text);
}

function asText(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
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
