/**
 * Members of examples/ondisk with what is typed at their prompts: through a pipe that stays open,
 * or at a terminal, which `script` of util-linux makes of one.
 */
import { execFileSync } from "node:child_process";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "vitest";
import { Example } from "./example.ts";
import type { Script } from "./example.ts";
import { takePort } from "./ports.ts";
import { waitUntil } from "./wait.ts";

const WAIT_MS = 20_000;

/** The members of one test, and what is typed at their prompts. */
export class Prompts {
  readonly example: Example;
  /** Members have a terminal, not a pipe. */
  readonly #isTerminal: boolean;
  readonly #running = new Map<string, Script>();
  /** How much of the output of each was looked at. */
  readonly #seen = new Map<string, number>();
  readonly #ready = new Set<string>();

  /** Takes ports and a folder; starts nothing. */
  static async place(context: TestContext, isTerminal = false): Promise<Prompts> {
    const ports = await Promise.all([1, 2, 3, 4].map(() => takePort()));
    const replacements = ports.map((port, i) => {
      return [new RegExp(`\\b6300${i + 1}\\b`, "g"), `${port}`] as const;
    });
    const variables = { ONDISK_PORTS: ports.slice(0, 3).join() };
    return new Prompts(new Example(context, "ondisk", { replacements, variables }), isTerminal);
  }

  private constructor(example: Example, isTerminal: boolean) {
    this.example = example;
    this.#isTerminal = isTerminal;
  }

  script(id: string): Script {
    return this.#running.get(id)!;
  }

  /** Starts a member with a pipe for its prompt, which stays open. */
  start(line: string): void {
    const id = /(?:node|replica)id (\d)/.exec(line)![1]!;
    const pipe = `prompt-${id}-${Math.random()}`;
    execFileSync("mkfifo", [pipe], { cwd: this.example.folder });
    const command = this.#isTerminal ? `script -qfec '${line}' /dev/null` : line;
    const script = this.example.start(`${command} <> ${pipe}`);
    Object.assign(script, { pipe });
    this.#running.set(id, script);
    this.#seen.set(id, 0);
    this.#ready.delete(id);
  }

  /** Waits until nothing typed is being carried out. */
  async ready(id: string): Promise<void> {
    if (!this.#ready.has(id)) await this.prints(id, `${id}> `);
    this.#ready.add(id);
  }

  type(id: string, words: string): void {
    this.press(id, `${words}\n`);
  }

  /** Presses keys, as a terminal sends them. */
  press(id: string, keys: string): void {
    this.#ready.delete(id);
    const script = this.script(id) as Script & { pipe: string };
    appendFileSync(join(this.example.folder, script.pipe), keys);
  }

  /** Waits until the member has printed so. */
  async prints(id: string, text: string): Promise<void> {
    const wanted = this.example.here(text);
    const script = this.script(id);
    await waitUntil(`"${wanted}" at the prompt of ${id}`, WAIT_MS, () => {
      const at = script.output.indexOf(wanted, this.#seen.get(id));
      if (at >= 0) this.#seen.set(id, at + wanted.length);
      return at >= 0;
    });
  }
}
