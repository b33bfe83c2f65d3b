/**
 * One life of a member's process: the gate through which everything enters its code.
 *
 * While the process stands still, what arrives waits, in order; after its death nothing enters any
 * more, whatever was under way. So no other part of the world has to know about pauses and deaths.
 *
 * A process that goes on takes what has waited one by one, each as a step of its own behind which
 * promises settle, as an event loop does. What arrives in the meantime waits behind it. Expired
 * timers may come before all that waits in sockets: it depends on where in its loop the process was
 * stopped.
 */
import type { Schedule } from "./schedule.ts";

/**
 * What enters: it tells how long the chain of promises behind it can be. A message is only queued,
 * a turn or timer may settle calls, a completion of the disk has the whole log behind it.
 */
export type EntryOf = "message" | "turn" | "timer" | "disk";

/** How a process goes on. */
export interface Resumption {
  /** What has waited enters by tasks of this. */
  readonly schedule: Schedule;
  /** Timers come before everything else. */
  readonly timersFirst: boolean;
}

interface Waiting {
  readonly task: () => void;
  readonly kind: EntryOf;
}

/** A process: running, standing still, or dead. */
export class SimProcess {
  #isDead = false;
  #isPaused = false;
  /** While it stands still, and until all of it has entered afterwards. */
  #waiting: Waiting[] | undefined;
  /** The next of them. */
  #next = 0;
  readonly #onEvent: (kind: EntryOf) => void;

  /** `onEvent` is called for each thing that enters: these are the events that are counted. */
  constructor(onEvent: (kind: EntryOf) => void) {
    this.#onEvent = onEvent;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Runs code of the member: now, after the pause, or never. */
  enter(task: () => void, kind: EntryOf = "turn"): void {
    if (this.#isDead) return;
    if (this.#waiting !== undefined) {
      this.#waiting.push({ task, kind });
      return;
    }
    this.#onEvent(kind);
    task();
  }

  pause(): void {
    if (this.#isDead) return;
    this.#isPaused = true;
    this.#waiting ??= [];
  }

  /** Goes on. Without a schedule all that has waited enters at once. */
  resume(how?: Resumption): void {
    if (!this.#isPaused || this.#waiting === undefined) return;
    this.#isPaused = false;
    const waiting = this.#waiting.slice(this.#next);
    this.#next = 0;
    this.#waiting =
      how?.timersFirst === true
        ? [...waiting.filter(isTimer), ...waiting.filter((one) => !isTimer(one))]
        : waiting;
    if (how === undefined) while (this.#takeNext());
    else this.#takeAll(how.schedule);
  }

  die(): void {
    this.#isDead = true;
    this.#isPaused = false;
    this.#waiting = undefined;
  }

  #takeAll(schedule: Schedule): void {
    const waiting = this.#waiting;
    schedule.after(0, () => {
      // Another pause has another list.
      if (this.#waiting === waiting && this.#takeNext()) this.#takeAll(schedule);
    });
  }

  /** Lets the next one in; whether there may be more. */
  #takeNext(): boolean {
    const waiting = this.#waiting;
    if (waiting === undefined || this.#isPaused) return false;
    const next = waiting[this.#next++];
    if (next === undefined) {
      this.#waiting = undefined;
      this.#next = 0;
      return false;
    }
    this.#onEvent(next.kind);
    next.task();
    return true;
  }
}

function isTimer({ kind }: Waiting): boolean {
  return kind === "timer";
}
