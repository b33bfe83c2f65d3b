/**
 * The operations of a simulated disk: numbered, delayed, failed and cut short.
 *
 * An operation is counted when it starts and takes effect when the scheduler completes it; between
 * the two it is in flight. A fault replaces its effect. Death takes what is in flight: each such
 * operation has happened, partly happened or not, and its promise rejects with `closed`, as does
 * everything that the dead process still starts. So every promise settles; unless death is to be
 * silent: then nothing settles any more, as if the code that waits were gone.
 *
 * Operations of urgent files begin at once. All others go through one lane, in the order of the
 * calls, and each begins when the one before it has ended.
 */
import { assert } from "../util/assert.ts";
import type { Random } from "../util/random.ts";
import { DiskError } from "./disk.ts";
import type { DiskReason } from "./disk.ts";

/** What an operation does. */
export type SimKind =
  | "open"
  | "list"
  | "makeDirectory"
  | "rename"
  | "remove"
  | "exists"
  | "syncDirectory"
  | "lock"
  | "write"
  | "read"
  | "sync"
  | "truncate"
  | "size";

/** One operation, as hooks and schedulers see it. */
export interface SimOperation {
  /** Its number on this disk, from 1 on. */
  readonly n: number;
  readonly kind: SimKind;
  readonly path: string;
  /** How many bytes a read or write moves; else 0. */
  readonly bytes: number;
  /** Whether it belongs to a file that was opened as urgent. */
  readonly urgent: boolean;
  /** Whether it is a write that is durable when it returns. */
  readonly dataSync: boolean;
  /** Whether it is an `open` that makes the file. */
  readonly creates: boolean;
}

/** How an operation fails. */
export interface SimFault {
  readonly reason: DiskReason;
  /**
   * What happened nevertheless. `none`: nothing; for a sync or a data-synced write the pages count
   * as clean from now on, and their content never reaches the medium. `some`: a random part is
   * durable, the rest as with `none`. `all`: it was done; only the answer is an error.
   */
  readonly effect?: "none" | "some" | "all";
}

/** The effect of an operation, in the three ways in which it can end. */
export interface SimEffect<T> {
  /** Done as asked. */
  run(): T;
  /** Failed. Without it, `none` has no effect, `some` is as if interrupted, `all` as if done. */
  fail?(effect: "none" | "some" | "all", reason: DiskReason): void;
  /** Death came while it was in flight: happened, partly happened or not. */
  interrupt?(random: Random, power: boolean): void;
  /** It is over, however it ended, and its promise is being settled. */
  ended?(): void;
}

/** An operation that has not started yet. */
export type SimRequest = Omit<SimOperation, "n">;

/** What the operations need to know of their disk. */
export interface SimOperationsOptions {
  readonly complete: (task: () => void, operation: SimOperation) => void;
  readonly random: Random;
  /** Sees every operation before it starts, and may make it fail. */
  readonly before: (operation: SimOperation) => SimFault | undefined;
  /** Called when an operation that was marked for it is in flight. */
  readonly onMarked: () => void;
  /** Death settles no promise. */
  readonly silentDeath: boolean;
}

/** An operation from its request to its end; also what hooks and schedulers see of it. */
class Flight implements SimOperation {
  n = 0;
  readonly kind: SimKind;
  readonly path: string;
  readonly bytes: number;
  readonly urgent: boolean;
  readonly dataSync: boolean;
  readonly creates: boolean;
  readonly effect: SimEffect<unknown>;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  fault: SimFault | undefined = undefined;

  constructor(
    request: SimRequest,
    effect: SimEffect<unknown>,
    resolve: (value: never) => void,
    reject: (error: Error) => void,
  ) {
    this.kind = request.kind;
    this.path = request.path;
    this.bytes = request.bytes;
    this.urgent = request.urgent;
    this.dataSync = request.dataSync;
    this.creates = request.creates;
    this.effect = effect;
    this.resolve = resolve;
    this.reject = reject;
  }

  end(error: Error): void {
    this.effect.ended?.();
    this.reject(error);
  }
}

