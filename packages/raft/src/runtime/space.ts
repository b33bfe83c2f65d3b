/**
 * Whether a member has space for what it is given: for its log, and where its machine lives on
 * disk, for that. Without it is read-only (core/health.ts), and goes on by itself.
 *
 * The log says so itself. Of a machine it is asked, as it may find out between two turns.
 */
import type { RaftInputs } from "../core/contract.ts";
import type { LogStatus } from "../log/log.ts";
import type { Observers } from "./observers.ts";

/** See the top of this file. */
export class Space {
  readonly #observers: Observers;
  #log: LogStatus["state"] = "ok";
  #isMachineFull = false;
  #isTold = false;

  constructor(observers: Observers) {
    this.#observers = observers;
  }

  /** What a status page says of the storage, where nothing is stalled. */
  get state(): LogStatus["state"] {
    return this.#log === "ok" && this.#isMachineFull ? "full" : this.#log;
  }

  logIs(state: LogStatus["state"]): void {
    this.#log = state;
  }

  /** Tells the core what holds now, where that is news to it; whether it was. */
  tells(nowMs: number, core: RaftInputs, isMachineFull: boolean): boolean {
    const before = this.state;
    this.#isMachineFull = isMachineFull;
    // Of its own changes the log has told already.
    if (this.state !== before) this.#observers.emit({ type: "storage", state: this.state });
    const isFull = this.state === "full";
    if (isFull === this.#isTold) return false;
    this.#isTold = isFull;
    core.storage(nowMs, isFull);
    return true;
  }
}
