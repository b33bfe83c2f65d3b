/**
 * What the core wants persisted and sent, kept in the order that makes it safe (core/output.ts).
 *
 * Outputs are numbered. While a log write is in flight, the entries and the hard state of further
 * outputs gather here, and the next write carries all of them. A message with `after === 0` leaves
 * at once; any other waits until everything up to the output that it names is durable. Waiting
 * messages leave in the order in which they came, so none overtakes another to the same member.
 *
 * Members are told apart by id here. What waits for a directory that is replaced meanwhile is let
 * go of: its successor must not hear it, least of all a vote that was granted to the other one.
 */
import type { Configuration, Incarnation, MemberId } from "../core/configuration.ts";
import type { SnapshotPoint } from "../core/contract.ts";
import type { EntryBatch } from "../core/entry.ts";
import type { Envelope, HardState, Output } from "../core/output.ts";
import type { LogWrite } from "../log/log.ts";
import { assert } from "../util/assert.ts";

/** The outputs of one group that are not durable yet. */
export class Outbox {
  readonly #group: number;
  readonly #send: (envelope: Envelope) => void;
  #hardState: HardState | undefined;
  #reset: SnapshotPoint | undefined;
  #entries: EntryBatch[] = [];
  #commit = 0;
  #hasWrite = false;
  /** The newest output taken; the one that the write in flight covers; the newest durable one. */
  #last = 0;
  #inFlight: number | undefined;
  #durable = 0;
  #held: Envelope[] = [];
  /** Which directory each member is. */
  readonly #directories = new Map<MemberId, Incarnation>();

  constructor(group: number, send: (envelope: Envelope) => void) {
    this.#group = group;
    this.#send = send;
  }

  /** Sends what may leave and keeps the rest. */
  take(output: Output): void {
    assert(output.number > this.#last, "outputs are numbered upwards");
    this.#last = output.number;
    this.#commit = output.commit;
    const { hardState, reset } = output;
    if (hardState !== undefined || reset !== undefined || output.entries.length > 0) {
      this.#hasWrite = true;
      this.#hardState = hardState ?? this.#hardState;
      if (reset !== undefined) {
        // The entries that were waiting belong to the log that it replaces.
        this.#reset = reset;
        this.#entries = [];
      }
      for (const batch of output.entries) this.#entries.push(batch);
    }
    for (const envelope of output.messages) {
      if (envelope.after === 0) this.#send(envelope);
      else this.#held.push(envelope);
    }
    this.#release();
  }

  /** Another configuration is in force. */
  membersAre({ members }: Configuration): void {
    for (const { id, incarnation } of members) {
      const before = this.#directories.get(id);
      this.#directories.set(id, incarnation);
      if (before === undefined || before === incarnation) continue;
      this.#held = this.#held.filter(({ to }) => to !== id);
    }
  }

  /** What is to be written next; undefined where there is nothing, or a write is in flight. */
  takeWrite(): LogWrite | undefined {
    if (!this.#hasWrite || this.#inFlight !== undefined) return undefined;
    const write: LogWrite = {
      group: this.#group,
      hardState: this.#hardState,
      reset: this.#reset,
      entries: this.#entries,
      commit: this.#commit,
    };
    this.#hardState = undefined;
    this.#reset = undefined;
    this.#entries = [];
    this.#hasWrite = false;
    this.#inFlight = this.#last;
    return write;
  }

  /** The write in flight is durable; returns the newest output that this covers. */
  written(): number {
    assert(this.#inFlight !== undefined, "a write ended that was not in flight");
    this.#durable = this.#inFlight;
    this.#inFlight = undefined;
    this.#release();
    return this.#durable;
  }

  #release(): void {
    // With nothing to be written and nothing on its way, what was taken is as durable as it gets.
    if (!this.#hasWrite && this.#inFlight === undefined) this.#durable = this.#last;
    let sent = 0;
    while (sent < this.#held.length && this.#held[sent]!.after <= this.#durable) {
      this.#send(this.#held[sent++]!);
    }
    if (sent > 0) this.#held = sent === this.#held.length ? [] : this.#held.slice(sent);
  }
}
