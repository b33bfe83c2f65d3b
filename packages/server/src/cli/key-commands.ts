/**
 * put, get, delete and list, on the client of the package.
 */
import { readFile } from "node:fs/promises";
import { QuorateError } from "quorate";
import type { ClientReadOptions } from "../client/index.ts";
import { clientOf, told } from "./client.ts";
import type { ClientFlags } from "./client.ts";
import { CommandFailed } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

/** A key and the flags of the command. */
export interface KeyCommand {
  readonly key: string;
  readonly flags: ClientFlags;
}

const STDIN_BYTES_MAX = 16_777_216;

/** `quorate put <key> <value>` */
export async function runPut(
  { key, value, flags }: KeyCommand & { readonly value: string },
  terminal: Terminal,
): Promise<void> {
  if (flags.ifAbsent === true && flags.ifRevision !== undefined) {
    throw new QuorateError("OPTION_INVALID", "--if-absent and --if-revision exclude each other");
  }
  const body = await valueOf(value, terminal);
  const client = clientOf(flags, terminal);
  const { ifAbsent, ifRevision, idempotencyKey } = flags;
  const wish = client.put(key, body, { ifAbsent, ifRevision, idempotencyKey });
  const result = await told(wish, client);
  if (flags.json === true) return printJson(terminal, result);
  const word = result.created ? "created" : "replaced";
  terminal.stdout.write(`${word} at revision ${result.revision}\n`);
}

/** `quorate get <key>` */
export async function runGet({ key, flags }: KeyCommand, terminal: Terminal): Promise<void> {
  const client = clientOf(flags, terminal);
  const item = await told(client.get(key, freshness(flags)), client);
  if (item === undefined) {
    throw new CommandFailed(3, `the key ${JSON.stringify(key)} is absent (KEY_NOT_FOUND)`);
  }
  const { value, revision } = item;
  if (flags.json === true) {
    const valueBase64 = Buffer.from(value).toString("base64");
    return printJson(terminal, { key, revision, valueBase64 });
  }
  terminal.stdout.write(value);
  // The bytes and nothing else, unless a person would have the prompt behind them.
  if (terminal.stdout.isTTY === true && value.at(-1) !== 10) terminal.stdout.write("\n");
}

/** `quorate delete <key>` */
export async function runDelete({ key, flags }: KeyCommand, terminal: Terminal): Promise<void> {
  const client = clientOf(flags, terminal);
  const { ifRevision, idempotencyKey } = flags;
  const result = await told(client.delete(key, { ifRevision, idempotencyKey }), client);
  if (flags.json === true) return printJson(terminal, result);
  const word = result.deleted ? "deleted" : "was absent";
  terminal.stdout.write(`${word} at revision ${result.revision}\n`);
}

/** `quorate list [prefix]`: page by page until the end or the limit. */
export async function runList(
  { prefix, flags }: { readonly prefix: string; readonly flags: ClientFlags },
  terminal: Terminal,
): Promise<void> {
  const client = clientOf(flags, terminal);
  const { after, limit } = flags;
  const write = async (): Promise<void> => {
    for await (const item of client.list({ prefix, after, limit, ...freshness(flags) })) {
      terminal.stdout.write(`${flags.json === true ? JSON.stringify(item) : item.key}\n`);
    }
  };
  await told(write(), client);
}

/** Says how fresh the answer is to be; what else goes together is for the member to judge. */
function freshness({ local, consistency, maxStaleness }: ClientFlags): ClientReadOptions {
  if (local === true && consistency !== undefined && consistency !== "local") {
    const what = `--local with --consistency ${consistency}`;
    throw new QuorateError("OPTION_INVALID", `${what} is a contradiction`);
  }
  return {
    consistency: local === true ? "local" : consistency,
    maxStalenessMs: maxStaleness,
  };
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

function printJson(terminal: Terminal, value: unknown): void {
  terminal.stdout.write(`${JSON.stringify(value)}\n`);
}
