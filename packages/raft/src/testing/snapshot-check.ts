/**
 * Holds a machine's `snapshot` and `restore` against their contract:
 *
 *  - *point in time*: commands that are applied while an asynchronous snapshot is read do not show
 *    in it. It is compared with that of another machine to which nothing is done meanwhile;
 *  - *unchanged*: a machine that has given snapshots, read to their end or not, goes on like one
 *    that never did;
 *  - *restored*: a machine that had another state becomes exactly what the snapshot says: it gives
 *    the same snapshot, the same answers, and the same results for the commands that follow.
 *
 * That is done at several places of the list of commands. Snapshots are compared byte by byte: the
 * same commands have to lead to the same bytes, as on all members of a cluster. The pieces are
 * taken as the engine takes them: the first one is asked for at once, and each is copied before the
 * next one is asked for.
 */
import { jsonCodec } from "../machine/json-codec.ts";
import { machineSnapshotOf, pieceOf } from "../machine/machine-snapshot.ts";
import type { Codec, StateMachine } from "../machine/state-machine.ts";
import { equalBytes } from "../util/bytes.ts";
import { messageOf } from "../util/error.ts";

/** What is checked, and with what. */
export interface SnapshotCheckOptions<Command, Query> {
  /** Makes a new machine each time. */
  readonly machine: () => StateMachine<Command, Query>;
  /**
   * Applied in this order. Some dozens that touch, change and remove what was there before: what is
   * never changed while a snapshot is read cannot show in it.
   */
  readonly commands: readonly Command[];
  /** Asked of the restored machine and of another one; their answers have to be equal. */
  readonly queries?: readonly Query[];
  /** As in `openReplica`; default JSON. */
  readonly codec?: Codec<Command>;
  /** At most so many bytes are handed to `restore` at a time. Default 65,536, as in the engine. */
  readonly pieceBytes?: number;
}

/** Which promise is broken. */
export type SnapshotRule = "point-in-time" | "unchanged" | "restored" | "throws";

/** A machine does not keep what its `snapshot` and `restore` promise. */
export class SnapshotCheckError extends Error {
  override readonly name = "SnapshotCheckError";
  readonly rule: SnapshotRule;

  constructor(rule: SnapshotRule, message: string, cause?: unknown) {
    super(`[${rule}] ${message}`, cause === undefined ? {} : { cause });
    this.rule = rule;
  }
}

const PIECE_BYTES = 65_536;
/** In which parts of the list of commands snapshots are taken, in percent. */
const CUTS = [0, 10, 50, 90, 100];

/**
 * Checks `snapshot` and `restore` of a machine.
 *
 * @throws SnapshotCheckError with what differs, and at which command.
 * @example
 * ```ts
 * test("snapshots are points in time", () =>
 *   checkSnapshots({
 *     machine: () => new Inventory(),
 *     commands: Array.from({ length: 200 }, (_, i) => put(`item-${i % 40}`, i)),
 *   }));
 * ```
 */
export async function checkSnapshots<Command, Query = never>(
  options: SnapshotCheckOptions<Command, Query>,
): Promise<void> {
  const { commands } = options;
  const cuts = new Set(CUTS.map((percent) => Math.floor((commands.length * percent) / 100)));
  for (const cut of cuts) {
    const check = new Check(options, cut);
    try {
      await check.pointInTime();
      await check.abandoned();
      await check.restored();
    } catch (cause) {
      if (cause instanceof SnapshotCheckError) throw cause;
      const message = `the machine threw, with ${cut} commands before the snapshot: `;
      throw new SnapshotCheckError("throws", `${message}${messageOf(cause)}`, cause);
    }
  }
}

/** A machine that is led through the list of commands. */
class Led<Command, Query> {
  readonly machine: StateMachine<Command, Query>;
  readonly #options: SnapshotCheckOptions<Command, Query>;
  readonly #codec: Codec<Command>;
  /** The next command. */
  at = 0;

  constructor(options: SnapshotCheckOptions<Command, Query>) {
    this.machine = options.machine();
    this.#options = options;
    this.#codec = options.codec ?? jsonCodec();
  }

  /** Applies up to so many of all commands; gives the results as text. */
  applyTo(end: number): string[] {
    const results: string[] = [];
    while (this.at < end) {
      // Through the codec, as every member has it.
      const command = this.#codec.decode(this.#codec.encode(this.#options.commands[this.at]!));
      const index = ++this.at;
      const version = this.machine.version ?? 1;
      results.push(
        textOf(this.machine.apply(command, { index, term: 1, timeMs: 10 * index, version })),
      );
    }
    return results;
  }

  /** All bytes of a snapshot; `between` is called after each piece of one that is asynchronous. */
  async snapshot(between: () => void = () => {}): Promise<Uint8Array> {
    const source = machineSnapshotOf(this.machine.snapshot());
    if (source.kind === "whole") return source.bytes;
    const pieces: Uint8Array[] = [];
    if (source.kind === "held") {
      for (let next = source.pieces.next(); next.done !== true; next = source.pieces.next()) {
        pieces.push(pieceOf(next.value).slice());
      }
      return joined(pieces);
    }
    // It was called a moment ago, and runs on its own from now on.
    between();
    for (let next = await source.first; next.done !== true; next = await source.pieces.next()) {
      pieces.push(pieceOf(next.value).slice());
      between();
    }
    return joined(pieces);
  }

