/**
 * The machine host that keeps the user's state machine in this thread: decode, call, hand back.
 *
 * `apply` must be synchronous. A machine whose `apply` returns a promise would let entry n + 1
 * begin before entry n has ended, differently on each member; so it is treated as a machine that
 * threw.
 */
import type { MachineSnapshot, MemoryHost } from "./machine-host.ts";
import { machineSnapshotOf } from "./machine-snapshot.ts";
import type { Applied, Codec, StateMachine } from "./state-machine.ts";

/** Runs a {@link StateMachine} in the engine's own thread. */
export class InProcessMachine<Command, Query> implements MemoryHost<Query> {
  readonly kind = "memory";
  readonly #machine: StateMachine<Command, Query>;
  readonly #codec: Codec<Command>;

  constructor(machine: StateMachine<Command, Query>, codec: Codec<Command>) {
    this.#machine = machine;
    this.#codec = codec;
  }

  get version(): number {
    return this.#machine.version ?? 1;
  }

  apply(payload: Uint8Array, at: Applied): unknown {
    const result: unknown = this.#machine.apply(this.#codec.decode(payload), at);
    if (isThenable(result)) {
      // Its own failure must not become an unhandled rejection on top of ours.
      result.then(nothing, nothing);
      throw new TypeError("apply returned a promise: it must be synchronous");
    }
    return result;
  }

  query(query: Query): unknown {
    return this.#machine.query(query);
  }

  snapshot(): MachineSnapshot {
    return machineSnapshotOf(this.#machine.snapshot());
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    await this.#machine.restore(chunks);
  }
}

interface Thenable {
  then(fulfilled: () => void, rejected: () => void): unknown;
}

function isThenable(value: unknown): value is Thenable {
  return (
    typeof value === "object" && value !== null && typeof (value as Thenable).then === "function"
  );
}

function nothing(): void {}
