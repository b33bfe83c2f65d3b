/**
 * The bytes of a configuration: the payload of an entry of kind `configuration`.
 *
 * Little-endian, through ByteWriter; *ids* is u16 count, then so many texts, sorted, none twice:
 *
 *   u8 version · u8 flags · u16 number of members · then per member, sorted by id:
 *     text id · text address · 16 bytes incarnation · u8 role: 1 voter, 2 outgoing voter, 3 both,
 *     4 learner
 *   flags, version 2 only, in this order:
 *     1 pending   u64 untilMs · ids voters · ids learners · ids added
 *     2 final     ids learners · u16 arrivals · per arrival, sorted by id:
 *                 text id · text address · 16 bytes incarnation
 *     4 change    u64 token · u64 index · u8 undone: 0 no, 1 timeout, 2 cancelled
 *     8 refounds  nothing more
 *
 * Version 1 has no flags and is what a configuration without those parts is written as, so that
 * there is one way to write each. What is read is checked as a whole before it is believed: ids are
 * known, nobody votes and learns at once, a pending change and a final configuration leave voters.
 */
import { assert } from "../util/assert.ts";
import { ByteReader, BytesError, ByteWriter, fromHex, toHex } from "../util/bytes.ts";
import type {
  ChangeMark,
  Configuration,
  Final,
  Member,
  MemberId,
  Pending,
  Undone,
} from "./configuration.ts";
import { isMemberId, MEMBERS_MAX } from "./configuration.ts";

const INCARNATION = /^[0-9a-f]{32}$/;
const VOTER = 1;
const OUTGOING = 2;
const LEARNER = 4;
const PENDING = 1;
const FINAL = 2;
const CHANGE = 4;
const REFOUNDS = 8;
const UNDONE: readonly Undone[] = ["no", "timeout", "cancelled"];

/** The entry payload of a configuration. */
export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const { members, pending, final, change } = configuration;
  assert(members.length <= MEMBERS_MAX, `more than ${MEMBERS_MAX} members`);
  const flags =
    (pending === undefined ? 0 : PENDING) |
    (final === undefined ? 0 : FINAL) |
    (change === undefined ? 0 : CHANGE) |
    (configuration.refounds === true ? REFOUNDS : 0);
  const writer = new ByteWriter()
    .u8(flags === 0 ? 1 : 2)
    .u8(flags)
    .u16(members.length);
  for (const member of members) {
    const roles =
      (configuration.voters.includes(member.id) ? VOTER : 0) |
      (configuration.outgoing.includes(member.id) ? OUTGOING : 0) |
      (configuration.learners.includes(member.id) ? LEARNER : 0);
    assert(roles > 0 && roles <= LEARNER, `member ${member.id} has roles ${roles}`);
    writeMember(writer, member);
    writer.u8(roles);
  }
  if (pending !== undefined) writePending(writer, pending);
  if (final !== undefined) writeFinal(writer, final);
  if (change !== undefined) {
    writer.u64(change.token).u64(change.index).u8(UNDONE.indexOf(change.undone));
  }
  return writer.copy();
}

/** Reads a configuration payload and checks it; throws {@link BytesError}. */
export function decodeConfiguration(payload: Uint8Array): Configuration {
  const reader = new ByteReader(payload);
  const version = reader.u8();
  if (version !== 1 && version !== 2) throw new BytesError(`configuration of version ${version}`);
  const flags = reader.u8();
  if (version === 1 ? flags !== 0 : flags === 0 || flags > 15) {
    throw new BytesError(`flags ${flags} of a configuration of version ${version}`);
  }
  const base = readRoles(reader);
  const pending = flags & PENDING ? readPending(reader) : undefined;
  const final = flags & FINAL ? readFinal(reader) : undefined;
  const change = flags & CHANGE ? readChange(reader) : undefined;
  reader.end();
  const configuration: Configuration = {
    ...base,
    ...(pending === undefined ? {} : { pending }),
    ...(final === undefined ? {} : { final }),
    ...(change === undefined ? {} : { change }),
    ...(flags & REFOUNDS ? { refounds: true } : {}),
  };
  checkWhole(configuration);
  return configuration;
}

