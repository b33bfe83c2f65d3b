/**
 * What the engine itself replicates beside the user's machine: the same on every member at the same
 * index, changed by applied entries alone, carried by snapshots.
 *
 *   off size field
 *     0  u8   version = 1
 *     1  u64  cluster time of the last applied entry, in ms
 *     9  u32  the machine version in force
 */
import { ByteReader, ByteWriter, BytesError } from "../util/bytes.ts";

const FORMAT = 1;

/** The engine's own replicated state at one index. */
export class EngineState {
  /** Cluster time of the last applied entry, in ms. */
  timeMs = 0;
  /** The machine version in force. */
  machineVersion = 1;

  /** The bytes that a snapshot carries. */
  encode(): Uint8Array {
    return new ByteWriter().u8(FORMAT).u64(this.timeMs).u32(this.machineVersion).copy();
  }

  /** Reads what {@link encode} wrote; throws {@link BytesError} where it is not that. */
  static decode(bytes: Uint8Array): EngineState {
    const reader = new ByteReader(bytes);
    const format = reader.u8();
    if (format !== FORMAT) throw new BytesError(`engine state of version ${format}`);
    const state = new EngineState();
    state.timeMs = reader.u64();
    state.machineVersion = reader.u32();
    reader.end();
    return state;
  }
}
