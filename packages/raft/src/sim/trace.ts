/**
 * What happened in a run: the last events as a table, all of them as one hash.
 *
 * The hash covers every message, output, completion, application and end of a call with its time;
 * two runs with the same hash were the same run. Texts are made only for lines that somebody reads:
 * until then a line is a few references in a ring.
 *
 *   step   the number of the task that was taken off the schedule; `--until` counts these
 *   ms     virtual time since the run began
 *   who    the member that did it or to which it was done, or the client
 *   what   → n2: a message leaves for n2; ← n2: one from n2 arrives; persist, durable: an output
 *          of the core on its way to the disk, and arrived there; apply; call and end of a client's
 *          operation; a fault; otherwise an event of the replica
 */
import type { MemberId } from "../core/configuration.ts";
import type { RecoveredGroup } from "../core/contract.ts";
import type { Output } from "../core/output.ts";
import type { ReplicaEvent } from "../runtime/replica.ts";
import { unreachable } from "../util/assert.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import {
  describeApplied,
  describeCall,
  describeEnd,
  describeEvent,
  describeMessage,
  describeOutput,
} from "./describe.ts";
import type { AppliedCommand, DeathKind, MemberView, Observer, SimOperation } from "./observer.ts";

/** How many lines are kept. */
const KEPT = 400;

/** The head of the table. */
export const TRACE_HEAD: string = `${"step".padStart(9)} ${"ms".padStart(11)}  ${"who".padEnd(8)} what`;

/** Where and when the trace is. */
export interface TraceClock {
  readonly steps: number;
  nowUs(): number;
}

type Subject = PeerMessage | Output | ReplicaEvent | AppliedCommand | SimOperation | string;

interface Line {
  step: number;
  atUs: number;
  who: string;
  kind: LineKind;
  other: string;
  subject: Subject;
}

type LineKind =
  | "text"
  | "sent"
  | "delivered"
  | "output"
  | "event"
  | "applied"
  | "called"
  | "settled";

/** The trace of one run. */
export class Trace implements Observer {
  readonly #clock: TraceClock;
  readonly #print: ((line: string) => void) | undefined;
  readonly #ring: Line[] = [];
  #next = 0;
  #high = 0x6a09e667;
  #low = 0xbb67ae85;

  /** With `print` each line is made and handed over at once. */
  constructor(clock: TraceClock, print?: (line: string) => void) {
    this.#clock = clock;
    this.#print = print;
  }

  /** 64 bits of everything so far, as 16 hex digits. */
  get hash(): string {
    return hex(this.#high) + hex(this.#low);
  }

  /** The last lines, the oldest first. */
  lines(count: number = KEPT): string[] {
    const all = [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)];
    return all.slice(-count).map(format);
  }

  started(member: MemberView): void {
    this.#mix(1, member.number, member.life);
    this.#line("text", member.id, "", `start, life ${member.life}`);
  }

  recovered(member: MemberView, recovered: RecoveredGroup): void {
    const { hardState, lastIndex } = recovered;
    this.#mix(2, hardState.term, lastIndex);
    const text = `recovered term ${hardState.term}, last entry ${lastIndex}`;
    this.#line("text", member.id, "", text);
  }

  died(member: MemberView, how: DeathKind): void {
    this.#mix(3, member.number, member.life);
    this.#line("text", member.id, "", `ends: ${how}`);
  }

  paused(member: MemberView, isPaused: boolean): void {
    this.#mix(4, member.number, isPaused ? 1 : 0);
    this.#line("text", member.id, "", isPaused ? "stands still" : "goes on");
  }

  output(member: MemberView, output: Output): void {
    this.#mix(5, output.number, output.messages.length);
    if (output.hardState === undefined && output.entries.length === 0) return;
    this.#line("output", member.id, "", output);
  }

  persisted(member: MemberView, output: number): void {
    this.#mix(6, member.number, output);
    this.#line("text", member.id, "", `durable up to output ${output}`);
  }

  sent(member: MemberView, to: MemberId, message: PeerMessage): void {
    this.#mix(7, member.number, numberIn(message));
    this.#line("sent", member.id, to, message);
  }

