/**
 * Who is in the cluster.
 *
 * A configuration is the payload of an entry of kind `configuration`, and it is in force as soon as
 * that entry is *appended* (thesis, 4.1), durable or not, committed or not; a truncation that
 * removes the entry brings the previous one back. `outgoing` is empty except in a joint
 * configuration (thesis, 4.3), where every decision needs a majority of `voters` AND a majority of
 * `outgoing`.
 *
 * Payload, little-endian, through ByteWriter:
 *   u8 version = 1 · u8 reserved = 0 · u16 number of members · then per member, sorted by id:
 *   text id · text address · 16 bytes incarnation · u8 roles (bit 0 voter, bit 1 outgoing voter,
 *   bit 2 learner)
 */
import { assert } from "../util/assert.ts";
import { ByteReader, BytesError, ByteWriter, fromHex, toHex } from "../util/bytes.ts";

/** A member id: 1 to 64 of `A-Z a-z 0-9 . _ : [ ] -`. */
export type MemberId = string;

/** The random identity of one data directory: 32 lower-case hex digits. */
export type Incarnation = string;

/** An incarnation that is not known yet; such a member is never counted. */
export const NO_INCARNATION: Incarnation = "0".repeat(32);

/** One member as the configuration knows it. */
export interface Member {
  readonly id: MemberId;
  /** `host:port` under which the others dial it. */
  readonly address: string;
  readonly incarnation: Incarnation;
}

/** Who the members are and who of them votes. */
export interface Configuration {
  /** Everybody, sorted by id. */
  readonly members: readonly Member[];
  /** Ids of the (incoming) voters, sorted. */
  readonly voters: readonly MemberId[];
  /** Ids of the outgoing voters, sorted; empty unless the configuration is joint. */
  readonly outgoing: readonly MemberId[];
  /** Ids of members that receive the log and do not vote, sorted. */
  readonly learners: readonly MemberId[];
}

/** A configuration and the index of the entry that holds it. */
export interface IndexedConfiguration {
  readonly index: number;
  readonly configuration: Configuration;
}

/** Nobody: what a member without a log has. */
export const EMPTY_CONFIGURATION: Configuration = {
  members: [],
  voters: [],
  outgoing: [],
  learners: [],
};

const MEMBER_ID = /^[A-Za-z0-9._:[\]-]{1,64}$/;
const INCARNATION = /^[0-9a-f]{32}$/;
const VOTER = 1;
const OUTGOING = 2;
const LEARNER = 4;
const MEMBERS_MAX = 256;

/** Whether a string may be a member id. */
export function isMemberId(text: string): boolean {
  return MEMBER_ID.test(text);
}

/** A configuration in which every given member votes. */
export function votersOnly(members: readonly Member[]): Configuration {
  const sorted = [...members].sort(byId);
  return { members: sorted, voters: sorted.map((m) => m.id), outgoing: [], learners: [] };
}

/** Whether `id` has a vote in either half. */
export function isVoter(configuration: Configuration, id: MemberId): boolean {
  return configuration.voters.includes(id) || configuration.outgoing.includes(id);
}

/** The member of that id, if there is one. */
export function memberOf(configuration: Configuration, id: MemberId): Member | undefined {
  return configuration.members.find((member) => member.id === id);
}

/** The entry payload of a configuration. */
export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const { members } = configuration;
  assert(members.length <= MEMBERS_MAX, `more than ${MEMBERS_MAX} members`);
  const writer = new ByteWriter().u8(1).u8(0).u16(members.length);
  for (const member of members) {
    const roles =
      (configuration.voters.includes(member.id) ? VOTER : 0) |
      (configuration.outgoing.includes(member.id) ? OUTGOING : 0) |
      (configuration.learners.includes(member.id) ? LEARNER : 0);
    assert(roles !== 0, `member ${member.id} has no role`);
    writer.text(member.id).text(member.address).raw(fromHex(member.incarnation)).u8(roles);
  }
  return writer.copy();
}

/** Reads a configuration payload and checks it; throws {@link BytesError}. */
export function decodeConfiguration(payload: Uint8Array): Configuration {
  const reader = new ByteReader(payload);
  const version = reader.u8();
  if (version !== 1) throw new BytesError(`configuration of version ${version}`);
  if (reader.u8() !== 0) throw new BytesError("reserved byte of a configuration is not zero");
  const count = reader.u16();
  if (count > MEMBERS_MAX) throw new BytesError(`configuration of ${count} members`);
  const members: Member[] = [];
  const voters: MemberId[] = [];
  const outgoing: MemberId[] = [];
  const learners: MemberId[] = [];
  for (let i = 0; i < count; i++) {
    const id = reader.text();
    const address = reader.text();
    const incarnation = toHex(reader.raw(16));
    const roles = reader.u8();
    if (!isMemberId(id) || !INCARNATION.test(incarnation)) throw new BytesError(`member id ${id}`);
    if (i > 0 && members[i - 1]!.id >= id) throw new BytesError("members are not sorted by id");
    if (roles === 0 || roles > 7) throw new BytesError(`roles ${roles} of member ${id}`);
    members.push({ id, address, incarnation });
    if (roles & VOTER) voters.push(id);
    if (roles & OUTGOING) outgoing.push(id);
    if (roles & LEARNER) learners.push(id);
  }
  reader.end();
  return { members, voters, outgoing, learners };
}

function byId(a: Member, b: Member): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}
