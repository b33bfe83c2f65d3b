/**
 * What the command line reads from and writes to, so that tests can stand in for the terminal; and
 * the little formatting that it does.
 */
import { styleText } from "node:util";
import { ERROR_CODES, QuorateError } from "quorate";

/** One way out. */
export interface Output {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(chunk: string | Uint8Array): unknown;
}

/** Everything around a command. */
export interface Terminal {
  readonly stdin: AsyncIterable<Uint8Array> & { readonly isTTY?: boolean | undefined };
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** How a style is named, as `util.styleText` names it. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

/** Ends a command with an exit code and a message, or silently where all is said. */
export class CommandFailed extends Error {
  override readonly name = "CommandFailed";
  readonly exitCode: number;

  constructor(exitCode: number, message: string = "") {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The styles of an output: none where it is no terminal, or where NO_COLOR is set. */
export function stylesOf(
  output: Output,
  env: Terminal["env"],
): (style: Style, s: string) => string {
  const colored = output.isTTY === true && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
  if (!colored) return (_style, text) => text;
  // What stdout is has been judged here: styleText must not judge the process's own again.
  return (style, text) => styleText(style, text, { validateStream: false });
}

/** Rows as aligned columns, two spaces apart. Cells are padded before they are styled. */
export function alignRows(
  rows: readonly (readonly string[])[],
  styled: (cell: string, row: number, column: number) => string = (cell) => cell,
): string {
  const widths: number[] = [];
  for (const row of rows) {
    // The last cell of a row is not padded, and may be longer than its column.
    row.slice(0, -1).forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  }
  const lines = rows.map((row, r) =>
    row
      .map((cell, c) => styled(c === row.length - 1 ? cell : cell.padEnd(widths[c] ?? 0), r, c))
      .join("  "),
  );
  return lines.join("\n");
}

/** The exit code and message of anything that a command threw. */
export function failureOf(error: unknown): { readonly exitCode: number; readonly message: string } {
  if (error instanceof CommandFailed) return { exitCode: error.exitCode, message: error.message };
  if (!QuorateError.is(error)) {
    return { exitCode: 1, message: error instanceof Error ? error.message : String(error) };
  }
  const mark = `[${error.code}] `;
  const { message } = error;
  const text = message.startsWith(mark) ? message.slice(mark.length) : message;
  return { exitCode: ERROR_CODES[error.code].exitCode, message: text };
}
