/**
 * `quorate recover`: after a quorum is lost for good, one surviving member goes on alone.
 *
 * What it may cost is printed first. Nothing is changed unless the id of the cluster is repeated,
 * by --confirm or typed in a terminal: somebody who has to copy it has seen the page around it.
 */
import { planRecovery, recoverQuorum } from "quorate";
import type { QuorumRecovery, QuorumRecoveryPlan } from "quorate";
import { wrapped } from "./doctor-view.ts";
import { alignRows, CommandFailed, stylesOf } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

/** The flags of `quorate recover`. */
export interface RecoverFlags {
  readonly confirm?: string;
  readonly json?: boolean;
}

const ANSWER_BYTES_MAX = 1_000;

/** Plans, shows, asks, and carries out. */
export async function runRecover(
  { directories, flags }: { readonly directories: readonly string[]; readonly flags: RecoverFlags },
  terminal: Terminal,
): Promise<void> {
  const plan = await planRecovery(directories);
  const asJson = flags.json === true;
  if (!asJson) terminal.stdout.write(`${planView(plan, terminal)}\n\n`);
  const confirmed = flags.confirm ?? (asJson ? undefined : await typed(plan, terminal));
  if (confirmed === undefined) {
    if (asJson) terminal.stdout.write(`${JSON.stringify({ plan }, null, 2)}\n`);
    throw new CommandFailed(
      2,
      `nothing was changed; to go on, repeat this with --confirm ${plan.clusterId}`,
    );
  }
  const done = await recoverQuorum(plan, confirmed.trim());
  const text = asJson ? JSON.stringify({ plan, done }, null, 2) : doneView(plan, done);
  terminal.stdout.write(`${text}\n`);
}

function planView(plan: QuorumRecoveryPlan, terminal: Terminal): string {
  const style = stylesOf(terminal.stdout, terminal.env);
  const rows = plan.survivors.map((survivor, i) => [
    i === 0 ? "goes on" : "given up",
    survivor.id,
    survivor.role,
    String(survivor.lastTerm),
    String(survivor.lastIndex),
    String(survivor.commit),
    survivor.path,
  ]);
  const heads = ["", "id", "role", "last term", "last index", "committed", "directory"];
  const table = alignRows([heads, ...rows], (cell, row) => (row === 0 ? style("dim", cell) : cell));
  const [first, ...others] = plan.consequences.map((sentence) => {
    const [head, ...rest] = wrapped(sentence, "  ");
    return [`- ${head!.trimStart()}`, ...rest].join("\n");
  });
  const list = [first, ...others.map((line) => line.replace("LOST", style("red", "LOST")))];
  return `cluster ${plan.clusterId}\n\n${table}\n\n${list.join("\n")}`;
}

/** What is typed in a terminal; undefined where there is none to ask. */
async function typed(plan: QuorumRecoveryPlan, terminal: Terminal): Promise<string | undefined> {
  if (terminal.stdin.isTTY !== true) return undefined;
  terminal.stdout.write(`Type the id of the cluster to go on (${plan.clusterId}): `);
  let text = "";
  for await (const chunk of terminal.stdin) {
    text += new TextDecoder().decode(chunk);
    if (text.includes("\n") || text.length > ANSWER_BYTES_MAX) break;
  }
  const [line = ""] = text.split("\n");
  return line.trim() === "" ? undefined : line;
}

function doneView({ dropped, survivors }: QuorumRecoveryPlan, done: QuorumRecovery): string {
  const { id, path } = survivors[0]!;
  const others = dropped.map((member) => member.id).join(", ");
  const next =
    others === ""
      ? ""
      : `\nThen let others join it, each on an empty directory (before: ${others}).`;
  return (
    `${id} is the only member of cluster ${done.clusterId} now (entry ${done.index}, term ` +
    `${done.term}).\nStart it as usual on ${path}.${next}`
  );
}
