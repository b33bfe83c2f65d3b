/**
 * What the simulator puts around a machine on disk: as around one in memory (sim-codec.ts), every
 * command carries the number of its client's operation and is reported with it. That happens within
 * its transaction: from then on a query may see what it did.
 */
import { InProcessDiskMachine } from "../../machine/disk-host.ts";
import type { DiskBatch, DiskStateMachine, EngineRecord } from "../../machine/disk-machine.ts";
import type { DiskHost, MachineSnapshot } from "../../machine/machine-host.ts";
import type { Codec } from "../../machine/state-machine.ts";
import type { Checksum } from "../../util/checksum.ts";
import type { AppliedCommand } from "../observer.ts";
import { NUMBER_BYTES, numberOf, resultHash } from "./sim-codec.ts";

/** What a host is made from. */
export interface SimDiskHostOptions {
  readonly machine: DiskStateMachine<unknown, unknown>;
  readonly codec: Codec<unknown>;
  readonly checksum: Checksum;
  /** Called for every command, after its transaction. */
  applied(command: AppliedCommand): void;
}

interface Numbered {
  readonly operation: number;
  readonly commandHash: number;
  readonly command: unknown;
}

/** A machine on disk that tells what it applies. */
export class SimDiskHost implements DiskHost<unknown> {
  readonly kind = "disk";
  readonly #inner: InProcessDiskMachine<unknown, unknown>;
  readonly #options: SimDiskHostOptions;

  constructor(options: SimDiskHostOptions) {
    this.#options = options;
    this.#inner = new InProcessDiskMachine(options.machine, options.codec);
  }

  get version(): number {
    return this.#inner.version;
  }

  get isFull(): boolean {
    return this.#inner.isFull;
  }

  open(): Promise<readonly EngineRecord[]> {
    return this.#inner.open();
  }

  decode(payload: Uint8Array): Numbered {
    return {
      operation: numberOf(payload),
      commandHash: this.#options.checksum(payload),
      command: this.#inner.decode(payload.subarray(NUMBER_BYTES)),
    };
  }

  apply(batch: DiskBatch<unknown>): readonly unknown[] | Promise<readonly unknown[]> {
    const entries = batch.entries.map((entry) => {
      return { ...entry, command: (entry.command as Numbered).command };
    });
    return this.#inner.apply({
      entries,
      records: (results) => {
        this.#report(batch, results);
        return batch.records(results);
      },
    });
  }

  query(query: unknown): unknown {
    return this.#inner.query(query);
  }

  sync(): Promise<void> {
    return this.#inner.sync();
  }

  snapshot(): MachineSnapshot {
    return this.#inner.snapshot();
  }

  restore(chunks: AsyncIterable<Uint8Array>, records: readonly EngineRecord[]): Promise<void> {
    return this.#inner.restore(chunks, records);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  #report(batch: DiskBatch<unknown>, results: readonly unknown[]): void {
    batch.entries.forEach(({ index, term, timeMs, command }, i) => {
      const { operation, commandHash } = command as Numbered;
      const hash = resultHash(results[i], this.#options.checksum);
      this.#options.applied({ index, term, timeMs, operation, commandHash, resultHash: hash });
    });
  }
}
