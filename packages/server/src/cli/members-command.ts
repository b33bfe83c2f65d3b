/**
 * `quorate members …`: who the members are, as a table, and how that is changed. While new voters
 * catch up a terminal shows how far they are; an interrupted command changes nothing about a change
 * that has begun.
 */
import { QuorateError } from "quorate";
import type {
  ChangeOptions,
  ClusterChange,
  ClusterMembers,
  ClusterPlan,
  KvClient,
  PlannedChange,
  WantedClusterMember,
} from "../client/index.ts";
import type { ClientFlags } from "./client.ts";
import { clientOf, told } from "./client.ts";
import { alignRows, CommandFailed, stylesOf } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

/** The flags of these commands, beside those of all clients. */
export interface MembersFlags extends ClientFlags {
  readonly address?: string;
  readonly learner?: boolean;
  readonly learners?: string;
  readonly catchUp?: number;
  readonly expectedVersion?: number;
}

/** A change by its name, with what stands behind it on the command line. */
export interface MembersCommand {
  readonly action: "add" | "remove" | "replace" | "promote" | "demote" | "set";
  readonly args: readonly (string | undefined)[];
  readonly flags: MembersFlags;
}

/** `quorate members list` */
export async function runMembersList(flags: MembersFlags, terminal: Terminal): Promise<void> {
  const client = clientOf(flags, terminal);
  show(await told(client.members.list(), client), flags, terminal);
}

/** `quorate members cancel` */
export async function runMembersCancel(flags: MembersFlags, terminal: Terminal): Promise<void> {
  const client = clientOf(flags, terminal);
  const { expectedVersion } = flags;
  show(await told(client.members.cancel({ expectedVersion }), client), flags, terminal);
}

/** `quorate members add|remove|replace|promote|demote|set …` */
export async function runMembersChange(command: MembersCommand, terminal: Terminal): Promise<void> {
  const { flags } = command;
  const client = clientOf(flags, terminal);
  const progress = new ProgressLine(terminal);
  const options: ChangeOptions = {
    catchUpMs: flags.catchUp,
    expectedVersion: flags.expectedVersion,
    onProgress: (members) => progress.show(changeText(members.change)),
  };
  try {
    const members = await told(begin(client, changeOf(command), options), client);
    progress.end();
    show(members, flags, terminal);
  } finally {
    progress.end();
  }
}

/** `quorate members plan add|remove|…`: exit code 9 where it would be refused. */
export async function runMembersPlan(command: MembersCommand, terminal: Terminal): Promise<void> {
  const { flags } = command;
  const client = clientOf(flags, terminal);
  const plan = await told(client.members.plan(changeOf(command)), client);
  const text = flags.json === true ? JSON.stringify(plan, null, 2) : planText(plan);
  terminal.stdout.write(`${text}\n`);
  if (plan.refused !== null) {
    throw new CommandFailed(9, `it would be refused: ${plan.refused.detail}`);
  }
}

function begin(
  { members }: KvClient,
  change: PlannedChange,
  options: ChangeOptions,
): Promise<ClusterMembers> {
  if ("add" in change) return members.add(change.add, options);
  if ("set" in change) return members.set(change.set, options);
  if ("replace" in change) {
    return members.replace(change.replace, { ...options, address: change.address });
  }
  if ("promote" in change) return members.promote(change.promote, options);
  if ("demote" in change) return members.demote(change.demote, options);
  return members.remove(change.remove, options);
}

function changeOf({ action, args, flags }: MembersCommand): PlannedChange {
  const [first = "", second] = args;
  switch (action) {
    case "add":
      return {
        add: {
          id: first,
          address: second ?? first,
          role: flags.learner === true ? "learner" : "voter",
        },
      };
    case "replace":
      return { replace: first, ...(flags.address === undefined ? {} : { address: flags.address }) };
    case "promote":
      return { promote: first };
    case "demote":
      return { demote: first };
    case "set":
      return { set: listOf(first, flags.learners) };
    default:
      return { remove: first };
  }
}

