/**
 * What the engine itself replicates beside the user's machine: the same on every member at the same
 * index, changed by applied entries alone, carried by snapshots.
 *
 *   off size field
 *     0  u8   version = 1
 *     1  u64  cluster time of the last applied entry, in ms
 *     9  u32  the machine version in force
 *    13       which commands had an effect (history.ts)
 *    ..  u32  number of sessions, then the sessions (sessions.ts)
 *
 * The history alone may begin later on one member than on another: it is forgotten with the log.
 */
import { ByteReader, ByteWriter, BytesError } from "../util/bytes.ts";
import { History } from "./history.ts";
import { decodeSessionEntry } from "./session-entry.ts";
import { Sessions } from "./sessions.ts";

const FORMAT = 1;

/** The engine's own replicated state at one index. */
export class EngineState {
  /** Cluster time of the last applied entry, in ms. */
  timeMs = 0;
  /** The machine version in force. */
  machineVersion = 1;
  /** Who repeats what; see sessions.ts. */
  sessions: Sessions = new Sessions();
  /** Which commands had an effect. */
  history: History = new History();

  /** An entry of kind `session` was applied: the id of the session that it opened, if it did. */
  takeSession(index: number, session: number, payload: Uint8Array): number | undefined {
    const asked = decodeSessionEntry(payload);
    if (asked?.type === "close") this.sessions.close(session);
    if (asked?.type !== "open") return undefined;
    this.sessions.open(index, this.timeMs, asked.timeoutMs);
    return index;
  }

  /** Versions only rise: an entry of a leader that knew less changes nothing. */
  raiseVersion(version: number): void {
    if (version > this.machineVersion) this.machineVersion = version;
  }

  /** The bytes that a snapshot carries. */
  encode(): Uint8Array {
    const writer = new ByteWriter().u8(FORMAT).u64(this.timeMs).u32(this.machineVersion);
    this.history.encode(writer);
    this.sessions.encode(writer);
    return writer.copy();
  }

  /** Reads what {@link encode} wrote; throws {@link BytesError} where it is not that. */
  static decode(bytes: Uint8Array): EngineState {
    const reader = new ByteReader(bytes);
    const format = reader.u8();
    if (format !== FORMAT) throw new BytesError(`engine state of version ${format}`);
    const state = new EngineState();
    state.timeMs = reader.u64();
    state.machineVersion = reader.u32();
    state.history = History.decode(reader);
    state.sessions = Sessions.decode(reader);
    reader.end();
    return state;
  }
}
