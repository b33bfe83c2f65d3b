/**
 * What the simulator puts around a user's machine, whatever it is: every command carries the number
 * of its client's operation, and every command that a machine applies is reported with that number.
 * So "exactly once" and "the same everywhere" are checked without knowing what commands mean.
 *
 * Layout: u64 number of the operation, then the command as the user's codec made it. The user's
 * codec and machine never see the number.
 */
import { InProcessMachine } from "../../machine/in-process-machine.ts";
import type { MachineSnapshot, MemoryHost } from "../../machine/machine-host.ts";
import type { Applied, Codec, StateMachine } from "../../machine/state-machine.ts";
import { assert } from "../../util/assert.ts";
import { readU64, writeU64 } from "../../util/bytes.ts";
import type { Checksum } from "../../util/checksum.ts";
import type { AppliedCommand } from "../observer.ts";
import { writePlainJson } from "./json-bytes.ts";

/** A command of a client's operation. */
export interface NumberedCommand<Command> {
  readonly operation: number;
  readonly command: Command;
}

/** The number of the operation stands before each command. */
export const NUMBER_BYTES = 8;

/** The codec of numbered commands around the codec of commands. */
export function simCodec<Command>(codec: Codec<Command>): Codec<NumberedCommand<Command>> {
  return {
    encode({ operation, command }: NumberedCommand<Command>): Uint8Array {
      const inner = codec.encode(command);
      const bytes = new Uint8Array(NUMBER_BYTES + inner.length);
      writeU64(bytes, 0, operation);
      bytes.set(inner, NUMBER_BYTES);
      return bytes;
    },
    decode(bytes: Uint8Array): NumberedCommand<Command> {
      return {
        operation: numberOf(bytes),
        command: codec.decode(bytes.subarray(NUMBER_BYTES)),
      };
    },
  };
}

/** What a host is made from. */
export interface SimMachineOptions<Command, Query> {
  readonly machine: StateMachine<Command, Query>;
  readonly codec: Codec<Command>;
  readonly checksum: Checksum;
  /** Called for every command, after the machine has applied it. */
  applied(command: AppliedCommand): void;
}

/** A machine in this thread that tells what it applies. */
export class SimMachineHost<Command, Query> implements MemoryHost<Query> {
  readonly kind = "memory";
  readonly #inner: InProcessMachine<Command, Query>;
  readonly #options: SimMachineOptions<Command, Query>;

  constructor(options: SimMachineOptions<Command, Query>) {
    this.#options = options;
    this.#inner = new InProcessMachine(options.machine, options.codec);
  }

  get version(): number {
    return this.#inner.version;
  }

  apply(payload: Uint8Array, at: Applied): unknown {
    const operation = numberOf(payload);
    const { checksum } = this.#options;
    // Before the call: a codec that writes into its argument would be seen.
    const commandHash = checksum(payload);
    const result = this.#inner.apply(payload.subarray(NUMBER_BYTES), at);
    this.#options.applied({
      index: at.index,
      term: at.term,
      timeMs: at.timeMs,
      operation,
      commandHash,
      resultHash: resultHash(result, checksum),
    });
    return result;
  }

  query(query: Query): unknown {
    return this.#inner.query(query);
  }

  snapshot(): MachineSnapshot {
    return this.#inner.snapshot();
  }

  restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    return this.#inner.restore(chunks);
  }
}

/** A checksum of a result as JSON text; of its plain text where JSON cannot hold it. */
export function resultHash(result: unknown, checksum: Checksum): number {
  const written = writePlainJson(result, scratch, 0);
  return written < 0 ? textHash(textOf(result), checksum) : checksum(scratch.subarray(0, written));
}

/** The number of the operation of an encoded command. */
export function numberOf(payload: Uint8Array): number {
  assert(payload.length >= NUMBER_BYTES, "a command is too short for the number of its operation");
  return readU64(payload, 0);
}

function textOf(result: unknown): string {
  try {
    const text = JSON.stringify(result) as string | undefined;
    if (text !== undefined) return text;
  } catch {
    // A bigint or a cycle.
  }
  try {
    return String(result);
  } catch {
    return typeof result; // an object without a text of its own
  }
}

const encoder = new TextEncoder();
let scratch: Uint8Array = new Uint8Array(16_384);

function textHash(text: string, checksum: Checksum): number {
  // A UTF-16 unit makes three bytes at most.
  if (scratch.length < 3 * text.length) scratch = new Uint8Array(6 * text.length);
  const { written } = encoder.encodeInto(text, scratch);
  return checksum(scratch.subarray(0, written));
}
