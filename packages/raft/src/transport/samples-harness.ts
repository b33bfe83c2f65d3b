/** One or more messages of every kind, for the golden frames and the other tests of this folder. */
import { votersOnly } from "../core/configuration.ts";
import { encodeConfiguration } from "../core/configuration-codec.ts";
import { EntryBatch, EntryKind, packEntries } from "../core/entry.ts";
import type { EntryFields } from "../core/entry.ts";
import { utf8 } from "../util/bytes.ts";
import { crc32 } from "../util/checksum.ts";
import type { Frame } from "./frame.ts";
import type { TransportLimits } from "./link-context.ts";
import type { PeerMessage, RequestedChange } from "./peer-message.ts";
import { NO_FORMATION } from "./transport.ts";
import type { Hello } from "./transport.ts";

export const INCARNATION = "00112233445566778899aabbccddeeff";
export const LIMITS: TransportLimits = {
  sendQueueBytesMax: 33_554_432,
  frameBytesMax: 20_971_520,
  connectionsMax: 1_024,
  helloTimeoutMs: 5_000,
  dialTimeoutMs: 3_000,
  backoffMinMs: 20,
  backoffMaxMs: 1_000,
};

/** A command entry with this payload. */
export function command(payload: string | Uint8Array): EntryFields {
  const bytes = typeof payload === "string" ? utf8(payload) : payload;
  return {
    kind: EntryKind.command,
    payload: bytes,
    session: 7,
    sequence: 42,
    lowestUnanswered: 40,
  };
}

/** A sealed batch of commands. */
export function batch(term: number, firstIndex: number, payloads: readonly string[]): EntryBatch {
  const seal = { term, firstIndex, timeMs: 12_345, checksum: crc32 };
  return EntryBatch.seal(packEntries(payloads.map((payload) => command(payload))), seal);
}

/** What a member with this id says of itself. */
export function helloOf(id: string, fields: Partial<Hello> = {}): Hello {
  return {
    protocolMin: 2,
    protocolMax: 2,
    clusterId: "c1".repeat(16),
    id,
    incarnation: INCARNATION,
    address: "127.0.0.1:9091",
    formation: NO_FORMATION,
    mode: "member",
    configurationIndex: 7,
    machineVersion: 1,
    ...fields,
  };
}

/** A frame of one's own making. */
export function frameOf(
  kind: number,
  message: Uint8Array,
  body: Uint8Array = new Uint8Array(0),
): Frame {
  return { kind, group: 0, message, body };
}

const members = votersOnly([
  { id: "n1", address: "10.0.0.1:9091", incarnation: INCARNATION },
  { id: "n2", address: "[::1]:9091", incarnation: "f".repeat(32) },
]);
const forwarded = packEntries([command("set a"), command("")]);

/** One change of every kind that may be asked for. */
const CHANGES: readonly RequestedChange[] = [
  {
    type: "add",
    member: { id: "n4", address: "10.0.0.4:9091", incarnation: "0".repeat(32) },
    role: "learner",
    timeoutMs: 60_000,
  },
  { type: "remove", id: "n2" },
  { type: "replace", id: "n3", timeoutMs: 60_000 },
  { type: "replace", id: "n3", address: "10.0.0.9:1", incarnation: INCARNATION, timeoutMs: 1 },
  { type: "promote", id: "n4", timeoutMs: 300_000 },
  { type: "demote", id: "n1" },
  {
    type: "set",
    members: [
      { id: "n1", address: "a:1", role: "voter" },
      { id: "n2", address: "b:1", role: "learner" },
    ],
    timeoutMs: 5,
  },
  { type: "cancel" },
];

