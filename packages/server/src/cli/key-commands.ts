/**
 * put, get, delete and list. Keys travel as `/kv?key=`, which reaches every key.
 */
import { readFile } from "node:fs/promises";
import { QuorateError } from "quorate";
import { ask, endpointsOf } from "./client.ts";
import type { ClientAnswer, ClientFlags } from "./client.ts";
import type { Terminal } from "./terminal.ts";

/** A key and the flags of the command. */
export interface KeyCommand {
  readonly key: string;
  readonly flags: ClientFlags;
}

const STDIN_BYTES_MAX = 16_777_216;
const PAGE = 1_000;

/** `quorate put <key> <value>` */
export async function runPut(
  { key, value, flags }: KeyCommand & { readonly value: string },
  terminal: Terminal,
): Promise<void> {
  if (flags.ifAbsent === true && flags.ifRevision !== undefined) {
    throw new QuorateError("OPTION_INVALID", "--if-absent and --if-revision exclude each other");
  }
  const body = await valueOf(value, terminal);
  const headers = flags.ifAbsent === true ? { "if-none-match": "*" } : ifMatch(flags);
  const endpoints = endpointsOf(flags, terminal.env);
  const request = { method: "PUT", path: pathOf(key), headers, body } as const;
  const answer = jsonIn(await ask(request, endpoints, flags.timeout));
  if (flags.json === true) return printJson(terminal, answer);
  const word = answer["created"] === true ? "created" : "replaced";
  terminal.stdout.write(`${word} at revision ${String(answer["revision"])}\n`);
}

/** `quorate get <key>` */
export async function runGet({ key, flags }: KeyCommand, terminal: Terminal): Promise<void> {
  const query = freshness(flags, new URLSearchParams({ key }));
  const path = `/kv?${query.toString()}`;
  const endpoints = endpointsOf(flags, terminal.env);
  const { headers, body } = await ask({ method: "GET", path }, endpoints, flags.timeout);
  if (flags.json === true) {
    const revision = Number(headers.get("x-quorate-revision"));
    return printJson(terminal, {
      key,
      revision,
      valueBase64: Buffer.from(body).toString("base64"),
    });
  }
  terminal.stdout.write(body);
  // The bytes and nothing else, unless a person would have the prompt behind them.
  if (terminal.stdout.isTTY === true && body.at(-1) !== 10) terminal.stdout.write("\n");
}

/** `quorate delete <key>` */
export async function runDelete({ key, flags }: KeyCommand, terminal: Terminal): Promise<void> {
  const endpoints = endpointsOf(flags, terminal.env);
  const request = { method: "DELETE", path: pathOf(key), headers: ifMatch(flags) } as const;
  const answer = jsonIn(await ask(request, endpoints, flags.timeout));
  if (flags.json === true) return printJson(terminal, answer);
  const word = answer["deleted"] === true ? "deleted" : "was absent";
  terminal.stdout.write(`${word} at revision ${String(answer["revision"])}\n`);
}

/** `quorate list [prefix]`: page by page until the end or the limit. */
export async function runList(
  { prefix, flags }: { readonly prefix: string; readonly flags: ClientFlags },
  terminal: Terminal,
): Promise<void> {
  const endpoints = endpointsOf(flags, terminal.env);
  let after = flags.after;
  let left = flags.limit ?? Number.POSITIVE_INFINITY;
  while (left > 0) {
    const query = new URLSearchParams({ prefix, limit: String(Math.min(left, PAGE)) });
    if (after !== undefined) query.set("after", after);
    freshness(flags, query);
    const request = { method: "GET", path: `/kv?${query.toString()}` } as const;
    const page = jsonIn(await ask(request, endpoints, flags.timeout));
    const items = page["items"] as readonly { readonly key: string }[];
    for (const item of items) {
      terminal.stdout.write(`${flags.json === true ? JSON.stringify(item) : item.key}\n`);
    }
    left -= items.length;
    const next = page["next"] as string | null;
    if (next === null) return;
    after = next;
  }
}

/** Says how fresh the answer is to be; what goes together is for the member to judge. */
function freshness(flags: ClientFlags, query: URLSearchParams): URLSearchParams {
  if (flags.local === true) query.set("local", "true");
  if (flags.consistency !== undefined) query.set("consistency", flags.consistency);
  if (flags.maxStaleness !== undefined) query.set("maxStalenessMs", String(flags.maxStaleness));
  return query;
}

function pathOf(key: string): string {
  return `/kv?${new URLSearchParams({ key }).toString()}`;
}

function ifMatch({ ifRevision }: ClientFlags): Record<string, string> {
  return ifRevision === undefined ? {} : { "if-match": `"${ifRevision}"` };
}

async function valueOf(value: string, { stdin }: Terminal): Promise<Uint8Array> {
  if (value.startsWith("@")) {
    try {
      return await readFile(value.slice(1));
    } catch (cause) {
      const hint = "a value that begins with @ names a file; give other ones through - and stdin";
      const message = `cannot read ${value.slice(1)}: ${(cause as Error).message} (${hint})`;
      throw new QuorateError("OPTION_INVALID", message, { cause });
    }
  }
  if (value !== "-") return Buffer.from(value, "utf8");
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stdin) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > STDIN_BYTES_MAX) {
      throw new QuorateError("OPTION_INVALID", `more than ${STDIN_BYTES_MAX} bytes on stdin`);
    }
  }
  return Buffer.concat(chunks);
}

function jsonIn({ body }: ClientAnswer): Record<string, unknown> {
  return JSON.parse(new TextDecoder().decode(body)) as Record<string, unknown>;
}

function printJson(terminal: Terminal, value: unknown): void {
  terminal.stdout.write(`${JSON.stringify(value)}\n`);
}
