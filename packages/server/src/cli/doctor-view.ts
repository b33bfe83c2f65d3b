/**
 * An inspected data directory as text: who it is, what the log holds, what is wrong and what to do.
 */
import type { Finding, InspectedLog, InspectedConfiguration, Inspection } from "quorate";
import { alignRows } from "./terminal.ts";
import type { Style } from "./terminal.ts";

/** Puts a style around a text. */
export type Styled = (style: Style, text: string) => string;

/** Terms and configurations beyond these are counted, not listed. */
const LISTED_MAX = 8;
const WIDTH = 98;

/** The whole page, without a line end behind it. */
export function doctorView(inspection: Inspection, style: Styled): string {
  const { path, health, log, findings } = inspection;
  const color = { healthy: "green", empty: "yellow", damaged: "red" } as const;
  const parts = [
    `${path}: ${style(color[health], health)}`,
    facts(identityRows(inspection), style),
  ];
  if (log !== undefined) {
    parts.push(facts(logRows(log), style), configurationsView(log, style), filesView(log, style));
  }
  parts.push(snapshotsView(inspection, style));
  parts.push(...findings.map((finding) => findingView(finding, style)));
  return parts.filter((part) => part !== "").join("\n\n");
}

function identityRows({ identity, inUse }: Inspection): [string, string][] {
  const rows: [string, string][] = [];
  if (identity !== undefined) {
    const { id, incarnation, state, clusterId, formerClusters } = identity;
    rows.push(
      ["member", id],
      ["cluster", clusterId ?? "none yet"],
      ["state", state],
      ["incarnation", incarnation],
    );
    if (formerClusters.length > 0) rows.push(["recovered from", formerClusters.join(", ")]);
  }
  if (inUse !== undefined) rows.push(["in use", inUse]);
  return rows;
}

function logRows(log: InspectedLog): [string, string][] {
  const { startIndex, lastIndex, commit, term, vote, durable, end, terms } = log;
  const range = lastIndex === startIndex ? "none" : `${startIndex + 1} to ${lastIndex}`;
  const rows: [string, string][] = [
    ["entries", `${range}${log.isWhole ? "" : " could be read"}`],
    ["committed", `${commit} at least`],
    ["term", `${term}, ${vote === undefined ? "no vote" : `voted for ${vote.id}`}`],
    ["terms begin", listed(terms.map((run) => `${run.term} at ${run.index}`))],
    ["ends at", place(end)],
    ["proven durable", place(durable)],
  ];
  if (startIndex > 0)
    rows.splice(1, 0, ["starts behind", `${startIndex} of term ${log.startTerm}`]);
  if (log.unprovenBytes > 0) {
    rows.push(["not proven", `${size(log.unprovenBytes)}, written again at the next start`]);
  }
  if (log.tornBytes > 0) rows.push(["cut short", size(log.tornBytes)]);
  return rows;
}

function configurationsView(log: InspectedLog, style: Styled): string {
  const newest = log.configurations.at(-1);
  if (newest === undefined) return "";
  const others = log.configurations.slice(0, -1).map(({ index }) => String(index));
  const before = others.length === 0 ? "" : `; others at ${listed(others)}`;
  const head = `configuration in force: the one at index ${newest.index}${before}`;
  return `${style("dim", head)}\n${membersTable(newest, style)}`;
}

function membersTable({ configuration }: InspectedConfiguration, style: Styled): string {
  const { members, voters, outgoing, learners } = configuration;
  const rows = members.map(({ id, address, incarnation }) => {
    const roles = [
      voters.includes(id) ? "voter" : "",
      outgoing.includes(id) ? "outgoing voter" : "",
      learners.includes(id) ? "learner" : "",
    ];
    return [`  ${id}`, roles.filter((role) => role !== "").join(", "), address, incarnation];
  });
  return alignRows([["  id", "role", "address", "incarnation"], ...rows], dimHead(style));
}

function filesView({ files }: InspectedLog, style: Styled): string {
  if (files.length === 0) return "";
  const rows = files.map(({ name, kind, bytes, records, recordsBehind }) => {
    const counted = recordsBehind === 0 ? `${records}` : `${records}, then ${recordsBehind} apart`;
    return [`  ${name}`, kind, size(bytes), kind === "log" ? counted : "-"];
  });
  return alignRows([["  file", "kind", "size", "whole records"], ...rows], dimHead(style));
}

function snapshotsView({ snapshots }: Inspection, style: Styled): string {
  if (snapshots.length === 0) return "";
  const rows = snapshots.map(({ name, kind, bytes, index, isWhole }) => {
    const state = kind === "snap" ? (isWhole ? "whole" : "damaged") : "unfinished";
    return [`  ${name}`, size(bytes), index === undefined ? "-" : `up to ${index}`, state];
  });
  return alignRows([["  snapshot", "size", "entries", "state"], ...rows], dimHead(style));
}

function findingView(finding: Finding, style: Styled): string {
  const { severity, code, path, offset, problem, remedy } = finding;
  const color = { damage: "red", warning: "yellow", note: "cyan" } as const;
  const where = offset === undefined ? path : `${path} at offset ${offset}`;
  const lines = [`${style(color[severity], `${severity}:`)} ${code}, ${where}`];
  lines.push(...wrapped(problem, "  "));
  if (remedy !== "") lines.push(...wrapped(`→ ${remedy}`, "  "));
  return lines.join("\n");
}

function facts(rows: readonly (readonly [string, string])[], style: Styled): string {
  const indented = rows.map(([name, value]) => [`  ${name}`, value]);
  return alignRows(indented, (cell, _row, column) => (column === 0 ? style("dim", cell) : cell));
}

function dimHead(style: Styled): (cell: string, row: number) => string {
  return (cell, row) => (row === 0 ? style("dim", cell) : cell);
}

function listed(texts: readonly string[]): string {
  if (texts.length === 0) return "-";
  const hidden = texts.length - LISTED_MAX;
  const shown = texts.slice(-LISTED_MAX).join(", ");
  return hidden > 0 ? `${shown} (and ${hidden} before)` : shown;
}

function place({ segment, offset }: { segment: number; offset: number }): string {
  return segment === 0 ? "-" : `segment ${segment}, offset ${offset}`;
}

function size(bytes: number): string {
  if (bytes < 10_000) return `${bytes} bytes`;
  return bytes < 10_000_000
    ? `${Math.round(bytes / 1_024)} KiB`
    : `${Math.round(bytes / 2 ** 20)} MiB`;
}

/** Words in lines of a readable width. */
export function wrapped(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent.length + line.length + 1 + word.length > WIDTH) {
      lines.push(indent + line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, indent + line];
}