export const SAMPLES: readonly (readonly [name: string, message: PeerMessage])[] = [
  ["pre-vote", { type: "pre-vote", term: 3, lastIndex: 17, lastTerm: 2 }],
  ["pre-vote with an empty log", { type: "pre-vote", term: 1, lastIndex: 0, lastTerm: 0 }],
  ["pre-vote-response", { type: "pre-vote-response", term: 3, granted: true }],
  [
    "request-vote",
    {
      type: "request-vote",
      term: 3,
      transfer: false,
      incarnation: INCARNATION,
      lastIndex: 17,
      lastTerm: 2,
    },
  ],
  ["request-vote-response", { type: "request-vote-response", term: 3, granted: false }],
  [
    "append-entries, probe",
    { type: "append-entries", term: 4, prevIndex: 9, prevTerm: 2, commit: 8, batches: [] },
  ],
  [
    "append-entries with two batches",
    {
      type: "append-entries",
      term: 4,
      prevIndex: 9,
      prevTerm: 2,
      commit: 8,
      batches: [batch(3, 10, ["one", "two"]), batch(4, 12, ["three"])],
    },
  ],
  [
    "append-entries-response",
    {
      type: "append-entries-response",
      term: 4,
      success: true,
      index: 12,
      hintIndex: 0,
      hintTerm: 0,
    },
  ],
  [
    "append-entries-response, refusal",
    {
      type: "append-entries-response",
      term: 4,
      success: false,
      index: 9,
      hintIndex: 5,
      hintTerm: 2,
    },
  ],
  ["heartbeat", { type: "heartbeat", term: 4, commit: 12, round: 6 }],
  ["heartbeat-response", { type: "heartbeat-response", term: 4, round: 6, health: "ok" }],
  [
    "read-index-request",
    { type: "read-index-request", term: 4, token: Number.MAX_SAFE_INTEGER, byLease: true },
  ],
  [
    "read-index-response",
    { type: "read-index-response", term: 4, token: 281_474_976_710_655, ok: true, index: 12 },
  ],
  [
    "forward",
    { type: "forward", request: 5, deadlineMs: 1_500, entries: forwarded.bytes, count: 2 },
  ],
  [
    "forward-response",
    {
      type: "forward-response",
      request: 5,
      status: "appended",
      firstIndex: 13,
      term: 4,
      leader: "n1",
    },
  ],
  [
    "forward-response, no leader known",
    {
      type: "forward-response",
      request: 5,
      status: "not-leader",
      firstIndex: 0,
      term: 4,
      leader: "",
    },
  ],
  [
    "request-vote, as the leader wished",
    {
      type: "request-vote",
      term: 3,
      transfer: true,
      incarnation: INCARNATION,
      lastIndex: 17,
      lastTerm: 2,
    },
  ],
  ["timeout-now", { type: "timeout-now", term: 4, lastIndex: 12, lastTerm: 4 }],
  [
    "heartbeat-response, stalled",
    { type: "heartbeat-response", term: 4, round: 7, health: "stalled" },
  ],
  ["resign", { type: "resign", term: 4 }],
  ["transfer-request", { type: "transfer-request", request: 6, target: "n3" }],
  ["transfer-request, the best", { type: "transfer-request", request: 7, target: "" }],
  ["transfer-response", { type: "transfer-response", request: 6, status: "busy" }],
  ["leaving", { type: "leaving", lastRequest: 5 }],
  ...CHANGES.map((change, i): [string, PeerMessage] => [
    `membership-request to ${change.type}`,
    {
      type: "membership-request",
      request: 20 + i,
      token: 300 + i,
      planOnly: i % 2 === 1,
      expectedIndex: i < 3 ? undefined : i,
      change,
    },
  ]),
  [
    "membership-response, begun",
    {
      type: "membership-response",
      request: 20,
      status: "begun",
      index: 17,
      detail: "",
      before: undefined,
      next: undefined,
    },
  ],
  [
    "membership-response, planned",
    {
      type: "membership-response",
      request: 21,
      status: "planned",
      index: 17,
      detail: "",
      before: members,
      next: { ...members, change: { token: 301, index: 18, undone: "no" } },
    },
  ],
  [
    "membership-response, unsafe",
    {
      type: "membership-response",
      request: 22,
      status: "unsafe",
      index: 17,
      detail: "the last voter cannot be taken out",
      before: undefined,
      next: undefined,
    },
  ],
  ["join-request", { type: "join-request", request: 8, role: "learner" }],
  [
    "join-response",
    {
      type: "join-response",
      request: 8,
      status: "not-leader",
      leader: "n2",
      leaderAddress: "[::1]:9091",
      reason: "n1 does not lead",
    },
  ],
  ["invitation", { type: "invitation", index: 12, configuration: encodeConfiguration(members) }],
  [
    "snapshot-offer",
    {
      type: "snapshot-offer",
      term: 4,
      transfer: 70_000_000_001,
      index: 1_000,
      snapshotTerm: 3,
      bytes: 5_000_000_000,
      hash: "a5".repeat(32),
    },
  ],
  [
    "snapshot-chunk",
    { type: "snapshot-chunk", transfer: 9, offset: 65_536, data: utf8("the state of a machine") },
  ],
  [
    "snapshot-report",
    { type: "snapshot-report", transfer: 9, status: "finishing", offset: 131_072 },
  ],
  ["rolled-back", { type: "rolled-back", term: 4, index: 12 }],
  ["formation", { type: "formation", configuration: encodeConfiguration(members) }],
  ["commit-notice", { type: "commit-notice", term: 4, commit: 13 }],
];
