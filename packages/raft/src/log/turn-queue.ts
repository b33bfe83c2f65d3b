/**
 * One at a time, in the order of asking. Taking a free turn is synchronous: the hot path of the log
 * pays for no promise here.
 */
export class TurnQueue {
  #taken = false;
  readonly #waiting: (() => void)[] = [];

  /** Takes the turn if it is free and nobody waits for it. */
  tryTake(): boolean {
    if (this.#taken) return false;
    this.#taken = true;
    return true;
  }

  /** Resolves when it is the caller's turn. */
  take(): Promise<void> {
    if (this.tryTake()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** Ends the turn: the next one in line has it at once. */
  give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#taken = false;
    else next();
  }
}