  async answers(): Promise<string[]> {
    const answers: string[] = [];
    for (const query of this.#options.queries ?? []) {
      answers.push(textOf(await this.machine.query(query)));
    }
    return answers;
  }
}

/** The checks for a snapshot that is taken behind `cut` commands. */
class Check<Command, Query> {
  readonly #options: SnapshotCheckOptions<Command, Query>;
  readonly #cut: number;
  readonly #all: number;

  constructor(options: SnapshotCheckOptions<Command, Query>, cut: number) {
    this.#options = options;
    this.#cut = cut;
    this.#all = options.commands.length;
  }

  async pointInTime(): Promise<void> {
    const wanted = await (await this.#led(this.#cut)).snapshot();
    const busy = await this.#led(this.#cut);
    const found = await busy.snapshot(() => busy.applyTo(Math.min(this.#all, busy.at + 1)));
    const applied = busy.at - this.#cut;
    this.#same("point-in-time", wanted, found, {
      what: `a snapshot beside which ${applied} commands were applied`,
      other: "one that was read at once",
    });
    busy.applyTo(this.#all);
    await this.#wentOn(busy, "a machine that has given a snapshot");
  }

  /** A snapshot may end before its end: the disk is full, another one takes its place. */
  async abandoned(): Promise<void> {
    const led = await this.#led(this.#cut);
    const source = machineSnapshotOf(led.machine.snapshot());
    if (source.kind === "whole") return;
    if (source.kind === "live") await source.first;
    else source.pieces.next();
    await source.pieces.return?.();
    led.applyTo(this.#all);
    await this.#wentOn(led, "a machine whose snapshot was given up");
  }

  async restored(): Promise<void> {
    const original = await this.#led(this.#cut);
    const bytes = await original.snapshot();
    // What was there before has to go.
    const restored = await this.#led(this.#all);
    await restored.machine.restore(this.#pieces(bytes));
    restored.at = this.#cut;
    const what = "a restored machine";
    this.#same("restored", bytes, await restored.snapshot(), {
      what: `the snapshot of ${what}`,
      other: "the one that it was restored from",
    });
    this.#equal(await original.answers(), await restored.answers(), {
      what: `an answer of ${what}`,
      of: "query",
      from: 0,
    });
    this.#equal(original.applyTo(this.#all), restored.applyTo(this.#all), {
      what: `a result of ${what}`,
      of: "command",
      from: this.#cut,
    });
    this.#same("restored", await original.snapshot(), await restored.snapshot(), {
      what: `the snapshot of ${what}, once all commands were applied,`,
      other: "that of the original",
    });
  }

  /** A new machine that has applied the first `count` commands. */
  async #led(count: number): Promise<Led<Command, Query>> {
    const led = new Led(this.#options);
    led.applyTo(count);
    return led;
  }

  async #wentOn(led: Led<Command, Query>, what: string): Promise<void> {
    const other = await this.#led(this.#all);
    this.#same("unchanged", await other.snapshot(), await led.snapshot(), {
      what: `the state of ${what}, once all commands were applied,`,
      other: "that of one that gave none",
    });
  }

  async *#pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
    const { pieceBytes = PIECE_BYTES } = this.#options;
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.slice(at, at + pieceBytes);
  }

  // eslint-disable-next-line max-params -- the rule, both, and what to call them
  #same(
    rule: SnapshotRule,
    wanted: Uint8Array,
    found: Uint8Array,
    { what, other }: { readonly what: string; readonly other: string },
  ): void {
    if (equalBytes(wanted, found)) return;
    let at = 0;
    while (at < wanted.length && wanted[at] === found[at]) at++;
    throw new SnapshotCheckError(
      rule,
      `${what} differs from ${other}, from byte ${at} on: ${sizes(found, wanted)}; ` +
        `${excerpt(found, at)} against ${excerpt(wanted, at)}; ${this.#where()}`,
    );
  }

  #equal(
    wanted: readonly string[],
    found: readonly string[],
    { what, of, from }: { readonly what: string; readonly of: string; readonly from: number },
  ): void {
    for (const [i, text] of found.entries()) {
      if (text === wanted[i]) continue;
      const number = `${of} ${from + i + 1}`;
      const message = `${what} to ${number} is ${text}, not ${wanted[i]}; ${this.#where()}`;
      throw new SnapshotCheckError("restored", message);
    }
  }

  #where(): string {
    return `the snapshot was taken behind ${this.#cut} of ${this.#all} commands`;
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** A value as people read it, and equal where values are equal. */
function textOf(value: unknown): string {
  if (value instanceof Uint8Array) return `bytes ${Array.from(value).join(" ")}`;
  try {
    const text = JSON.stringify(value) as string | undefined;
    return text ?? "nothing";
  } catch {
    return String(value);
  }
}

function sizes(found: Uint8Array, wanted: Uint8Array): string {
  return `${found.length} against ${wanted.length} bytes`;
}

/** What stands there, as text where it is some. */
function excerpt(bytes: Uint8Array, at: number): string {
  const part = bytes.subarray(Math.max(0, at - 8), at + 24);
  const isText = part.every((byte) => (byte >= 0x20 && byte < 0x7f) || byte === 0x0a);
  if (isText) return JSON.stringify(String.fromCharCode(...part));
  return Array.from(part, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
