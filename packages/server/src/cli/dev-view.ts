/**
 * What `quorate dev` shows: the members, who leads, and what to try. Until somebody leads, a
 * terminal shows a line that moves.
 */
import type { DevMemberPlan } from "./dev-member.ts";
import { alignRows, stylesOf } from "./terminal.ts";
import type { Style, Terminal } from "./terminal.ts";

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 100;

/** Writes everything that `quorate dev` says. */
export class DevView {
  readonly #terminal: Terminal;
  readonly #style: (style: Style, text: string) => string;
  #timer: NodeJS.Timeout | undefined;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#style = stylesOf(terminal.stdout, terminal.env);
  }

  /** Shows that something is awaited, until the next line. */
  wait(text: string): void {
    this.#endWait();
    const { stdout } = this.#terminal;
    if (stdout.isTTY !== true) {
      stdout.write(`${text} …\n`);
      return;
    }
    let frame = 0;
    this.#timer = setInterval(() => {
      frame = (frame + 1) % FRAMES.length;
      stdout.write(`\r${this.#style("cyan", FRAMES[frame]!)} ${text} …`);
    }, FRAME_MS);
  }

  /** One line. */
  line(text: string, style?: Style): void {
    this.#endWait();
    this.#terminal.stdout.write(`${style === undefined ? text : this.#style(style, text)}\n`);
  }

  /** The members, who leads, and lines to paste. */
  board(plans: readonly DevMemberPlan[], leader: string, term: number, data: string): void {
    const style = this.#style;
    const rows = plans.map(({ id, rpc, http }) => {
      return [id, rpc, `http://${http}`, id === leader ? "leader" : "follower"];
    });
    const table = alignRows([["member", "peers", "http", "role"], ...rows], (cell, row) => {
      if (row === 0) return style("dim", cell);
      return cell === "leader" ? style("green", cell) : cell;
    });
    const lines = [
      "",
      indented(table),
      "",
      `  ${style("bold", `${leader} leads`)} (term ${term}). Every member takes every request:`,
      "",
      ...linesToTry(plans).map((line) => `    ${style("cyan", line)}`),
      "",
      `  Data and logs are in ${data}. Ctrl-C ends all members.`,
      "",
    ];
    this.line(lines.join("\n"));
  }

  /** Stops what moves. */
  close(): void {
    this.#endWait();
  }

  #endWait(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#terminal.stdout.write("\r\u001b[K");
  }
}

/** Each goes to another member, where there are others. */
export function linesToTry(plans: readonly DevMemberPlan[]): readonly string[] {
  const at = (n: number): string => `http://${plans[n % plans.length]!.http}`;
  return [
    `curl -X PUT -d hello ${at(0)}/kv/greeting`,
    `curl ${at(1)}/kv/greeting`,
    `curl '${at(2)}/kv?prefix=gre'`,
    `curl -X DELETE ${at(2)}/kv/greeting`,
    `curl ${at(0)}/status`,
  ];
}

function indented(text: string): string {
  return text.replace(/^/gm, "  ");
}
