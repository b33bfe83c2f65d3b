/**
 * `quorate snapshot`: every endpoint's member takes one now, one line each.
 */
import { ClientError } from "../client/index.ts";
import type { ClientFlags } from "./client.ts";
import { asFailure, clientOf } from "./client.ts";
import { alignRows, CommandFailed, failureOf, stylesOf } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

type Row =
  | { readonly endpoint: string; readonly index: number; readonly term: number; bytes: number }
  | { readonly endpoint: string; readonly problem: string; readonly exitCode: number };

/** Has snapshots taken; fails with the code of the first member that could not. */
export async function runSnapshot(flags: ClientFlags, terminal: Terminal): Promise<void> {
  const client = clientOf(flags, terminal);
  const rows = await Promise.all(
    client.endpoints.map(async (endpoint): Promise<Row> => {
      try {
        return { endpoint, ...(await client.snapshot({ endpoint })) };
      } catch (error) {
        const { message, exitCode } = failureOf(asFailure(error, [endpoint]));
        const unreachable = ClientError.is(error) && error.code === "UNREACHABLE";
        return { endpoint, problem: unreachable ? "cannot be reached" : message, exitCode };
      }
    }),
  );
  const text = flags.json === true ? JSON.stringify(rows, null, 2) : tableOf(rows, terminal);
  terminal.stdout.write(`${text}\n`);
  const failed = rows.find((row) => "problem" in row);
  if (failed !== undefined) throw new CommandFailed(failed.exitCode);
}

function tableOf(rows: readonly Row[], terminal: Terminal): string {
  const style = stylesOf(terminal.stdout, terminal.env);
  const cells = rows.map((row) =>
    "problem" in row
      ? [row.endpoint, "-", row.problem]
      : [row.endpoint, `${row.index}`, `${row.term}`, `${row.bytes}`],
  );
  return alignRows([["endpoint", "index", "term", "bytes"], ...cells], (cell, row) =>
    row === 0 ? style("dim", cell) : cell,
  );
}