/** `n1=host:port,n2=host:port`, and who of them only learns. */
function listOf(list: string, learners: string | undefined): readonly WantedClusterMember[] {
  const learning = new Set(learners?.split(",") ?? []);
  const members = list.split(",").map((item): WantedClusterMember => {
    const equals = item.indexOf("=");
    const id = item.slice(0, Math.max(0, equals));
    if (id === "") throw invalid(`${JSON.stringify(item)} is no member: want n1=host:port,…`);
    const role = learning.delete(id) ? "learner" : "voter";
    return { id, address: item.slice(equals + 1), role };
  });
  const [stranger] = learning;
  if (stranger !== undefined) throw invalid(`--learners names ${stranger}, which is not listed`);
  return members;
}

function invalid(message: string): QuorateError {
  return new QuorateError("OPTION_INVALID", message);
}

function show(members: ClusterMembers, { json }: MembersFlags, terminal: Terminal): void {
  const text = json === true ? JSON.stringify(members, null, 2) : tableOf(members, terminal);
  terminal.stdout.write(`${text}\n`);
}

function tableOf(all: ClusterMembers, terminal: Terminal): string {
  const style = stylesOf(terminal.stdout, terminal.env);
  const rows = all.members.map(({ id, address, role, becomes, incarnation }) => {
    const remarks = [
      id === all.leader ? "leads" : "",
      becomes === role ? "" : becomes === "removed" ? "is being removed" : `becomes a ${becomes}`,
      incarnation === null ? "never heard of yet" : "",
    ];
    return [id, address, role, remarks.filter((text) => text !== "").join(", ")];
  });
  const table = alignRows([["id", "address", "role", ""], ...rows], (cell, row, column) => {
    if (row === 0) return style("dim", cell);
    if (column === 3) return style(cell.startsWith("leads") ? "green" : "yellow", cell);
    return cell;
  });
  const count = all.members.filter(({ role }) => role === "voter").length;
  const voters = `${count} voter${count === 1 ? "" : "s"}`;
  const away = `a majority is ${all.quorum}, so ${all.tolerates} of them may be away`;
  const lines = [table.replaceAll(/ +$/gm, ""), `${voters}; ${away}; version ${all.version}`];
  if (all.change !== null) lines.push(changeText(all.change));
  return lines.join("\n");
}

/** The change that is under way, in one sentence. */
export function changeText(change: ClusterChange | null): string {
  if (change === null) return "nothing is under way";
  if (change.phase === "joint") return "old and new voters decide together; done in a moment";
  const waits = change.waitsFor.map((id) => {
    const lag = change.lag[id];
    return lag === undefined ? id : `${id} (${lag} entries behind)`;
  });
  const end =
    change.remainingMs === null ? "" : `; taken back in ${Math.ceil(change.remainingMs / 1_000)} s`;
  return `waiting for ${waits.join(", ")} to catch up${end}`;
}

function planText({ version, before, after, steps }: ClusterPlan): string {
  const standing = ({ voters, learners, quorum, tolerates }: ClusterPlan["before"]): string => {
    const learning = learners.length === 0 ? "" : `, learners ${learners.join(" ")}`;
    return `voters ${voters.join(" ")}${learning}; majority ${quorum}, ${tolerates} may be away`;
  };
  const lines = steps.map(({ text, quorum }) => ["", text, `decides: ${quorum}`]);
  return [
    `version ${version}`,
    `before: ${standing(before)}`,
    ...(lines.length === 0 ? [] : [alignRows(lines)]),
    `after:  ${standing(after)}`,
  ].join("\n");
}

/** One line on a terminal that is written over again and again; elsewhere it is written once. */
class ProgressLine {
  readonly #terminal: Terminal;
  #length = 0;
  #isSaid = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  show(text: string): void {
    const { stderr } = this.#terminal;
    if (stderr.isTTY !== true) {
      if (!this.#isSaid) stderr.write(`${text}\n`);
      this.#isSaid = true;
      return;
    }
    const line = text.slice(0, (stderr.columns ?? 80) - 1);
    stderr.write(`\r${line.padEnd(this.#length)}`);
    this.#length = line.length;
  }

  end(): void {
    if (this.#length > 0) this.#terminal.stderr.write(`\r${" ".repeat(this.#length)}\r`);
    this.#length = 0;
  }
}
