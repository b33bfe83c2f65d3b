/**
 * One life of a member's process: the gate through which everything enters its code.
 *
 * While the process stands still, what arrives waits, in order; after its death nothing enters any
 * more, whatever was under way. So no other part of the world has to know about pauses and deaths.
 */

/**
 * What enters: it tells how long the chain of promises behind it can be. A message is only queued,
 * a turn or timer may settle calls, a completion of the disk has the whole log behind it.
 */
export type EntryOf = "message" | "turn" | "disk";

/** A process: running, standing still, or dead. */
export class SimProcess {
  #isDead = false;
  #held: (() => void)[] | undefined;
  readonly #onEvent: (kind: EntryOf) => void;

  /** `onEvent` is called for each thing that enters: these are the events that are counted. */
  constructor(onEvent: (kind: EntryOf) => void) {
    this.#onEvent = onEvent;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  get isPaused(): boolean {
    return this.#held !== undefined;
  }

  /** Runs code of the member: now, after the pause, or never. */
  enter(task: () => void, kind: EntryOf = "turn"): void {
    if (this.#isDead) return;
    if (this.#held !== undefined) {
      this.#held.push(() => this.enter(task, kind));
      return;
    }
    this.#onEvent(kind);
    task();
  }

  pause(): void {
    if (!this.#isDead) this.#held ??= [];
  }

  /** Goes on: what has waited enters, in its order. */
  resume(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const task of held) task();
  }

  die(): void {
    this.#isDead = true;
    this.#held = undefined;
  }
}
