/**
 * The wire form of changes of membership between members; codec.ts has the rest.
 *
 *   kind                     message part                                              body part
 *   48 membership-request    u64 request, u64 token, u8 flags (1 plan only, 2 with      -
 *                            an expected index), u64 expectedIndex, u8 change, fields
 *   49 membership-response   u64 request, u8 status, u64 index, text detail,            -
 *                            config before, config next
 *
 * `change` and its fields: 0 add: member, u8 role, u64 timeoutMs · 1 remove: text id · 2 replace:
 * text id, text address (empty: as it was), 16 bytes incarnation (zero: not known), u64 timeoutMs ·
 * 3 promote: text id, u64 timeoutMs · 4 demote: text id · 5 set: u16 members, per member text id,
 * text address, u8 role; u64 timeoutMs · 6 cancel. A *member* is text id, text address, 16 bytes
 * incarnation; a role is 0 voter or 1 learner; a *config* is u32 bytes and a configuration payload
 * (core/configuration-codec.ts), or u32 0 where there is none.
 *
 * `status`: 0 begun, 1 unchanged, 2 planned, then the refusals: 3 not-leader, 4 not-ready,
 * 5 transferring, 6 settling, 7 changed, 8 unsafe, 9 busy, 10 member-exists, 11 member-unknown.
 */
import type { Configuration, Member, MemberId } from "../core/configuration.ts";
import { isMemberId, MEMBERS_MAX, NO_INCARNATION } from "../core/configuration.ts";
import { decodeConfiguration, encodeConfiguration } from "../core/configuration-codec.ts";
import type { MembershipChange, MemberRole, WantedMember } from "../core/membership-change.ts";
import { unreachable } from "../util/assert.ts";
import { BytesError, fromHex, toHex } from "../util/bytes.ts";
import type { ByteReader, ByteWriter } from "../util/bytes.ts";
import { FrameKind } from "./frame.ts";
import type { MembershipRequest, MembershipResponse, RequestedChange } from "./peer-message.ts";

const CHANGES = ["add", "remove", "replace", "promote", "demote", "set", "cancel"] as const;
const ROLES: readonly MemberRole[] = ["voter", "learner"];
const STATUSES: readonly MembershipResponse["status"][] = [
  "begun",
  "unchanged",
  "planned",
  "not-leader",
  "not-ready",
  "transferring",
  "settling",
  "changed",
  "unsafe",
  "busy",
  "member-exists",
  "member-unknown",
];
const PLAN_ONLY = 1;
const EXPECTS = 2;
const TEXT_MAX = 4_000;
/** What of a text that comes from elsewhere must not reach a terminal. */
// oxlint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** Writes the message part of either. */
export function writeMembership(
  writer: ByteWriter,
  message: MembershipRequest | MembershipResponse,
): void {
  writer.u64(message.request);
  if (message.type === "membership-response") {
    writer.u8(STATUSES.indexOf(message.status)).u64(message.index);
    writer.text(message.detail.slice(0, TEXT_MAX));
    writeConfig(writer, message.before);
    writeConfig(writer, message.next);
    return;
  }
  const { token, planOnly, expectedIndex, change } = message;
  const flags = (planOnly ? PLAN_ONLY : 0) | (expectedIndex === undefined ? 0 : EXPECTS);
  writer
    .u64(token)
    .u8(flags)
    .u64(expectedIndex ?? 0);
  writeChange(writer, change);
}

/** Reads the message part of either; throws {@link BytesError}. */
export function readMembership(
  reader: ByteReader,
  kind: number,
): MembershipRequest | MembershipResponse {
  const request = reader.u64();
  if (kind === FrameKind.membershipResponse) return readResponse(reader, request);
  const token = reader.u64();
  const flags = reader.u8();
  if (flags > 3) throw new BytesError(`membership-request with flags ${flags}`);
  const index = reader.u64();
  const expectedIndex = flags & EXPECTS ? index : undefined;
  if (expectedIndex === undefined && index !== 0) {
    throw new BytesError("membership-request with an index that it does not expect");
  }
  const planOnly = (flags & PLAN_ONLY) !== 0;
  const change = readChange(reader);
  return { type: "membership-request", request, token, planOnly, expectedIndex, change };
}

