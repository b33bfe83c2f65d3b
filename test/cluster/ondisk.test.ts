/**
 * examples/ondisk: the walk-through of its README, command by command, on real processes, with what
 * is typed at the prompts; and members that are killed while they apply.
 */
import { execFileSync } from "node:child_process";
import { appendFileSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { Example } from "../harness/example.ts";
import type { Script } from "../harness/example.ts";
import { takePort } from "../harness/ports.ts";
import { waitUntil } from "../harness/wait.ts";

const WAIT_MS = 20_000;

/** The members of the example, and what is typed at their prompts. */
class Prompts {
  readonly example: Example;
  readonly #running = new Map<string, Script>();
  /** How much of the output of each was looked at. */
  readonly #seen = new Map<string, number>();
  readonly #ready = new Set<string>();

  constructor(example: Example) {
    this.example = example;
  }

  script(id: string): Script {
    return this.#running.get(id)!;
  }

  /** Starts a member with a pipe for its prompt, which stays open. */
  start(line: string): void {
    const id = /nodeid (\d)/.exec(line)![1]!;
    const pipe = `prompt-${id}-${Math.random()}`;
    execFileSync("mkfifo", [pipe], { cwd: this.example.folder });
    const script = this.example.start(`${line} <> ${pipe}`);
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
    this.#ready.delete(id);
    const script = this.script(id) as Script & { pipe: string };
    appendFileSync(join(this.example.folder, script.pipe), `${words}\n`);
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

test("the README of examples/ondisk: every command, and every line at a prompt", async (context) => {
  const prompts = new Prompts(await place(context));
  const { readme } = prompts.example;
  for (const [, kind, block] of readme.matchAll(/```(sh|prompt)\n([\s\S]*?)```/g)) {
    let at = "1";
    for (const line of block!.split("\n").filter((text) => text !== "" && !text.startsWith("#"))) {
      const typed = /^(\d)> (.*)$/.exec(line);
      if (kind === "sh") prompts.start(line);
      else if (typed === null) await prompts.prints(at, line);
      else {
        at = typed[1]!;
        await prompts.ready(at);
        prompts.type(at, prompts.example.here(typed[2]!));
        if (typed[2] === "exit") {
          expect(await prompts.script(at).ended).toEqual({ code: 0, signal: null });
        }
        // A put says nothing: what tells is that the prompt comes back.
        if (typed[2]!.startsWith("put")) await prompts.ready(at);
      }
    }
  }
  expect(await prompts.script("3").ended).toEqual({ code: 0, signal: null });
  prompts.type("1", "status");
  await prompts.prints("1", "4 localhost:63004 voter");
}, 30_000);

test("killed at any moment a member goes on with its store; half of one is refused", async (context) => {
  const prompts = new Prompts(await place(context));
  const line = (id: string): string => `./ondisk --nodeid ${id}`;
  for (const id of ["1", "2", "3"]) prompts.start(line(id));
  await prompts.script("1").says(/^1> /m, WAIT_MS);
  let n = 0;
  const put = (count: number): void => {
    for (let i = 0; i < count; i++) prompts.type("1", `put key${++n} value${n}`);
  };
  for (const pauseMs of [0, 20, 60]) {
    put(60);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    await prompts.script("2").kill();
    put(20);
    prompts.start(line("2"));
    prompts.type("1", `get key${n}`);
    await prompts.prints("1", `query key: key${n}, result: value${n}`);
  }
  for (const known of [1, 61, n]) {
    prompts.type("2", `get key${known}`);
    await prompts.prints("2", `query key: key${known}, result: value${known}`);
  }
  const { output } = prompts.script("1");
  expect(output.match(/\[[A-Z_]+\]/)).toBeNull();
  await prompts.script("2").kill();
  const machine = join(prompts.example.folder, "example-data/node2/machine");
  const [env] = (await readdir(machine)).filter((name) => name.startsWith("env-"));
  await rm(join(machine, env!), { recursive: true });
  prompts.start(line("2"));
  const { code } = await prompts.script("2").ended;
  expect(code).not.toBe(0);
  expect(prompts.script("2").output).toContain(`CURRENT names "${env}", which is not there`);
}, 30_000);

async function place(context: TestContext): Promise<Example> {
  const ports = await Promise.all([1, 2, 3, 4].map(() => takePort()));
  const replacements = ports.map((port, i) => {
    return [new RegExp(`\\b6300${i + 1}\\b`, "g"), `${port}`] as const;
  });
  const variables = { ONDISK_PORTS: ports.slice(0, 3).join() };
  return new Example(context, "ondisk", { replacements, variables });
}
