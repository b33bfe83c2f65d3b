/**
 * The body of a state or reset record: everything about a group that is not an entry.
 *
 *   off size field
 *     0  u64  term
 *     8  u64  commit index
 *    16  u64  start index: the log starts after it, the first index kept is one above
 *    24  u64  term at the start index
 *    32  u64  last index
 *    40  u64  cluster time of the last entry, in ms
 *    48  u64  index of the configuration in force at the start index
 *    56  u32  bytes of that configuration, 0 = as in the state before
 *    60  u16  bytes of the id voted for, 0 = no vote in this term
 *    62  u16  reserved = 0
 *    64  16   incarnation voted for
 *    80       id voted for (UTF-8), then the configuration (see core/configuration.ts)
 *
 * The newest state by position is the one that counts. States at the head of a segment always hold
 * the configuration, so that everything before the segment can go.
 */
import type { IndexedConfiguration } from "../core/configuration.ts";
import { isMemberId } from "../core/configuration.ts";
import { decodeConfiguration, encodeConfiguration } from "../core/configuration-codec.ts";
import type { Vote } from "../core/output.ts";
import { BytesError, ByteReader, fromHex, fromUtf8, toHex, utf8 } from "../util/bytes.ts";
import type { ByteWriter } from "../util/bytes.ts";

/** The state of one group at one place in the log. */
export interface GroupState {
  readonly term: number;
  readonly vote: Vote | undefined;
  readonly commit: number;
  readonly startIndex: number;
  readonly startTerm: number;
  readonly lastIndex: number;
  readonly lastTimeMs: number;
  /** Undefined: as in the state before. */
  readonly startConfiguration: IndexedConfiguration | undefined;
}

const NOBODY = new Uint8Array(16);

/** Writes a state behind what `writer` holds. */
export function encodeState(writer: ByteWriter, state: GroupState): void {
  const { vote, startConfiguration } = state;
  const id = vote === undefined ? new Uint8Array(0) : utf8(vote.id);
  const configuration =
    startConfiguration === undefined
      ? new Uint8Array(0)
      : encodeConfiguration(startConfiguration.configuration);
  writer
    .u64(state.term)
    .u64(state.commit)
    .u64(state.startIndex)
    .u64(state.startTerm)
    .u64(state.lastIndex)
    .u64(state.lastTimeMs)
    .u64(startConfiguration?.index ?? 0)
    .u32(configuration.length)
    .u16(id.length)
    .u16(0)
    .raw(vote === undefined ? NOBODY : fromHex(vote.incarnation))
    .raw(id)
    .raw(configuration);
}

/** Reads a state; throws {@link BytesError} where it is not one. */
export function decodeState(body: Uint8Array): GroupState {
  const reader = new ByteReader(body);
  const term = reader.u64();
  const commit = reader.u64();
  const startIndex = reader.u64();
  const startTerm = reader.u64();
  const lastIndex = reader.u64();
  const lastTimeMs = reader.u64();
  const configurationIndex = reader.u64();
  const configurationBytes = reader.u32();
  const idBytes = reader.u16();
  if (reader.u16() !== 0) throw new BytesError("reserved bytes of a state are not zero");
  const incarnation = toHex(reader.raw(16));
  const id = fromUtf8(reader.raw(idBytes));
  const payload = reader.raw(configurationBytes);
  reader.end();
  if (idBytes > 0 && !isMemberId(id)) throw new BytesError("a vote for no member id");
  if (startIndex > lastIndex) throw new BytesError("the log ends before it starts");
  const startConfiguration =
    configurationBytes === 0
      ? undefined
      : { index: configurationIndex, configuration: decodeConfiguration(payload) };
  const vote = idBytes === 0 ? undefined : { id, incarnation };
  return { term, vote, commit, startIndex, startTerm, lastIndex, lastTimeMs, startConfiguration };
}