/** Runs the operations of one disk until its death. */
export class SimOperations {
  /** How many were started. */
  count = 0;
  /** Says which operation is to be reported when it is in flight. Sees each of them once. */
  isMarked: ((operation: SimOperation) => boolean) | undefined;
  readonly #options: SimOperationsOptions;
  /** In the order of their beginnings. */
  readonly #inFlight: Set<Flight> = new Set();
  /** Those of the lane that have not begun. */
  #queue: Flight[] = [];
  #laneIsTaken = false;
  /** Completions held by a stall. */
  #held: (() => void)[] | undefined;
  #dead = false;

  constructor(options: SimOperationsOptions) {
    this.#options = options;
  }

  /** Starts an operation, at once where it is urgent, else after those before it. */
  start<T>(request: SimRequest, effect: SimEffect<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const flight = new Flight(request, effect, resolve, reject);
      if (this.#dead) {
        this.#end(flight);
      } else if (flight.urgent) {
        this.#begin(flight);
      } else if (this.#laneIsTaken) {
        this.#queue.push(flight);
      } else {
        this.#laneIsTaken = true;
        this.#begin(flight);
      }
    });
  }

  /** Holds every completion from now on. */
  stall(): void {
    this.#held ??= [];
  }

  /** Lets held completions go, in their order or shuffled. */
  resume(random: Random | undefined): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    if (random !== undefined) shuffle(held, random);
    for (const task of held) task();
  }

  /** Ends everything in flight by death; `settle` then rejects it. */
  die(random: Random, power: boolean): { settle(): void } {
    assert(!this.#dead, "this disk is dead already: use its successor");
    this.#dead = true;
    this.#held = undefined;
    const flights = [...this.#inFlight];
    const waiting = this.#queue;
    this.#inFlight.clear();
    this.#queue = [];
    for (const { effect } of flights) interrupt(effect, random, power);
    return {
      settle: () => {
        for (const flight of flights) this.#end(flight);
        for (const flight of waiting) this.#end(flight);
      },
    };
  }

  #begin(flight: Flight): void {
    flight.n = ++this.count;
    flight.fault = this.#options.before(flight);
    // The hook may have ended the world.
    if (this.#isDead()) {
      this.#end(flight);
      return;
    }
    this.#inFlight.add(flight);
    this.#options.complete(() => this.#arrive(flight), flight);
    if (this.isMarked?.(flight) === true) this.#options.onMarked();
  }

  #isDead(): boolean {
    return this.#dead;
  }

  /** Death has come to it. */
  #end(flight: Flight): void {
    if (!this.#options.silentDeath) flight.end(gone(flight.path));
  }

  #arrive(flight: Flight): void {
    if (this.#held === undefined) this.#complete(flight);
    else this.#held.push(() => this.#complete(flight));
  }

  #complete(flight: Flight): void {
    if (!this.#inFlight.delete(flight)) return;
    try {
      const result = this.#finish(flight);
      flight.effect.ended?.();
      flight.resolve(result as never);
    } catch (error) {
      flight.end(error instanceof Error ? error : new Error(String(error)));
    }
    if (!flight.urgent) this.#nextOfLane();
  }

  #nextOfLane(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#laneIsTaken = false;
    else this.#begin(next);
  }

  #finish(flight: Flight): unknown {
    const { effect, fault } = flight;
    if (fault === undefined) return effect.run();
    const how = fault.effect ?? "none";
    if (effect.fail !== undefined) effect.fail(how, fault.reason);
    else if (how === "all") effect.run();
    else if (how === "some") interrupt(effect, this.#options.random, false);
    const message = `${flight.kind} failed (injected, operation ${flight.n})`;
    throw new DiskError(fault.reason, flight.path, message);
  }
}

function interrupt(effect: SimEffect<unknown>, random: Random, power: boolean): void {
  try {
    effect.interrupt?.(random, power);
  } catch (error) {
    // One that would have been refused did not happen.
    if (!(error instanceof DiskError)) throw error;
  }
}

function gone(path: string): DiskError {
  return new DiskError("closed", path, "the disk went away (simulated death)");
}

function shuffle(items: (() => void)[], random: Random): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const kept = items[i]!;
    items[i] = items[j]!;
    items[j] = kept;
  }
}