function readResponse(reader: ByteReader, request: number): MembershipResponse {
  const status = oneOf(STATUSES, reader.u8(), "membership-response");
  const index = reader.u64();
  const detail = reader.text().replaceAll(CONTROLS, "?");
  const before = readConfig(reader);
  const next = readConfig(reader);
  return { type: "membership-response", request, status, index, detail, before, next };
}

function writeChange(writer: ByteWriter, change: RequestedChange): void {
  writer.u8(CHANGES.indexOf(change.type));
  switch (change.type) {
    case "add": {
      const { member, role, timeoutMs } = change;
      writeMember(writer, member);
      writer.u8(ROLES.indexOf(role)).u64(timeoutMs);
      return;
    }
    case "replace": {
      const { id, address = "", incarnation = NO_INCARNATION, timeoutMs } = change;
      writeMember(writer, { id, address, incarnation });
      writer.u64(timeoutMs);
      return;
    }
    case "promote":
      writer.text(change.id).u64(change.timeoutMs);
      return;
    case "remove":
    case "demote":
      writer.text(change.id);
      return;
    case "set":
      writer.u16(change.members.length);
      for (const { id, address, role } of change.members) {
        writer.text(id).text(address).u8(ROLES.indexOf(role));
      }
      writer.u64(change.timeoutMs);
      return;
    case "cancel":
      return;
    default:
      unreachable(change);
  }
}

function readChange(reader: ByteReader): RequestedChange {
  const type = oneOf(CHANGES, reader.u8(), "membership-request");
  switch (type) {
    case "add": {
      const member = readMember(reader);
      const role = readRole(reader);
      return { type, member, role, timeoutMs: reader.u64() };
    }
    case "replace": {
      const { id, address, incarnation } = readMember(reader);
      const timeoutMs = reader.u64();
      return {
        type,
        id,
        ...(address === "" ? {} : { address }),
        ...(incarnation === NO_INCARNATION ? {} : { incarnation }),
        timeoutMs,
      };
    }
    case "promote": {
      const id = readId(reader);
      return { type, id, timeoutMs: reader.u64() };
    }
    case "remove":
    case "demote":
      return { type, id: readId(reader) };
    case "set":
      return readSet(reader);
    case "cancel":
      return { type };
    default:
      return unreachable(type);
  }
}

function readSet(reader: ByteReader): Extract<MembershipChange, { type: "set" }> {
  const count = reader.u16();
  if (count > MEMBERS_MAX) throw new BytesError(`membership-request of ${count} members`);
  const members: WantedMember[] = [];
  for (let i = 0; i < count; i++) {
    const id = readId(reader);
    const address = reader.text();
    members.push({ id, address, role: readRole(reader) });
  }
  return { type: "set", members, timeoutMs: reader.u64() };
}

function writeMember(writer: ByteWriter, { id, address, incarnation }: Member): void {
  writer.text(id).text(address).raw(fromHex(incarnation));
}

function readMember(reader: ByteReader): Member {
  const id = readId(reader);
  const address = reader.text();
  return { id, address, incarnation: toHex(reader.raw(16)) };
}

function readId(reader: ByteReader): MemberId {
  const id = reader.text();
  if (!isMemberId(id)) throw new BytesError("membership-request names what cannot be a member id");
  return id;
}

function readRole(reader: ByteReader): MemberRole {
  return oneOf(ROLES, reader.u8(), "role of a member");
}

function writeConfig(writer: ByteWriter, configuration: Configuration | undefined): void {
  if (configuration === undefined) {
    writer.u32(0);
    return;
  }
  const bytes = encodeConfiguration(configuration);
  writer.u32(bytes.length).raw(bytes);
}

function readConfig(reader: ByteReader): Configuration | undefined {
  const size = reader.u32();
  return size === 0 ? undefined : decodeConfiguration(reader.raw(size));
}

function oneOf<T>(all: readonly T[], code: number, what: string): T {
  const found = all[code];
  if (found === undefined) throw new BytesError(`${what} with code ${code}`);
  return found;
}
