/**
 * One life of a member's process: the gate through which everything enters its code.
 *
 * While the process stands still, what arrives waits, in order; after its death nothing enters any
 * more, whatever was under way. So no other part of the world has to know about pauses and deaths.
 */

/** A process: running, standing still, or dead. */
export class SimProcess {
  #isDead = false;
  #held: (() => void)[] | undefined;
  readonly #onEvent: () => void;

  /** `onEvent` is called for each thing that enters: these are the events that are counted. */
  constructor(onEvent: () => void) {
    this.#onEvent = onEvent;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  get isPaused(): boolean {
    return this.#held !== undefined;
  }

  /** Runs code of the member: now, after the pause, or never. */
  enter(task: () => void): void {
    if (this.#isDead) return;
    if (this.#held !== undefined) {
      this.#held.push(task);
      return;
    }
    this.#onEvent();
    task();
  }

  pause(): void {
    if (!this.#isDead) this.#held ??= [];
  }

  /** Goes on: what has waited enters, in its order. */
  resume(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const task of held) this.enter(task);
  }

  die(): void {
    this.#isDead = true;
    this.#held = undefined;
  }
}
