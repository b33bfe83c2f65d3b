/**
 * examples/ondisk: the walk-through of its README, command by command, on real processes, with what
 * is typed at the prompts; and members that are killed while they apply.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Prompts } from "../harness/prompts.ts";

const WAIT_MS = 20_000;

test("the README of examples/ondisk: every command, and every line at a prompt", async (context) => {
  const prompts = await Prompts.place(context);
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
  const prompts = await Prompts.place(context);
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
