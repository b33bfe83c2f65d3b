/**
 * The machine host that keeps the user's machine on disk in this thread: decode, call, hand back.
 */
import type { DiskBatch, DiskStateMachine, EngineRecord } from "./disk-machine.ts";
import { isDiskMachine } from "./disk-machine.ts";
import { InProcessMachine } from "./in-process-machine.ts";
import type { DiskHost, MachineHost, MachineSnapshot } from "./machine-host.ts";
import type { Codec, ResultOf, StateMachine } from "./state-machine.ts";

/** Runs a {@link DiskStateMachine} in the engine's own thread. */
export class InProcessDiskMachine<Command, Query> implements DiskHost<Query> {
  readonly kind = "disk";
  readonly #machine: DiskStateMachine<Command, Query>;
  readonly #codec: Codec<Command>;

  constructor(machine: DiskStateMachine<Command, Query>, codec: Codec<Command>) {
    this.#machine = machine;
    this.#codec = codec;
  }

  get version(): number {
    return this.#machine.version ?? 1;
  }

  get isFull(): boolean {
    return this.#machine.isFull === true;
  }

  open(): Promise<readonly EngineRecord[]> {
    return this.#machine.open();
  }

  decode(payload: Uint8Array): unknown {
    return this.#codec.decode(payload);
  }

  apply(
    batch: DiskBatch<unknown>,
  ): readonly ResultOf<Command>[] | Promise<readonly ResultOf<Command>[]> {
    return this.#machine.apply(batch as DiskBatch<Command>);
  }

  query(query: Query): unknown {
    return this.#machine.query(query);
  }

  sync(): Promise<void> {
    return this.#machine.sync();
  }

  snapshot(): MachineSnapshot {
    const checkpoint = this.#machine.checkpoint();
    const pieces = piecesOf(checkpoint.stream(), () => checkpoint.release());
    return { kind: "live", pieces, first: pieces.next() };
  }

  async restore(
    chunks: AsyncIterable<Uint8Array>,
    records: readonly EngineRecord[],
  ): Promise<void> {
    await this.#machine.restore(chunks, records);
  }

  async close(): Promise<void> {
    await this.#machine.close();
  }
}

/** The host of a machine, whichever kind it is of. */
export function hostOf<Command, Query>(
  machine: StateMachine<Command, Query> | DiskStateMachine<Command, Query>,
  codec: Codec<Command>,
): MachineHost<Query> {
  return isDiskMachine<Command, Query>(machine)
    ? new InProcessDiskMachine(machine, codec)
    : new InProcessMachine(machine, codec);
}

/** The pieces of a stream; whatever ends it, the checkpoint is released once. */
async function* piecesOf(
  stream: AsyncIterable<Uint8Array>,
  release: () => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* stream;
  } finally {
    release();
  }
}
