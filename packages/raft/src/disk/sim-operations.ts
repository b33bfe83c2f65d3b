/**
 * The operations of a simulated disk: numbered, delayed, failed and cut short.
 *
 * An operation is counted when it starts and takes effect when the scheduler completes it; between
 * the two it is in flight. A fault replaces its effect. Death takes what is in flight: each such
 * operation has happened, partly happened or not, and its promise rejects with `closed`, as does
 * everything that the dead process still starts. So every promise settles.
 */
import { assert } from "../util/assert.ts";
import type { Random } from "../util/random.ts";
import { DiskError } from "./disk.ts";
import type { DiskReason } from "./disk.ts";
import { Lane } from "./lane.ts";

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
}

/** An operation that has not started yet. */
export type SimRequest = Omit<SimOperation, "n">;

/** What the operations need to know of their disk. */
export interface SimOperationsOptions {
  readonly complete: (task: () => void, operation: SimOperation) => void;
  readonly random: Random;
  /** Sees every operation before it starts, and may make it fail. */
  readonly before: (operation: SimOperation) => SimFault | undefined;
  /** Called when the operation that was marked for it is in flight. */
  readonly onMarked: () => void;
}

interface InFlight {
  readonly operation: SimOperation;
  readonly effect: SimEffect<unknown>;
  readonly reject: (error: DiskError) => void;
}

/** Runs the operations of one disk until its death. */
export class SimOperations {
  /** How many were started. */
  count = 0;
  /** The number of the operation to report when it is in flight. */
  marked: number | undefined;
  readonly #options: SimOperationsOptions;
  readonly #lane: Lane = new Lane();
  readonly #inFlight: Set<InFlight> = new Set();
  /** Completions held by a stall. */
  #held: (() => void)[] | undefined;
  #dead = false;

  constructor(options: SimOperationsOptions) {
    this.#options = options;
  }

  /** Starts an operation, at once where it is urgent, else after those before it. */
  start<T>(request: SimRequest, effect: SimEffect<T>): Promise<T> {
    return request.urgent
      ? this.#begin(request, effect)
      : this.#lane.run(() => this.#begin(request, effect));
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
    this.#inFlight.clear();
    for (const { effect } of flights) interrupt(effect, random, power);
    return {
      settle: () => {
        for (const { reject, operation } of flights) reject(gone(operation.path));
      },
    };
  }

  #begin<T>(request: SimRequest, effect: SimEffect<T>): Promise<T> {
    if (this.#dead) return Promise.reject(gone(request.path));
    const operation: SimOperation = { n: ++this.count, ...request };
    const fault = this.#options.before(operation);
    // The hook may have ended the world.
    if (this.#isDead()) return Promise.reject(gone(request.path));
    return new Promise<T>((resolve, reject) => {
      const flight: InFlight = { operation, effect, reject };
      this.#inFlight.add(flight);
      this.#schedule(operation, () => {
        if (!this.#inFlight.delete(flight)) return;
        try {
          resolve(this.#finish(operation, effect, fault));
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
      if (this.marked === operation.n) this.#options.onMarked();
    });
  }

  #isDead(): boolean {
    return this.#dead;
  }

  #schedule(operation: SimOperation, task: () => void): void {
    this.#options.complete(() => {
      if (this.#held === undefined) task();
      else this.#held.push(task);
    }, operation);
  }

  #finish<T>(operation: SimOperation, effect: SimEffect<T>, fault: SimFault | undefined): T {
    if (fault === undefined) return effect.run();
    const how = fault.effect ?? "none";
    if (effect.fail !== undefined) effect.fail(how, fault.reason);
    else if (how === "all") effect.run();
    else if (how === "some") interrupt(effect, this.#options.random, false);
    const message = `${operation.kind} failed (injected, operation ${operation.n})`;
    throw new DiskError(fault.reason, operation.path, message);
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
