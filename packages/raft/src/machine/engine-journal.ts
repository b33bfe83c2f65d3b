/**
 * What the engine keeps with a machine on disk, in the machine's own transactions: its replicated
 * state (engine-state.ts) and the index that it is of.
 *
 * To write all of the state with every batch would cost up to megabytes each time. So a *base* is
 * written now and then, and with each batch what its entries did to the state since: *steps*. They
 * say what was asked and, of commands that took effect, what the machine answered; opening takes
 * them through the same code that took them the first time. So the state after a crash is the one
 * that belongs to the effects beside it, and no other.
 *
 * Steps gather in slots of a few KiB, each written again while it grows. A base begins a new
 * generation and the slots anew; slots of an older generation are leftovers and mean nothing.
 *
 *   off size field              record `base`
 *     0  u8   format version = 1
 *     1  u64  generation, from 1 on
 *     9  u64  index, and
 *    17  u64  term of the last entry that is in the state; 0 and 0 before the first
 *    25  16   cluster id
 *    41  ..   the engine's state, then u32 CRC-32 of everything before
 *
 *                               record `steps/N`, N in decimal from 0 on
 *     0  u64  generation
 *     8  u64  index behind which the first step follows
 *    16       steps, then u32 CRC-32 of everything before
 *
 *   step  u8 kind and, behind it
 *     1 position         u64 term, u64 cluster time: of all steps up to the next position
 *     2 nothing          u32 entries that did nothing to the engine's state
 *     3 command          u64 session, u64 sequence, u64 lowest unanswered; u8 1 and the value
 *                        (value-codec.ts), or u8 0: the result was not kept
 *     4 without effect   u64 session, u64 sequence, u64 lowest unanswered
 *     5 session          u64 session, u16 bytes, payload of the entry
 *     6 version          u32
 *
 * Steps 3 to 6 are one entry each. Invariant: the records of one transaction lead to the state and
 * the index behind its last entry.
 */
import { EntryKind } from "../core/entry.ts";
import { ByteReader, ByteWriter, BytesError, fromHex, readU32, toHex } from "../util/bytes.ts";
import type { Checksum } from "../util/checksum.ts";
import type { EngineRecord } from "./disk-machine.ts";
import { EngineState } from "./engine-state.ts";
import type { SessionVerdict } from "./sessions.ts";
import { decodeValue, encodeValue } from "./value-codec.ts";

/** An entry that is applied together with others; the object is used again afterwards. */
export interface PlannedEntry {
  index: number;
  term: number;
  timeMs: number;
  kind: EntryKind;
  session: number;
  sequence: number;
  lowestUnanswered: number;
  verdict: SessionVerdict;
  /** Of entries that are no commands. */
  payload: Uint8Array;
  /** Of commands that reach the machine: where their result is; -1 of all others. */
  place: number;
}

/** A position in the log. */
export interface Position {
  readonly index: number;
  readonly term: number;
}

/** What a machine on disk was found with. */
export interface Opened extends Position {
  /** Undefined: nothing was ever applied. */
  readonly clusterId: string | undefined;
  readonly state: EngineState;
}

const FORMAT = 1;
const STEP = {
  position: 1,
  nothing: 2,
  command: 3,
  ineffective: 4,
  session: 5,
  version: 6,
} as const;
const SLOT_HEAD_BYTES = 16;
/** A slot is written again as long as it is smaller. */
const SLOT_BYTES = 1_800;
/** A base is written once the steps since the last one are as large as it is, and at least so. */
const STEPS_BYTES_MIN = 65_536;

/** See the top of this file. */
export class EngineJournal {
  readonly #checksum: Checksum;
  readonly #steps: ByteWriter = new ByteWriter(4_096);
  /** Steps of entries that were applied without the machine, and are not stored yet. */
  readonly #pending: ByteWriter = new ByteWriter();
  readonly #scratch: ByteWriter = new ByteWriter();
  #slot: ByteWriter = new ByteWriter(4_096);
  #slotNumber = 0;
  #generation = 0;
  #baseBytes = 0;
  #stepsBytes = STEPS_BYTES_MIN;
  #stored: Position = { index: 0, term: 0 };
  #confirmed: Position = { index: 0, term: 0 };
  #opened: Opened = { index: 0, term: 0, clusterId: undefined, state: new EngineState() };

  constructor(checksum: Checksum) {
    this.#checksum = checksum;
  }

  /** The last entry that the machine's newest finished transaction covers. */
  get confirmed(): Position {
    return this.#confirmed;
  }

  /** The transaction for which records were made last is done. */
  confirm(): void {
    this.#confirmed = this.#stored;
  }

