/** What is typed at the prompt, and what comes of it. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Interface } from "node:readline";
import type { Replica } from "quorate";
import type { Get, Put } from "./disk-kv.ts";

const HISTORY_LINES = 500;
const HELP = `Usage -
put key value
get key
add host:port id
remove id
status
help
exit`;

type Node = Replica<Put, Get>;

/** Takes commands until `exit`, the end of the input, or Ctrl-C. */
export async function prompt(node: Node, historyPath: string): Promise<void> {
  const lines = openPrompt(node.id, historyPath);
  const say = (text: string): void => {
    if (text !== "") process.stdout.write(`${text}\n`);
    lines.prompt(true);
  };
  lines.on("SIGINT", () => lines.close());
  lines.prompt();
  for await (const line of lines) {
    const words = line.trim();
    if (words === "exit") return lines.close();
    if (words !== "") appendFileSync(historyPath, `${words}\n`);
    say(words && (await carryOut(node, words, say).catch((error: Error) => error.message)));
  }
  process.stdout.write("\n");
}

/** Carries a line out, and gives what is to be said of it; what comes of it later is said then. */
async function carryOut(node: Node, words: string, later: (text: string) => void): Promise<string> {
  const [, name, first = "", rest = ""] = /^(\S+)(?:\s+(\S+)(?:\s+(.+))?)?$/.exec(words) ?? [];
  if (name === "put" && rest !== "") {
    await node.write({ type: "put", key: first, value: rest });
    return "";
  }
  if (name === "get" && first !== "" && rest === "") {
    const value = await node.read({ type: "get", key: first });
    return `query key: ${first}, result: ${value ?? ""}`;
  }
  if (name === "add" && /^[1-9]\d*$/.test(rest)) {
    // It may be started after this; it votes once it has come and caught up.
    node.members.add({ id: rest, address: first }).then(
      () => later(`\n${rest} is a voter now`),
      (error: Error) => later(`\n${error.message}`),
    );
    return `${rest} is being added: start it with --nodeid ${rest} --addr ${first} --join`;
  }
  if (name === "remove" && first !== "" && rest === "") {
    await node.members.remove(first);
    return `${first} is removed`;
  }
  if (name === "status") return statusOf(node);
  return name === "help" ? HELP : `invalid input\n${HELP}`;
}

function statusOf(node: Node): string {
  const { state, role, term, leader, applied, startIndex, lastIndex, membership } = node.status();
  const members = membership.members.map(({ id, address, role: as }) => `${id} ${address} ${as}`);
  return [
    `${node.id} is ${state}, ${role} in term ${term}; leader: ${leader ?? "none"}`,
    `applied ${applied}; the log holds ${startIndex + 1} to ${lastIndex}`,
    ...members,
  ].join("\n");
}

function openPrompt(id: string, historyPath: string): Interface {
  const before = existsSync(historyPath) ? readFileSync(historyPath, "utf8").trimEnd() : "";
  return createInterface({
    input: process.stdin,
    output: process.stdout,
    prompt: `${id}> `,
    // The newest first, each once.
    history: [...new Set(before.split("\n").toReversed())].slice(0, HISTORY_LINES),
    historySize: HISTORY_LINES,
    removeHistoryDuplicates: true,
  });
}
