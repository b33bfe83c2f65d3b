/**
 * `quorate status`: every endpoint asked at once, one line each.
 */
import { ClientError } from "../client/index.ts";
import type { EndpointStatus, StatusPage } from "../client/index.ts";
import { asFailure, clientOf, DEV_ENDPOINTS, endpointsOf } from "./client.ts";
import type { ClientFlags } from "./client.ts";
import { changeText } from "./members-command.ts";
import { alignRows, CommandFailed, failureOf, stylesOf } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

type Row = { readonly endpoint: string } & (
  | { readonly status: StatusPage }
  | { readonly problem: string }
);

/** Shows all members; fails with exit code 4 where no endpoint knows a leader. */
export async function runStatus(flags: ClientFlags, terminal: Terminal): Promise<void> {
  const endpoints = endpointsOf(flags, terminal.env);
  const client = clientOf(flags, terminal);
  const all = (await client.statusOfAll()).map(rowOf);
  const rows = endpoints === DEV_ENDPOINTS ? withoutStrangers(all) : all;
  const text = flags.json === true ? `${JSON.stringify(rows, null, 2)}\n` : table(rows, terminal);
  terminal.stdout.write(text);
  if (!rows.some((row) => "status" in row && row.status.leader !== null)) {
    const reached = rows.some((row) => "status" in row);
    throw new CommandFailed(4, reached ? "no leader is known" : "no member can be reached");
  }
}

function rowOf(one: EndpointStatus): Row {
  if ("status" in one) return one;
  const { endpoint, error } = one;
  if (ClientError.is(error) && error.code === "UNREACHABLE") {
    return { endpoint, problem: "cannot be reached" };
  }
  return { endpoint, problem: failureOf(asFailure(error, [endpoint])).message };
}

/** Nobody said that there are three: a cluster of one need not show two that are missing. */
function withoutStrangers(rows: readonly Row[]): readonly Row[] {
  const reached = rows.filter((row) => "status" in row);
  const members = reached.flatMap((row) => row.status.members);
  const alone = reached.length > 0 && new Set(members.map((m) => m.address)).size <= 1;
  return alone ? reached : rows;
}

const HEADS = [
  "endpoint",
  "id",
  "state",
  "term",
  "leader",
  "commit",
  "applied",
  "snapshot",
  "keys",
  "uptime",
];

function table(rows: readonly Row[], terminal: Terminal): string {
  const style = stylesOf(terminal.stdout, terminal.env);
  const cells = rows.map((row) =>
    "status" in row ? cellsOf(row) : [row.endpoint, "-", row.problem],
  );
  const text = alignRows([HEADS, ...cells], (cell, row, column) => {
    if (row === 0) return style("dim", cell);
    if (column !== 2) return cell;
    if (cell.startsWith("Leader")) return style("green", cell);
    return /^(Follower|Learner)/.test(cell) ? cell : style("yellow", cell);
  });
  return `${text}\n${changeLine(rows)}`;
}

/** What becomes of the members, as the leader knows it, or whoever else does. */
function changeLine(rows: readonly Row[]): string {
  const pages = rows.flatMap((row) => ("status" in row ? [row.status] : []));
  const changing = pages.filter(({ membership }) => membership.change !== null);
  const page = changing.find(({ member }) => member.isLeader) ?? changing[0];
  return page === undefined ? "" : `\n${changeText(page.membership.change)}\n`;
}

function cellsOf({
  endpoint,
  status,
}: {
  readonly endpoint: string;
  readonly status: StatusPage;
}): string[] {
  const { cluster, member, log, leader, snapshot } = status;
  const indexes = [log.commitIndex, status.applied].map(String);
  const learns = status.members.some(({ id, role }) => id === member.id && role === "learner");
  return [
    endpoint,
    member.id,
    learns && cluster.state === "Follower" ? "Learner" : cluster.state,
    `${cluster.term}`,
    leader?.id ?? "-",
    ...indexes,
    snapshot.index === 0 ? "-" : `${snapshot.index}`,
    `${status.store.keys}`,
    uptimeText(member.uptime),
  ];
}

/** `2.hours+5.minutes+3.seconds` as `2 h 5 min`: two parts are as precise as anybody wants it. */
function uptimeText(uptime: string): string {
  const parts = uptime.split("+").map((part) => {
    const [count, unit = ""] = part.split(".");
    return `${count} ${UNITS[unit] ?? unit}`;
  });
  return parts.slice(0, 2).join(" ");
}

const UNITS: Readonly<Record<string, string>> = {
  days: "d",
  hours: "h",
  minutes: "min",
  seconds: "s",
  milliseconds: "ms",
};
