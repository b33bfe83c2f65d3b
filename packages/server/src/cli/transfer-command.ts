/**
 * `quorate transfer [id]`: has leadership moved, and says who leads then.
 */
import { ask, endpointsOf } from "./client.ts";
import type { ClientFlags } from "./client.ts";
import type { Terminal } from "./terminal.ts";

/** Moves leadership to the member, or to the one that suits best. */
export async function runTransfer(
  { id, flags }: { readonly id: string | undefined; readonly flags: ClientFlags },
  terminal: Terminal,
): Promise<void> {
  const path = `/leader/transfer${id === undefined ? "" : `?to=${encodeURIComponent(id)}`}`;
  const endpoints = endpointsOf(flags, terminal.env);
  const { body } = await ask({ method: "POST", path }, endpoints, flags.timeout);
  const { leader } = JSON.parse(new TextDecoder().decode(body)) as { readonly leader: string };
  const text = flags.json === true ? JSON.stringify({ leader }) : `${leader} leads`;
  terminal.stdout.write(`${text}\n`);
}