  delivered(member: MemberView, from: MemberId, message: PeerMessage): void {
    this.#mix(8, member.number, numberIn(message));
    this.#line("delivered", member.id, from, message);
  }

  applied(member: MemberView, command: AppliedCommand): void {
    this.#mix(9, command.index, command.resultHash);
    this.#line("applied", member.id, "", command);
  }

  event(member: MemberView, event: ReplicaEvent): void {
    this.#mix(12, member.number, event.type.length);
    this.#line("event", member.id, "", event);
  }

  called(operation: SimOperation): void {
    this.#mix(10, operation.number, operation.member.number);
    this.#line("called", operation.member.id, "", operation);
  }

  settled(operation: SimOperation): void {
    this.#mix(11, operation.number, operation.outcome.length);
    this.#line("settled", operation.member.id, "", operation);
  }

  fault(kind: string, text: string, by: string | undefined): void {
    this.#mix(13, kind.length, text.length);
    const who = by === undefined ? "" : `, by ${by}`;
    this.#line("text", "fault", "", `${kind}: ${text}${who}`);
  }

  healed(): void {
    this.#line("text", "world", "", "everything is healed: progress is owed from here");
  }

  ended(): void {
    this.#line("text", "world", "", "the run is over");
  }

  // eslint-disable-next-line max-params -- the fields of a line, without an object in between
  #line(kind: LineKind, who: string, other: string, subject: Subject): void {
    const step = this.#clock.steps;
    const atUs = this.#clock.nowUs();
    if (this.#print !== undefined) this.#print(format({ step, atUs, who, kind, other, subject }));
    const line = this.#ring[this.#next];
    if (line === undefined) this.#ring.push({ step, atUs, who, kind, other, subject });
    else {
      line.step = step;
      line.atUs = atUs;
      line.who = who;
      line.kind = kind;
      line.other = other;
      line.subject = subject;
    }
    this.#next = (this.#next + 1) % KEPT;
  }

  #mix(kind: number, a: number, b: number): void {
    const atUs = this.#clock.nowUs();
    this.#high = Math.imul(this.#high ^ atUs ^ (kind << 24), 0x9e3779b1);
    this.#low = Math.imul(this.#low ^ (this.#high >>> 15) ^ a, 0x85ebca6b);
    this.#high = Math.imul(this.#high ^ (this.#low >>> 13) ^ b, 0xc2b2ae35);
  }
}

function format({ step, atUs, who, kind, other, subject }: Line): string {
  const ms = (Math.floor(atUs) / 1_000).toFixed(3);
  const what = text(kind, other, subject);
  return `${String(step).padStart(9)} ${ms.padStart(11)}  ${who.padEnd(8)} ${what}`;
}

function text(kind: LineKind, other: string, subject: Subject): string {
  switch (kind) {
    case "sent":
      return `→ ${other} ${describeMessage(subject as PeerMessage)}`;
    case "delivered":
      return `← ${other} ${describeMessage(subject as PeerMessage)}`;
    case "output":
      return `persist ${describeOutput(subject as Output)}`;
    case "event":
      return describeEvent(subject as ReplicaEvent);
    case "applied":
      return `apply ${describeApplied(subject as AppliedCommand)}`;
    case "called":
      return `call ${describeCall(subject as SimOperation)}`;
    case "settled":
      return `end ${describeEnd(subject as SimOperation)}`;
    case "text":
      return subject as string;
    default:
      return unreachable(kind);
  }
}

/** The most telling number of a message. */
function numberIn(message: PeerMessage): number {
  switch (message.type) {
    case "append-entries":
      return message.prevIndex * 7 + message.commit;
    case "append-entries-response":
      return message.index;
    case "commit-notice":
      return message.commit;
    case "heartbeat":
    case "heartbeat-response":
      return message.round;
    case "forward":
    case "forward-response":
      return message.request;
    case "transfer-request":
    case "transfer-response":
      return message.request;
    case "leaving":
      return message.lastRequest;
    case "formation":
      return message.configuration.length;
    case "membership-request":
    case "membership-response":
    case "join-request":
    case "join-response":
      return message.request;
    case "invitation":
      return message.index;
    case "snapshot-offer":
      return message.index;
    case "snapshot-chunk":
    case "snapshot-report":
      return message.offset;
    default:
      return message.term;
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}
