/** The little formatting that the command does, and nothing of it where nobody watches. */
import { styleText } from "node:util";

/** How a style is named, as `util.styleText` names it. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow";

const BAR_COLUMNS = 24;

/** The styles of a stream: none where it is no terminal, or where NO_COLOR is set. */
export function stylesOf(stream: NodeJS.WriteStream): (style: Style, text: string) => string {
  const { NO_COLOR: noColor, TERM: term } = process.env;
  if (!stream.isTTY || (noColor ?? "") !== "" || term === "dumb") return (_style, text) => text;
  return (style, text) => styleText(style, text, { validateStream: false });
}

/** Rows as aligned columns, two spaces apart; `right` lists the columns of numbers. */
export function alignRows(
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, c) => (widths[c] = Math.max(widths[c] ?? 0, cell.length)));
  }
  const pad = (cell: string, c: number): string =>
    right.includes(c) ? cell.padStart(widths[c]!) : cell.padEnd(widths[c]!);
  return rows.map((row) => row.map(pad).join("  ").trimEnd()).join("\n");
}

/** 12,345,678 */
export function grouped(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** 4.2 s, 3 min 20 s, 2 h 5 min */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const [h, min, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h} h ${min} min` : `${min} min ${s} s`;
}

/** A line that is written over and over, on a terminal only. */
export class LiveLine {
  readonly #stream: NodeJS.WriteStream;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /** Shows a bar filled to this share, 0 to 1, and a text behind it. */
  show(share: number, text: string): void {
    if (!this.#stream.isTTY) return;
    const filled = Math.round(BAR_COLUMNS * Math.min(1, Math.max(0, share)));
    const bar = "█".repeat(filled) + "░".repeat(BAR_COLUMNS - filled);
    const line = `${bar} ${text}`.slice(0, Math.max(1, this.#stream.columns - 1));
    this.#stream.write(`\r\u001b[2K${line}`);
  }

  /** Takes the line away, so that other text can be written. */
  clear(): void {
    if (this.#stream.isTTY) this.#stream.write("\r\u001b[2K");
  }
}
