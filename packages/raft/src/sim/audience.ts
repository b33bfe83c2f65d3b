/**
 * Everybody who watches a run. Each thing that happens goes to those who want to know, in the order
 * in which they came.
 *
 * What an observer throws must not fly into the engine, where it would be taken for a failure of
 * the engine: it is handed to `onThrow`, and the run ends after the step.
 */
import type { MemberId } from "../core/configuration.ts";
import type { RecoveredGroup } from "../core/contract.ts";
import type { Output } from "../core/output.ts";
import type { ReplicaEvent } from "../runtime/replica.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import type {
  AppliedCommand,
  DeathKind,
  MemberView,
  Observer,
  ShownChange,
  SimOperation,
} from "./observer.ts";

/** All observers of a run, as one. */
export class Audience implements Required<Observer> {
  readonly #onThrow: (error: unknown) => void;
  /** Who wants to know what: the hot ones are not asked if they have nothing to say. */
  readonly #by: { readonly [K in keyof Observer]-?: Observer[] } = {
    started: [],
    recovered: [],
    died: [],
    paused: [],
    output: [],
    persisted: [],
    sent: [],
    delivered: [],
    applied: [],
    changed: [],
    changesCompacted: [],
    event: [],
    called: [],
    settled: [],
    fault: [],
    healed: [],
    ended: [],
  };

  constructor(onThrow: (error: unknown) => void) {
    this.#onThrow = onThrow;
  }

  add(observer: Observer): void {
    for (const key of Object.keys(this.#by) as (keyof Observer)[]) {
      if (observer[key] !== undefined) this.#by[key].push(observer);
    }
  }

  started(member: MemberView): void {
    this.#tell("started", (o) => o.started?.(member));
  }

  recovered(member: MemberView, recovered: RecoveredGroup): void {
    this.#tell("recovered", (o) => o.recovered?.(member, recovered));
  }

  died(member: MemberView, how: DeathKind): void {
    this.#tell("died", (o) => o.died?.(member, how));
  }

  paused(member: MemberView, isPaused: boolean): void {
    this.#tell("paused", (o) => o.paused?.(member, isPaused));
  }

  event(member: MemberView, event: ReplicaEvent): void {
    this.#tell("event", (o) => o.event?.(member, event));
  }

  fault(kind: string, text: string, by?: string): void {
    this.#tell("fault", (o) => o.fault?.(kind, text, by));
  }

  healed(): void {
    this.#tell("healed", (o) => o.healed?.());
  }

  ended(): void {
    this.#tell("ended", (o) => o.ended?.());
  }

  // The hot ones: no closure.

  output(member: MemberView, output: Output): void {
    for (const observer of this.#by.output) {
      try {
        observer.output!(member, output);
      } catch (error) {
        this.#onThrow(error);
      }
    }
  }

  persisted(member: MemberView, output: number): void {
    for (const observer of this.#by.persisted) {
      try {
        observer.persisted!(member, output);
      } catch (error) {
        this.#onThrow(error);
      }
    }
  }

  sent(member: MemberView, to: MemberId, message: PeerMessage): void {
    for (const observer of this.#by.sent) {
      try {
        observer.sent!(member, to, message);
      } catch (error) {
        this.#onThrow(error);
      }
    }
  }

  delivered(member: MemberView, from: MemberId, message: PeerMessage): void {
    for (const observer of this.#by.delivered) {
      try {
        observer.delivered!(member, from, message);
      } catch (error) {
        this.#onThrow(error);
      }
    }
  }

  applied(member: MemberView, command: AppliedCommand): void {
    for (const observer of this.#by.applied) {
      try {
        observer.applied!(member, command);
      } catch (error) {
        this.#onThrow(error);
      }
    }
  }

  changed(member: MemberView, change: ShownChange): void {
    this.#tell("changed", (o) => o.changed?.(member, change));
  }

  changesCompacted(member: MemberView, firstIndex: number): void {
    this.#tell("changesCompacted", (o) => o.changesCompacted?.(member, firstIndex));
  }

  called(operation: SimOperation): void {
    for (const observer of this.#by.called) {
      try {
        observer.called!(operation);
      } catch (error) {
        this.#onThrow(error);
      }
    }
  }

  settled(operation: SimOperation): void {
    for (const observer of this.#by.settled) {
      try {
        observer.settled!(operation);
      } catch (error) {
        this.#onThrow(error);
      }
    }
  }

  #tell(what: keyof Observer, tell: (observer: Observer) => void): void {
    for (const observer of this.#by[what]) {
      try {
        tell(observer);
      } catch (error) {
        this.#onThrow(error);
      }
    }
  }
}
