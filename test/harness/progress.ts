/**
 * How far a long test is: a bar with the time that is left, on the terminal of whoever started the
 * run, or a line for each tenth where there is none. Short forms show nothing.
 *
 * A runner's workers have pipes for output, not a terminal; so the terminal is opened by its name.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import type { TestContext } from "vitest";

const IS_LONG = process.env["QUORATE_LONG"] === "1";
const COLUMNS = 30;
const SHOW_MS = 250;
const MINUTE_MS = 60_000;
const STDERR = 2;

/** One bar; it ends with its test. */
export class Progress {
  readonly #what: string;
  readonly #total: number;
  readonly #terminal: number | undefined;
  readonly #beganMs = performance.now();
  #shownMs = Number.NEGATIVE_INFINITY;
  #tenths = 0;

  /** `what` is counted, up to `total`. */
  constructor(context: TestContext, what: string, total: number) {
    this.#what = what;
    this.#total = total;
    const terminal = IS_LONG ? openTerminal() : undefined;
    this.#terminal = terminal;
    if (terminal === undefined) return;
    context.onTestFinished(() => {
      writeSync(terminal, "\r\u001b[2K");
      closeSync(terminal);
    });
  }

  /** So much is done; `note` says what goes on. */
  show(done: number, note = ""): void {
    if (!IS_LONG) return;
    const text = `${done}/${this.#total} ${this.#what}${this.#left(done)}${note && `, ${note}`}`;
    if (this.#terminal !== undefined) this.#draw(this.#terminal, done, text);
    else this.#tell(done, text);
  }

  #draw(terminal: number, done: number, text: string): void {
    const nowMs = performance.now();
    if (nowMs - this.#shownMs < SHOW_MS && done < this.#total) return;
    this.#shownMs = nowMs;
    const filled = Math.round((COLUMNS * Math.min(done, this.#total)) / this.#total);
    const bar = "█".repeat(filled) + "░".repeat(COLUMNS - filled);
    writeSync(terminal, `\r\u001b[2K${bar} ${text}`);
  }

  #tell(done: number, text: string): void {
    const tenths = Math.floor((10 * done) / this.#total);
    if (tenths <= this.#tenths) return;
    this.#tenths = tenths;
    writeSync(STDERR, `${text}\n`);
  }

  #left(done: number): string {
    if (done === 0 || done >= this.#total) return "";
    const leftMs = ((performance.now() - this.#beganMs) * (this.#total - done)) / done;
    return leftMs < MINUTE_MS
      ? `, ${Math.ceil(leftMs / 1_000)} s left`
      : `, ${Math.ceil(leftMs / MINUTE_MS)} min left`;
  }
}

function openTerminal(): number | undefined {
  try {
    return openSync("/dev/tty", "w");
  } catch {
    return undefined;
  }
}
