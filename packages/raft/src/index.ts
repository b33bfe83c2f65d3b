/**
 * `quorate`: give it a state machine, get a replicated one.
 */
export { openReplica } from "./runtime/node-open.ts";
export { inspectDataDir, planRecovery, recoverQuorum } from "./runtime/node-repair.ts";
export type { QuorumRecoveryPlan, Survivor } from "./runtime/repair/quorum-loss.ts";
export type { QuorumRecovery } from "./runtime/repair/recover-quorum.ts";
export type { InspectOptions } from "./runtime/repair/inspect-data-dir.ts";
export type {
  DirectoryHealth,
  Finding,
  FindingCode,
  InspectedConfiguration,
  InspectedIdentity,
  InspectedLog,
  InspectedLogFile,
  InspectedSnapshot,
  Inspection,
} from "./runtime/repair/inspection.ts";
export type {
  ChangeProgress,
  MemberInfo,
  MemberOptions,
  MemberRole,
  Members,
  MembershipPlan,
  MembershipStatus,
  MembersPlan,
  NewMember,
  PlannedMembers,
  PlanRefusal,
  PlanStep,
  ReplaceOptions,
  Standing,
  WantedMember,
} from "./runtime/members.ts";
export type {
  BootstrapStart,
  CallOptions,
  CloseOptions,
  FollowerStatus,
  HealthSummary,
  HostEvent,
  JoinStart,
  Leadership,
  LeadershipState,
  LeaderTerm,
  LeaderWork,
  ReadOptions,
  Replica,
  ReplicaEvent,
  ReplicaEventOf,
  ReplicaEventType,
  ReplicaOptions,
  ReplicaStatus,
  SnapshotOptions,
  SnapshotProgress,
  SnapshotStatus,
  SnapshotSummary,
  SnapshotTransferStatus,
  StartOptions,
  StaticMember,
  StorageStatus,
  TransferOptions,
  TransferProgress,
  WhileLeaderOptions,
} from "./runtime/replica.ts";
export type { Change, ChangesOptions } from "./runtime/changes.ts";
export type { Applied, Codec, ResultOf, Returns, StateMachine } from "./machine/state-machine.ts";
export type {
  Checkpoint,
  DiskBatch,
  DiskEntry,
  DiskStateMachine,
  EngineRecord,
} from "./machine/disk-machine.ts";
export { jsonCodec } from "./machine/json-codec.ts";
export { readBytes, readJson } from "./machine/read-json.ts";
export { bytesCodec, bytesViewCodec } from "./machine/bytes-codec.ts";
export { ERROR_CODES, QuorateError } from "./util/error.ts";
export type { CodeRow, ErrorCode, Outcome, QuorateErrorOptions } from "./util/error.ts";
export { LIMITS } from "./runtime/limits.ts";
export type { Configuration, Incarnation, Member, MemberId } from "./core/configuration.ts";
export type { PeerStatus } from "./core/contract.ts";
export type { Health } from "./core/health-watch.ts";
export type { CoreEvent, Role } from "./core/output.ts";
export type { DamagedSnapshot } from "./snapshot/snapshot.ts";
export type { LogStatus, RecoveryReport } from "./log/log.ts";
export type {
  ClusterId,
  PeerTransportStatus,
  RefusalReport,
  Removal,
} from "./transport/transport.ts";
export { RefusalCode } from "./transport/transport.ts";
