/**
 * The newest inputs of a core, for the report of a violated invariant: what happened just before is
 * most of what one wants to know. Kept as plain numbers in a ring, so that recording costs a few
 * assignments and holds on to no batch.
 */
import { InvariantViolation, unreachable } from "../util/assert.ts";
import { messageOf, QuorateError } from "../util/error.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import { LIMITS } from "./limits.ts";

const KEPT = LIMITS.lastInputsKept;

/** Why a group stopped, with what it was told last. The `cause` of a REPLICA_FAILED error. */
export class GroupStopped extends Error {
  override readonly name = "GroupStopped";
  /** The newest inputs, the oldest first. */
  readonly lastInputs: readonly string[];

  constructor(message: string, lastInputs: readonly string[], cause: unknown) {
    super(message, { cause });
    this.lastInputs = lastInputs;
  }
}

/** The error with which `who` stops: one of ours as it is, any other one with the newest inputs. */
export function failureOf(error: unknown, who: string, trace: InputTrace): QuorateError {
  if (QuorateError.is(error)) return error;
  const what = error instanceof InvariantViolation ? "an invariant was violated" : "it threw";
  const message = `${who}: ${what}: ${messageOf(error)}`;
  return new QuorateError("REPLICA_FAILED", message, {
    cause: new GroupStopped(message, trace.list(), error),
  });
}

/** The ring. */
export class InputTrace {
  readonly #names: string[] = Array.from({ length: KEPT }, () => "");
  readonly #from: string[] = Array.from({ length: KEPT }, () => "");
  readonly #numbers: Float64Array = new Float64Array(KEPT * 3);
  #count = 0;

  /** An input that is no message. */
  record(nowMs: number, name: string, value = 0): void {
    this.#put(nowMs, name, "", [0, value]);
  }

  message(nowMs: number, from: string, message: PeerMessage): void {
    this.#put(nowMs, message.type, from, numbersOf(message));
  }

  /** What was recorded, the oldest first. */
  list(): string[] {
    const out: string[] = [];
    for (let i = Math.max(0, this.#count - KEPT); i < this.#count; i++) {
      const at = i % KEPT;
      const [nowMs, term, value] = this.#numbers.subarray(at * 3, at * 3 + 3);
      const from = this.#from[at] === "" ? "" : ` from ${this.#from[at]} term ${term}`;
      out.push(`${nowMs!.toFixed(3)} ms: ${this.#names[at]}${from} ${value}`);
    }
    return out;
  }

  #put(nowMs: number, name: string, from: string, numbers: readonly [number, number]): void {
    const at = this.#count++ % KEPT;
    this.#names[at] = name;
    this.#from[at] = from;
    this.#numbers[at * 3] = nowMs;
    this.#numbers[at * 3 + 1] = numbers[0];
    this.#numbers[at * 3 + 2] = numbers[1];
  }
}

function numbersOf(message: PeerMessage): readonly [number, number] {
  switch (message.type) {
    case "append-entries":
      return [message.term, message.prevIndex];
    case "append-entries-response":
      return [message.term, message.index];
    case "pre-vote":
    case "request-vote":
    case "timeout-now":
      return [message.term, message.lastIndex];
    case "commit-notice":
      return [message.term, message.commit];
    case "heartbeat":
    case "heartbeat-response":
      return [message.term, message.round];
    case "read-index-request":
    case "read-index-response":
      return [message.term, message.token];
    case "pre-vote-response":
    case "request-vote-response":
      return [message.term, message.granted ? 1 : 0];
    case "forward":
      return [0, message.request];
    case "forward-response":
      return [message.term, message.request];
    case "transfer-request":
    case "transfer-response":
      return [0, message.request];
    case "leaving":
      return [0, message.lastRequest];
    case "resign":
      return [message.term, 0];
    case "formation":
      return [0, message.configuration.length];
    case "membership-request":
    case "membership-response":
    case "join-request":
    case "join-response":
      return [0, message.request];
    case "invitation":
      return [0, message.index];
    case "snapshot-offer":
      return [message.term, message.index];
    case "snapshot-chunk":
    case "snapshot-report":
      return [0, message.offset];
    case "rolled-back":
      return [message.term, message.index];
    default:
      return unreachable(message);
  }
}

/** The message of one of our errors without its code in front. */
export function textOf(message: string): string {
  return message.replace(/^\[[A-Z_]+\] /, "");
}