  /** There will be no such transaction: the next one begins with a base. */
  abandon(): void {
    this.#stored = this.#confirmed;
    this.#baseBytes = 0;
    this.#stepsBytes = STEPS_BYTES_MIN;
  }

  /** Bytes of steps that are not stored. */
  get pendingBytes(): number {
    return this.#pending.length;
  }

  /** What {@link open} found. */
  get opened(): Opened {
    return this.#opened;
  }

  /** Reads the records of a machine; throws {@link BytesError} where they are none. */
  open(records: readonly EngineRecord[]): void {
    const byKey = new Map(records.map(({ key, value }) => [key, value]));
    const base = byKey.get("base");
    if (base === undefined) {
      if (records.length > 0) throw new BytesError("records without a base");
      return;
    }
    const found = this.#readBase(base);
    let { index, term } = found;
    for (let n = 0; ; n++) {
      const bytes = byKey.get(`steps/${n}`);
      const reader = bytes && this.#slotOf(bytes, index);
      if (reader === undefined) break;
      ({ index, term } = replay(reader, found.state, { index, term }));
    }
    this.#opened = { ...found, index, term };
    this.#stored = { index, term };
    this.confirm();
    // The first batch writes a base: slots that were read are not gone on with.
    this.#baseBytes = 0;
    this.#stepsBytes = STEPS_BYTES_MIN;
  }

  /** Entries were applied of which the machine hears nothing now. */
  skip(entries: readonly PlannedEntry[], count: number): void {
    this.#encode(entries, count, []);
    this.#pending.raw(this.#steps.view());
  }

