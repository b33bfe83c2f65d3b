/**
 * What happened, in a few words each, for the table of a trace.
 */
import type { MemberId } from "../core/configuration.ts";
import type { CoreEvent, Output } from "../core/output.ts";
import type { ReplicaEvent } from "../runtime/replica.ts";
import { unreachable } from "../util/assert.ts";
import type { Message } from "../core/message.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import type { AppliedCommand, SimOperation } from "./observer.ts";

/** A message between members. */
export function describeMessage(message: PeerMessage): string {
  switch (message.type) {
    case "pre-vote":
    case "timeout-now":
      return `${message.type} term ${message.term}, last ${message.lastIndex}@${message.lastTerm}`;
    case "request-vote": {
      const { term, lastIndex, lastTerm, transfer } = message;
      const wish = transfer ? ", as its leader wished" : "";
      return `request-vote term ${term}, last ${lastIndex}@${lastTerm}${wish}`;
    }
    case "pre-vote-response":
    case "request-vote-response":
      return `${message.type} term ${message.term}, ${message.granted ? "granted" : "refused"}`;
    case "append-entries": {
      let count = 0;
      for (const batch of message.batches) count += batch.count;
      const { term, prevIndex, prevTerm, commit } = message;
      const what = count === 0 ? "no entries" : `${count} entries`;
      return `append-entries term ${term}, after ${prevIndex}@${prevTerm}, ${what}, commit ${commit}`;
    }
    case "append-entries-response": {
      const { term, index, hintIndex, hintTerm } = message;
      return message.success
        ? `append-entries-response term ${term}, up to ${index}`
        : `append-entries-response term ${term}, refused ${index}, hint ${hintIndex}@${hintTerm}`;
    }
    case "heartbeat":
      return `heartbeat term ${message.term}, commit ${message.commit}, round ${message.round}`;
    case "commit-notice":
      return `commit-notice term ${message.term}, commit ${message.commit}`;
    case "heartbeat-response":
      return `heartbeat-response term ${message.term}, round ${message.round}, ${message.health}`;
    case "resign":
      return `resign term ${message.term}`;
    case "read-index-request":
      return (
        `read-index-request term ${message.term}, token ${message.token}` +
        (message.byLease ? ", by lease" : "")
      );
    case "read-index-response": {
      const answer = message.ok ? `index ${message.index}` : "none";
      return `read-index-response term ${message.term}, token ${message.token}, ${answer}`;
    }
    default:
      return describeAside(message);
  }
}

/** Those that the runtimes say to each other beside their cores. */
function describeAside(message: Exclude<PeerMessage, Message>): string {
  switch (message.type) {
    case "forward":
      return `forward ${message.request}, ${message.count} commands`;
    case "forward-response": {
      const { request, status, firstIndex, term } = message;
      const where = status === "appended" ? ` at ${firstIndex}@${term}` : "";
      return `forward-response ${request}, ${status}${where}`;
    }
    case "transfer-request":
      return `transfer-request ${message.request}, to ${message.target || "the best"}`;
    case "transfer-response":
      return `transfer-response ${message.request}, ${message.status}`;
    case "leaving":
      return `leaving, took up to ${message.lastRequest}`;
    case "formation":
      return `formation, ${message.configuration.length} bytes`;
    case "membership-request": {
      const { request, token, planOnly, change } = message;
      return `membership-request ${request}, ${planOnly ? "plan" : token} to ${change.type}`;
    }
    case "membership-response":
      return `membership-response ${message.request}, ${message.status} ${message.index}`;
    case "join-request":
      return `join-request ${message.request}, as ${message.role}`;
    case "join-response":
      return `join-response ${message.request}, ${message.status}: ${message.reason}`;
    case "invitation":
      return `invitation by configuration ${message.index}`;
    case "rolled-back":
      return `rolled-back term ${message.term}, ${message.index} was acknowledged`;
    case "snapshot-offer":
      return `snapshot-offer ${message.index}@${message.snapshotTerm}, ${message.bytes} bytes`;
    case "snapshot-chunk":
      return `snapshot-chunk from ${message.offset}, ${message.data.length} bytes`;
    case "snapshot-report":
      return `snapshot-report ${message.status}, ${message.offset}`;
    default:
      return unreachable(message);
  }
}

/** An output of a core; empty where there is nothing to persist in it. */
export function describeOutput(output: Output): string {
  const parts: string[] = [];
  const { hardState, entries } = output;
  if (hardState !== undefined) {
    parts.push(`term ${hardState.term}, vote ${voteText(hardState.vote?.id)}`);
  }
  const [first] = entries;
  const last = entries.at(-1);
  if (first !== undefined && last !== undefined) {
    parts.push(`entries ${first.firstIndex}…${last.lastIndex}@${last.term}`);
  }
  return parts.length === 0 ? "" : `${parts.join(", ")} (output ${output.number})`;
}

/** An event of a replica. */
export function describeEvent(event: ReplicaEvent): string {
  switch (event.type) {
    case "role":
      return `${event.role} in term ${event.term}: ${event.reason}`;
    case "peer-connected":
    case "peer-disconnected":
      return `${event.type} ${event.peer}`;
    case "peer-refused":
      return `peer-refused ${event.peer}: ${event.reason}`;
    case "failed":
      return `failed: ${event.error.message}`;
    case "configuration":
    case "formed":
      return event.type;
    default:
      return plain(event);
  }
}

/** A command that was applied. */
export function describeApplied(command: AppliedCommand): string {
  return `${command.index}@${command.term} is operation ${command.operation}`;
}

/** A call at its beginning. */
export function describeCall(operation: SimOperation): string {
  return `${operation.number} of ${operation.client}: ${operation.kind} ${short(operation.input)}`;
}

/** A call at its end. */
export function describeEnd(operation: SimOperation): string {
  const { number, client, outcome, error, result } = operation;
  const what = outcome === "done" ? short(result) : (error ?? "");
  return `${number} of ${client}: ${outcome} ${what}`;
}

function voteText(id: MemberId | undefined): string {
  return id ?? "none";
}

function plain(event: Exclude<CoreEvent, { type: "role" }> | ReplicaEvent): string {
  const fields: string[] = [];
  for (const [name, value] of Object.entries(event)) {
    if (name !== "type") fields.push(`${name} ${short(value)}`);
  }
  return `${event.type}${fields.length === 0 ? "" : ` ${fields.join(", ")}`}`;
}

const SHORT = 60;

function short(value: unknown): string {
  if (value === undefined) return "";
  const text = typeof value === "string" ? value : jsonOf(value);
  return text.length <= SHORT ? text : `${text.slice(0, SHORT - 1)}…`;
}

/** JSON holds what machines answer; what it cannot hold is named by its type. */
function jsonOf(value: unknown): string {
  try {
    const text: string | undefined = JSON.stringify(value);
    return text ?? typeof value;
  } catch {
    return typeof value;
  }
}
