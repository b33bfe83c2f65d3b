/**
 * The wire form of what members say about coming and going; codec.ts has the rest.
 *
 *   kind              message part                                                 body part
 *   56 join-request   u64 request, u8 role (0 voter, 1 learner)                    -
 *   57 join-response  u64 request, u8 status (0 accepted, 1 later, 2 not-leader,   -
 *                     3 refused), text leader (empty = not known), text
 *                     leaderAddress, text reason
 *   58 invitation     u64 index, u32 CRC-32 of the body                            configuration
 *   59 rolled-back    u64 term, u64 index, both at least 1                         -
 */
import { isMemberId } from "../core/configuration.ts";
import { decodeConfiguration } from "../core/configuration-codec.ts";
import { ByteReader, BytesError } from "../util/bytes.ts";
import type { ByteWriter } from "../util/bytes.ts";
import type { Checksum } from "../util/checksum.ts";
import { FrameKind } from "./frame.ts";
import type { Frame } from "./frame.ts";
import type {
  Invitation,
  JoinRequest,
  JoinResponse,
  PeerMessage,
  RolledBack,
} from "./peer-message.ts";

const ROLES = ["voter", "learner"] as const;
const STATUSES = ["accepted", "later", "not-leader", "refused"] as const;
const TEXT_MAX = 1_000;

/** Writes the message part of those without a body. */
export function writeJoin(
  writer: ByteWriter,
  message: JoinRequest | JoinResponse | RolledBack,
): void {
  switch (message.type) {
    case "join-request":
      writer.u64(message.request).u8(ROLES.indexOf(message.role));
      return;
    case "join-response":
      writer.u64(message.request).u8(STATUSES.indexOf(message.status)).text(message.leader);
      writer.text(message.leaderAddress).text(message.reason.slice(0, TEXT_MAX));
      return;
    case "rolled-back":
      writer.u64(message.term).u64(message.index);
  }
}

/** Reads the message part of those without a body; throws {@link BytesError}. */
export function readJoin(reader: ByteReader, kind: number): PeerMessage {
  switch (kind) {
    case FrameKind.joinRequest: {
      const request = reader.u64();
      return { type: "join-request", request, role: oneOf(ROLES, reader.u8(), "join-request") };
    }
    case FrameKind.joinResponse:
      return readResponse(reader);
    case FrameKind.rolledBack: {
      const [term, index] = [reader.u64(), reader.u64()];
      if (term === 0 || index === 0) throw new BytesError(`rolled-back of ${index}@${term}`);
      return { type: "rolled-back", term, index };
    }
    default:
      throw new BytesError(`frame of unknown kind ${kind}`);
  }
}

/** Reads an invitation; throws {@link BytesError}. */
export function readInvitation(frame: Frame, checksum: Checksum): Invitation {
  const reader = new ByteReader(frame.message);
  const index = reader.u64();
  const crc = reader.u32();
  reader.end();
  if (index === 0) throw new BytesError("invitation by a configuration without an index");
  if (checksum(frame.body) !== crc) throw new BytesError("invitation fails its CRC");
  decodeConfiguration(frame.body);
  return { type: "invitation", index, configuration: frame.body };
}

function readResponse(reader: ByteReader): JoinResponse {
  const request = reader.u64();
  const status = oneOf(STATUSES, reader.u8(), "join-response");
  const leader = reader.text();
  if (leader !== "" && !isMemberId(leader)) {
    throw new BytesError("join-response names a leader that cannot be a member id");
  }
  const leaderAddress = reader.text();
  const reason = reader.text();
  // oxlint-disable-next-line no-control-regex
  const clean = reason.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, "?");
  return { type: "join-response", request, status, leader, leaderAddress, reason: clean };
}

function oneOf<T>(all: readonly T[], code: number, what: string): T {
  const found = all[code];
  if (found === undefined) throw new BytesError(`${what} with code ${code}`);
  return found;
}