  /**
   * The records for one transaction: entries behind `at`, which `state` is of, and the machine's
   * answers to the commands among them.
   */
  // eslint-disable-next-line max-params -- the parts of one transaction, in one place
  stage(
    at: Position & { readonly state: EngineState; readonly clusterId: string },
    entries: readonly PlannedEntry[],
    count: number,
    results: readonly unknown[],
  ): EngineRecord[] {
    this.#encode(entries, count, results);
    const records: EngineRecord[] = [];
    const bytes = this.#pending.length + this.#steps.length;
    if (this.#stepsBytes + bytes > Math.max(STEPS_BYTES_MIN, this.#baseBytes)) {
      records.push(this.#base(at));
      // The base holds what was pending.
      this.#pending.reset();
    }
    const isFull = this.#slot.length + bytes > SLOT_BYTES;
    if (this.#slot.length === 0) this.#beginSlot(this.#slotNumber);
    else if (isFull && this.#slot.length > SLOT_HEAD_BYTES) this.#beginSlot(this.#slotNumber + 1);
    this.#slot.raw(this.#pending.view()).raw(this.#steps.view());
    this.#stepsBytes += this.#pending.length + this.#steps.length;
    this.#pending.reset();
    const last = count > 0 ? entries[count - 1]! : at;
    this.#stored = { index: last.index, term: last.term };
    records.push({ key: `steps/${this.#slotNumber}`, value: this.#sealed(this.#slot) });
    return records;
  }

  /** The records of a machine that begins with a snapshot, in a new place. */
  begin(
    at: Position & { readonly clusterId: string; readonly state: EngineState },
  ): EngineRecord[] {
    this.#generation = 0;
    this.#pending.reset();
    return [this.#base(at)];
  }

  #base(at: Position & { readonly clusterId: string; readonly state: EngineState }): EngineRecord {
    this.#generation++;
    const writer = new ByteWriter().u8(FORMAT).u64(this.#generation).u64(at.index).u64(at.term);
    writer.raw(fromHex(at.clusterId)).raw(at.state.encode());
    const value = this.#sealed(writer);
    this.#baseBytes = value.length;
    this.#stepsBytes = 0;
    this.#stored = { index: at.index, term: at.term };
    this.#slotNumber = 0;
    this.#slot.reset();
    return { key: "base", value };
  }

  #beginSlot(number: number): void {
    this.#slotNumber = number;
    this.#slot.reset();
    this.#slot.u64(this.#generation).u64(this.#stored.index);
  }

  #sealed(writer: ByteWriter): Uint8Array {
    const bytes = new Uint8Array(writer.length + 4);
    bytes.set(writer.view());
    const crc = this.#checksum(writer.view());
    new DataView(bytes.buffer).setUint32(writer.length, crc, true);
    return bytes;
  }

  #unsealed(bytes: Uint8Array, what: string): Uint8Array {
    const body = bytes.subarray(0, Math.max(0, bytes.length - 4));
    if (bytes.length < 4 || this.#checksum(body) !== readU32(bytes, body.length)) {
      throw new BytesError(`${what} fails its CRC`);
    }
    return body;
  }

  #readBase(bytes: Uint8Array): Opened {
    const reader = new ByteReader(this.#unsealed(bytes, "the base"));
    const format = reader.u8();
    if (format !== FORMAT) throw new BytesError(`records of version ${format}`);
    this.#generation = reader.u64();
    const index = reader.u64();
    const term = reader.u64();
    const clusterId = toHex(reader.raw(16));
    const state = EngineState.decode(reader.raw(reader.remaining));
    return { index, term, clusterId, state };
  }

  /** The steps of a slot; undefined where it is a leftover. */
  #slotOf(bytes: Uint8Array, index: number): ByteReader | undefined {
    const reader = new ByteReader(this.#unsealed(bytes, "a slot of steps"));
    if (reader.u64() !== this.#generation) return undefined;
    const after = reader.u64();
    if (after !== index) throw new BytesError(`steps behind ${after}, where ${index} is the last`);
    return reader;
  }

  #encode(entries: readonly PlannedEntry[], count: number, results: readonly unknown[]): void {
    const writer = this.#steps;
    writer.reset();
    let [term, timeMs, nothing] = [-1, -1, 0];
    const flush = (): void => {
      if (nothing > 0) writer.u8(STEP.nothing).u32(nothing);
      nothing = 0;
    };
    for (let i = 0; i < count; i++) {
      const entry = entries[i]!;
      if (entry.term !== term || entry.timeMs !== timeMs) {
        flush();
        ({ term, timeMs } = entry);
        writer.u8(STEP.position).u64(term).u64(timeMs);
      }
      if (doesNothing(entry)) nothing++;
      else {
        flush();
        this.#step(entry, results);
      }
    }
    flush();
  }

  #step(entry: PlannedEntry, results: readonly unknown[]): void {
    const writer = this.#steps;
    const { kind, session, payload, verdict } = entry;
    if (kind === EntryKind.session) {
      writer.u8(STEP.session).u64(session).u16(payload.length).raw(payload);
    } else if (kind === EntryKind.version) {
      writer.u8(STEP.version).u32(readU32(payload, 0));
    } else {
      writer.u8(verdict === "new" ? STEP.command : STEP.ineffective);
      writer.u64(session).u64(entry.sequence).u64(entry.lowestUnanswered);
      if (verdict === "new") this.#result(results[entry.place]);
    }
  }

  #result(value: unknown): void {
    const scratch = this.#scratch;
    scratch.reset();
    const isKept = encodeValue(scratch, value, RESULT_BYTES_MAX);
    this.#steps.u8(isKept ? 1 : 0);
    if (isKept) this.#steps.raw(scratch.view());
  }
}

/** What sessions keep of one result at most (sessions.ts), and a little for what is small. */
const RESULT_BYTES_MAX = 65_536;

function doesNothing({ kind, session, payload }: PlannedEntry): boolean {
  if (kind === EntryKind.command) return session === 0;
  if (kind === EntryKind.version) return payload.length !== 4;
  return kind !== EntryKind.session;
}

/** Takes the state through the steps of a slot, and says where it is then. */
function replay(reader: ByteReader, state: EngineState, from: Position): Position {
  let { index, term } = from;
  while (reader.remaining > 0) {
    const kind = reader.u8();
    if (kind === STEP.position) {
      term = reader.u64();
      state.timeMs = reader.u64();
    } else if (kind === STEP.nothing) index += reader.u32();
    else replayOne(reader, state, { kind, index: ++index });
  }
  return { index, term };
}

function replayOne(
  reader: ByteReader,
  state: EngineState,
  step: { readonly kind: number; readonly index: number },
): void {
  switch (step.kind) {
    case STEP.command:
    case STEP.ineffective:
      replayCommand(reader, state, step);
      return;
    case STEP.session: {
      const session = reader.u64();
      state.takeSession(step.index, session, reader.raw(reader.u16()));
      return;
    }
    case STEP.version:
      state.raiseVersion(reader.u32());
      return;
    default:
      throw new BytesError(`a step of kind ${step.kind}`);
  }
}

function replayCommand(
  reader: ByteReader,
  { sessions, history, timeMs }: EngineState,
  step: { readonly kind: number; readonly index: number },
): void {
  const [session, sequence, lowest] = [reader.u64(), reader.u64(), reader.u64()];
  const verdict = sessions.judge(session, sequence, lowest, timeMs);
  if ((verdict === "new") !== (step.kind === STEP.command)) {
    throw new BytesError(`the command at ${step.index} is ${verdict} now`);
  }
  if (step.kind === STEP.ineffective) history.ineffective(step.index);
  else if (reader.u8() === 1) sessions.keep(sequence, decodeValue(reader));
  else sessions.keepLost(sequence);
}
