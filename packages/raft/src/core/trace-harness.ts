/**
 * One line per thing that happens in a test network: what a scenario's golden trace is made of.
 *
 *     ms  member what
 *   1000  n1     becomes pre-candidate: no leader heard for 1000 ms
 *   1000  n1 →   n2  pre-vote term 1, log ends 0@0
 *
 * A message is shown when it is sent; it arrives one latency later, and what it causes is shown
 * then. `✗` marks one that the network loses, `…` one that the script holds back. `4@2` is the
 * entry at index 4, of term 2; `4..6@2` are three entries. Heartbeats are shown on request only.
 */
import { unreachable } from "../util/assert.ts";
import type { Configuration, MemberId } from "./configuration.ts";
import type { EntryBatch } from "./entry.ts";
import type { Health } from "./health-watch.ts";
import type { Message } from "./message.ts";
import type { CoreEvent, Output, ReadOutcome } from "./output.ts";

/** One line; an empty member is the script itself. */
export function traceLine(nowMs: number, member: string, text: string): string {
  return `${String(nowMs).padStart(6)}  ${member.padEnd(6)} ${text}`;
}

/** A message and to whom it goes. */
export function describeSending(to: MemberId, message: Message): string {
  return `${to}  ${describeMessage(message)}`;
}

/** A heartbeat, its answer, or what is sent where a heartbeat would say no more. */
export function isHeartbeat({ type }: Message): boolean {
  return type === "heartbeat" || type === "heartbeat-response" || type === "commit-notice";
}

export function describeMessage(message: Message): string {
  const start = `${NAMES[message.type]} term ${message.term}`;
  switch (message.type) {
    case "pre-vote":
    case "timeout-now":
      return `${start}, log ends ${message.lastIndex}@${message.lastTerm}`;
    case "request-vote": {
      const wish = message.transfer ? ", as its leader wished" : "";
      return `${start}, log ends ${message.lastIndex}@${message.lastTerm}${wish}`;
    }
    case "pre-vote-response":
    case "request-vote-response":
      return `${start}, ${message.granted ? "granted" : "refused"}`;
    case "append-entries": {
      const what = message.batches.length === 0 ? "nothing" : rangeOf(message.batches);
      const { prevIndex, prevTerm, commit } = message;
      return `${start}, after ${prevIndex}@${prevTerm}: ${what}, commit ${commit}`;
    }
    case "append-entries-response":
      return message.success
        ? `${start}, has all up to ${message.index}`
        : `${start}, refused ${message.index}, ` +
            `may agree at ${message.hintIndex}@${message.hintTerm}`;
    case "heartbeat":
      return `${start}, commit ${message.commit}, round ${message.round}`;
    case "commit-notice":
      return `${start}, commit ${message.commit}`;
    case "heartbeat-response":
      return `${start}, round ${message.round}${describeHealth(message.health)}`;
    case "resign":
      return start;
    case "read-index-request":
      return `${start}, token ${describeToken(message.token)}`;
    case "read-index-response":
      return (
        `${start}, token ${describeToken(message.token)}, ` +
        (message.ok ? `index ${message.index}` : "refused")
      );
    default:
      return unreachable(message);
  }
}

const NAMES: Readonly<Record<Message["type"], string>> = {
  "pre-vote": "pre-vote",
  "pre-vote-response": "pre-vote answer",
  "request-vote": "vote request",
  "request-vote-response": "vote",
  "append-entries": "append",
  "append-entries-response": "append answer",
  heartbeat: "heartbeat",
  "heartbeat-response": "heartbeat answer",
  "commit-notice": "commit notice",
  "read-index-request": "read request",
  "read-index-response": "read answer",
  "timeout-now": "timeout-now",
  resign: "resignation",
};

/** What an event means, for observers; undefined where a message says the same. */
export function describeEvent(id: MemberId, event: CoreEvent): string | undefined {
  switch (event.type) {
    case "role":
      return `becomes ${event.role}: ${event.reason}`;
    case "term":
      return `term ${event.previous} → ${event.term}`;
    case "vote":
      return `votes for ${event.candidate} in term ${event.term}`;
    case "leader":
      if (event.leader === id) return undefined;
      return event.leader === undefined ? "knows no leader" : `follows ${event.leader}`;
    case "commit":
      return `commits up to ${event.index}`;
    case "configuration":
      return `configuration of entry ${event.index}: ${describeConfiguration(event.configuration)}`;
    case "configuration-committed":
      return `configuration of entry ${event.index} is committed`;
    case "membership":
      return `appends a configuration: ${event.reason}`;
    case "truncated":
      return `removes its entries from ${event.from} (term ${event.term}) on`;
    case "compacted":
      return `lets go of its entries up to ${event.index} (term ${event.term})`;
    case "reset":
      return `starts its log anew behind ${event.index} (term ${event.term})`;
    case "ready":
      return `has committed in term ${event.term}: may serve reads`;
    case "transfer":
      return `transfer to ${event.target} ${event.phase}: ${event.reason}`;
    case "health":
      return `is ${event.health}: ${event.reason}`;
    case "peer-state":
      return `${PEER_VERBS[event.state]} ${event.peer}: ${event.reason}`;
    case "vote-received":
    case "peer-denied":
      return undefined;
    default:
      return unreachable(event);
  }
}

const PEER_VERBS = {
  probe: "probes",
  replicate: "replicates to",
  snapshot: "wants a snapshot for",
} as const;

function describeHealth(health: Health): string {
  return health === "ok" ? "" : `, ${health}`;
}

export function describeConfiguration(configuration: Configuration): string {
  const { voters, outgoing, learners, pending, final } = configuration;
  const parts = [`voters ${voters.join(" ")}`];
  if (outgoing.length > 0) parts.push(`outgoing ${outgoing.join(" ")}`);
  if (learners.length > 0) parts.push(`learners ${learners.join(" ")}`);
  if (pending !== undefined) parts.push(`to become voters ${pending.voters.join(" ")}`);
  if (final !== undefined && final.learners.length > 0) {
    parts.push(`then learners ${final.learners.join(" ")}`);
  }
  return parts.join(", ");
}

/** What an output hands to the disk; undefined where there is nothing. */
export function describeWrite(output: Output): string | undefined {
  const parts: string[] = [];
  if (output.hardState !== undefined) {
    const { term, vote } = output.hardState;
    parts.push(`term ${term}${vote === undefined ? "" : ` and vote for ${vote.id}`}`);
  }
  if (output.entries.length > 0) parts.push(rangeOf(output.entries));
  return parts.length === 0 ? undefined : parts.join(", ");
}

export function describeRead(outcome: ReadOutcome): string {
  const { context, status, index } = outcome;
  return `read ${context} ${status === "ok" ? `may be answered at index ${index}` : `ends: ${status}`}`;
}

function rangeOf(batches: readonly EntryBatch[]): string {
  const ranges: { first: number; last: number; term: number }[] = [];
  for (const { firstIndex, lastIndex, term } of batches) {
    const open = ranges.at(-1);
    if (open?.term === term && open.last + 1 === firstIndex) open.last = lastIndex;
    else ranges.push({ first: firstIndex, last: lastIndex, term });
  }
  return ranges
    .map(({ first, last, term }) =>
      first === last ? `${first}@${term}` : `${first}..${last}@${term}`,
    )
    .join(" ");
}

/** The harness gives the nth start of a member the nonce n million. */
function describeToken(token: number): string {
  return `${Math.floor(token / 1_000_000)}-${token % 1_000_000}`;
}
