/**
 * examples/ondisk at a real terminal: the prompt, lines that come back with the arrow keys, also in
 * a later life, and the three ways to end.
 */
import { expect, test } from "vitest";
import { Prompts } from "../harness/prompts.ts";
import { skipLoudly } from "../harness/skip-loudly.ts";
import { hasScript, NO_SCRIPT } from "../harness/terminal.ts";

const UP = "\u001b[A";
const CTRL_C = "\u0003";
const CTRL_D = "\u0004";
const ENDED = { code: 0, signal: null };

test("at a terminal arrow up brings back what was typed; exit, Ctrl-D and Ctrl-C end with 0", async (context) => {
  if (!hasScript()) skipLoudly(context, NO_SCRIPT);
  const prompts = await Prompts.place(context, true);
  const line = (id: string): string => `./ondisk --nodeid ${id}`;
  for (const id of ["1", "2", "3"]) prompts.start(`./ondisk -replicaid ${id}`);
  await prompts.ready("1");
  prompts.type("1", "put greeting hello");
  await prompts.ready("1");
  await prompts.ready("2");
  prompts.type("2", "get greeting");
  await prompts.prints("2", "result: hello");
  await prompts.ready("2");
  prompts.type("2", "get nothing");
  await prompts.prints("2", "result: ");
  await prompts.ready("2");
  prompts.press("2", UP + UP);
  await prompts.prints("2", "get greeting");
  prompts.press("2", "\r");
  await prompts.prints("2", "result: hello");

  prompts.type("2", "exit");
  expect(await prompts.script("2").ended).toEqual(ENDED);
  prompts.start(line("2"));
  await prompts.ready("2");
  // Each line once, the newest first.
  prompts.press("2", UP);
  await prompts.prints("2", "get greeting");
  prompts.press("2", UP);
  await prompts.prints("2", "get nothing");
  prompts.press("2", "\r");
  await prompts.ready("2");
  prompts.press("2", CTRL_D);
  expect(await prompts.script("2").ended).toEqual(ENDED);
  await prompts.ready("3");
  prompts.press("3", `half a command${CTRL_C}`);
  expect(await prompts.script("3").ended).toEqual(ENDED);
  // What comes next, a shell's prompt, begins a line.
  for (const id of ["2", "3"]) expect(prompts.script(id).output).toMatch(/\n$/);

  // Started over.
  prompts.type("1", "exit");
  await prompts.script("1").ended;
  await prompts.example.run("rm -r example-data");
  for (const id of ["1", "2", "3"]) prompts.start(line(id));
  await prompts.ready("1");
  prompts.type("1", "get greeting");
  await prompts.prints("1", "query key: greeting, result: \r\n");
}, 30_000);
