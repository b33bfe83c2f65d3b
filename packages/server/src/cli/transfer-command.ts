/**
 * `quorate transfer [id]`: has leadership moved, and says who leads then.
 */
import { clientOf, told } from "./client.ts";
import type { ClientFlags } from "./client.ts";
import type { Terminal } from "./terminal.ts";

/** Moves leadership to the member, or to the one that suits best. */
export async function runTransfer(
  { id, flags }: { readonly id: string | undefined; readonly flags: ClientFlags },
  terminal: Terminal,
): Promise<void> {
  const client = clientOf(flags, terminal);
  const leader = await told(client.transfer(id), client);
  const text = flags.json === true ? JSON.stringify({ leader }) : `${leader} leads`;
  terminal.stdout.write(`${text}\n`);
}