function readRoles(reader: ByteReader): Configuration {
  const count = reader.u16();
  if (count > MEMBERS_MAX) throw new BytesError(`configuration of ${count} members`);
  const members: Member[] = [];
  const voters: MemberId[] = [];
  const outgoing: MemberId[] = [];
  const learners: MemberId[] = [];
  for (let i = 0; i < count; i++) {
    const member = readMember(reader, members.at(-1)?.id);
    const { id } = member;
    const roles = reader.u8();
    if (roles === 0 || roles > LEARNER) throw new BytesError(`roles ${roles} of member ${id}`);
    members.push(member);
    if (roles & VOTER) voters.push(id);
    if (roles & OUTGOING) outgoing.push(id);
    if (roles & LEARNER) learners.push(id);
  }
  return { members, voters, outgoing, learners };
}

function writeMember(writer: ByteWriter, member: Member): void {
  writer.text(member.id).text(member.address).raw(fromHex(member.incarnation));
}

function readMember(reader: ByteReader, before: MemberId | undefined): Member {
  const id = readId(reader, before);
  const address = reader.text();
  const incarnation = toHex(reader.raw(16));
  if (!INCARNATION.test(incarnation)) throw new BytesError(`incarnation of member ${id}`);
  return { id, address, incarnation };
}

function readId(reader: ByteReader, before: MemberId | undefined): MemberId {
  const id = reader.text();
  if (!isMemberId(id)) throw new BytesError(`member id ${id}`);
  if (before !== undefined && before >= id) throw new BytesError("ids are not sorted");
  return id;
}

function writeIds(writer: ByteWriter, ids: readonly MemberId[]): void {
  writer.u16(ids.length);
  for (const id of ids) writer.text(id);
}

function readIds(reader: ByteReader): MemberId[] {
  const count = reader.u16();
  if (count > MEMBERS_MAX) throw new BytesError(`list of ${count} members`);
  const ids: MemberId[] = [];
  for (let i = 0; i < count; i++) ids.push(readId(reader, ids.at(-1)));
  return ids;
}

function writePending(writer: ByteWriter, pending: Pending): void {
  writer.u64(pending.untilMs);
  writeIds(writer, pending.voters);
  writeIds(writer, pending.learners);
  writeIds(writer, pending.added);
}

function readPending(reader: ByteReader): Pending {
  const untilMs = reader.u64();
  const voters = readIds(reader);
  const learners = readIds(reader);
  const added = readIds(reader);
  return { voters, learners, added, untilMs };
}

function writeFinal(writer: ByteWriter, final: Final): void {
  writeIds(writer, final.learners);
  writer.u16(final.arrivals.length);
  for (const member of final.arrivals) writeMember(writer, member);
}

function readFinal(reader: ByteReader): Final {
  const learners = readIds(reader);
  const count = reader.u16();
  if (count > MEMBERS_MAX) throw new BytesError(`list of ${count} members`);
  const arrivals: Member[] = [];
  for (let i = 0; i < count; i++) arrivals.push(readMember(reader, arrivals.at(-1)?.id));
  return { learners, arrivals };
}

function readChange(reader: ByteReader): ChangeMark {
  const token = reader.u64();
  const index = reader.u64();
  const undone = UNDONE[reader.u8()];
  if (undone === undefined) throw new BytesError("end of a change that is not known");
  return { token, index, undone };
}

function checkWhole(configuration: Configuration): void {
  const { members, voters, outgoing, learners, pending, final } = configuration;
  const known = new Set(members.map((member) => member.id));
  if (outgoing.length > 0 && voters.length === 0) throw new BytesError("joint without voters");
  if (final !== undefined) {
    if (outgoing.length === 0) throw new BytesError("a final part without outgoing voters");
    for (const { id } of final.arrivals) {
      if (!final.learners.includes(id)) throw new BytesError(`arrival ${id} is no learner`);
      known.add(id);
    }
    checkRoles(voters, final.learners, known);
  }
  if (pending === undefined) return;
  if (pending.voters.length === 0) throw new BytesError("a pending change without voters");
  checkRoles(pending.voters, pending.learners, known);
  const after = final?.learners ?? learners;
  for (const id of pending.added) {
    if (!after.includes(id)) throw new BytesError(`added member ${id} is no learner`);
  }
}

function checkRoles(
  voters: readonly MemberId[],
  learners: readonly MemberId[],
  known: ReadonlySet<MemberId>,
): void {
  for (const id of [...voters, ...learners]) {
    if (!known.has(id)) throw new BytesError(`member ${id} is not known`);
  }
  for (const id of learners) {
    if (voters.includes(id)) throw new BytesError(`member ${id} votes and learns`);
  }
}
