/**
 * The client of every command that asks members: the one of `quorate-server/client`, with what the
 * flags say, and its errors as exit codes.
 *
 * A command asks the endpoints in their order, and fails at once where none can be connected to:
 * somebody waits in front of it. Everything else, above all when a write may be sent again, is as
 * for any user of the client.
 */
import { QuorateError } from "quorate";
import { ClientError, connect } from "../client/index.ts";
import type { KvClient } from "../client/index.ts";
import { rowOf } from "../http/http-error.ts";
import { CommandFailed } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

/** The flags of every client command, as commander hands them over. */
export interface ClientFlags {
  readonly endpoint?: string;
  readonly timeout: number;
  readonly json?: boolean;
  readonly local?: boolean;
  readonly consistency?: "linearizable" | "lease" | "local";
  readonly maxStaleness?: number;
  readonly ifRevision?: number;
  readonly ifAbsent?: boolean;
  readonly idempotencyKey?: string;
  readonly after?: string;
  readonly limit?: number;
}

/** Where `quorate dev` serves. */
export const DEV_ENDPOINTS: readonly string[] = [10_091, 10_092, 10_093].map(
  (port) => `http://127.0.0.1:${port}`,
);

/** The endpoints of a command: those of the flag, of QUORATE_ENDPOINT, or of `quorate dev`. */
export function endpointsOf(flags: ClientFlags, env: Terminal["env"]): readonly string[] {
  const given = flags.endpoint ?? env["QUORATE_ENDPOINT"] ?? "";
  return given === "" ? DEV_ENDPOINTS : given.split(",");
}

/** The client of a command. Throws where an endpoint is none. */
export function clientOf(flags: ClientFlags, { env }: Terminal): KvClient {
  try {
    return connect({
      endpoints: endpointsOf(flags, env),
      timeoutMs: flags.timeout,
      attemptTimeoutMs: flags.timeout,
      whenUnreachable: "fail",
      order: "given",
    });
  } catch (cause) {
    if (!ClientError.is(cause)) throw cause;
    const more = "several are separated by commas";
    throw new QuorateError("OPTION_INVALID", `--endpoint: ${cause.message}; ${more}`, { cause });
  }
}

/** What a call of the client came to; its errors end the command with their exit code. */
export async function told<T>(call: Promise<T>, { endpoints }: KvClient): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw asFailure(error, endpoints);
  }
}

/** An error of the client as the end of a command; other errors as they are. */
export function asFailure(error: unknown, endpoints: readonly string[]): Error {
  if (!ClientError.is(error)) return error instanceof Error ? error : new Error(String(error));
  const { code, outcome, message } = error;
  if (code === "UNREACHABLE") {
    const where = endpoints.join(", ");
    return new CommandFailed(4, `no member can be reached at ${where}; is the cluster running?`);
  }
  const row = rowOf(code);
  const exitCode = outcome === "unknown" && row?.outcome !== "unknown" ? 5 : (row?.exitCode ?? 1);
  return new CommandFailed(exitCode, `${message} (${code})`);
}
