/** A progress bar on standard error, and nothing at all where that is not a terminal. */
const WIDTH = 30;

export class Progress {
  readonly #stream: NodeJS.WriteStream;
  #steps = 0;
  #done = -1;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  begin(steps: number): void {
    this.#steps = steps;
  }

  /** One more step begins. */
  step(label: string): void {
    this.#done++;
    this.note(label);
  }

  /** Says what goes on. */
  note(label: string): void {
    if (!this.#stream.isTTY) return;
    const done = Math.max(0, this.#done);
    const filled = Math.round((WIDTH * done) / this.#steps);
    const bar = "█".repeat(filled) + "░".repeat(WIDTH - filled);
    this.#stream.write(`\r\u001b[2K${bar} ${done}/${this.#steps} ${label}`);
  }

  end(): void {
    if (this.#stream.isTTY) this.#stream.write("\r\u001b[2K");
  }
}
