/**
 * `quorate/core`: the Raft algorithm alone, without disk, network, clock or timer. Values in,
 * values out; what to do with them and in which order is said in output.ts.
 */
export type { Checksum } from "../util/checksum.ts";
export { crc32 } from "../util/checksum.ts";
export type { Random } from "../util/random.ts";
export { SeededRandom } from "../util/random.ts";
export { InvariantViolation } from "../util/assert.ts";
export type {
  Configuration,
  Incarnation,
  IndexedConfiguration,
  Member,
  MemberId,
} from "./configuration.ts";
export {
  EMPTY_CONFIGURATION,
  finalOf,
  isChanging,
  isJoint,
  isMemberId,
  isVoter,
  makeConfiguration,
  memberOf,
  NO_INCARNATION,
  votersOnly,
} from "./configuration.ts";
export { decodeConfiguration, encodeConfiguration } from "./configuration-codec.ts";
export type {
  HealthStatus,
  InstallResult,
  LogStart,
  PeerStatus,
  ProposeResult,
  RaftInputs,
  RaftOptions,
  RaftStatus,
  RecoveredGroup,
  SnapshotPoint,
  TermRun,
  TransferResult,
  TransferStatus,
} from "./contract.ts";
export { EMPTY_GROUP } from "./contract.ts";
export type {
  MembershipChange,
  MembershipPlan,
  MembershipRefusal,
  MembershipResult,
  MemberRole,
  PlannedChange,
  PlanRefusal,
  PlanStep,
  Standing,
  WantedMember,
} from "./membership-change.ts";
export type { ChangeOptions } from "./membership.ts";
export type { PlanView } from "./membership-plan.ts";
export { planChange } from "./membership-plan.ts";
export type { EntryFields, EntryView, PackedEntries, Seal } from "./entry.ts";
export {
  BODY_HEAD_BYTES,
  ENTRY_HEAD_BYTES,
  EntryBatch,
  EntryCursor,
  EntryKind,
  packedSize,
  packEntries,
  packEntry,
  validatePacked,
} from "./entry.ts";
export type { Health } from "./health-watch.ts";
export type { InvariantName } from "./invariants.ts";
export { INVARIANTS } from "./invariants.ts";
export type {
  AppendEntries,
  AppendEntriesResponse,
  CommitNotice,
  Heartbeat,
  HeartbeatResponse,
  Message,
  MessageType,
  PreVote,
  PreVoteResponse,
  ReadIndexRequest,
  ReadIndexResponse,
  RequestVote,
  RequestVoteResponse,
  Resign,
  TimeoutNow,
} from "./message.ts";
export type {
  CoreEvent,
  Envelope,
  HardState,
  LoadRequest,
  Output,
  ReadOutcome,
  Role,
  SnapshotRequest,
  Vote,
} from "./output.ts";
export type { VoteResult } from "./quorum.ts";
export { isSoleVoter, majority, quorumValue, voteResult } from "./quorum.ts";
export { Raft } from "./raft.ts";
