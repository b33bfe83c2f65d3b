/**
 * What a replica says of itself: the views of core, log, transport and host put side by side. Works
 * in every state, since that is when one wants to know.
 */
import { EMPTY_CONFIGURATION, memberOf } from "../core/configuration.ts";
import type { Configuration } from "../core/configuration.ts";
import type { PeerStatus, RaftStatus } from "../core/contract.ts";
import type { Engine } from "./engine.ts";
import type { LogStatus } from "../log/log.ts";
import { membershipOf } from "./members.ts";
import type { FollowerStatus, HealthSummary, ReplicaStatus, StorageStatus } from "./replica.ts";

/** The status of an engine as of now. */
export function statusOf(engine: Engine): ReplicaStatus {
  const { group, peering, ports, log, host } = engine;
  const nowMs = ports.clock.nowMs();
  const raft = group.status();
  const isRunning = group.state === "running";
  const configuration = raft?.configuration ?? EMPTY_CONFIGURATION;
  const leader = isRunning ? raft?.leader : undefined;
  const { id, incarnation, clusterId } = peering.identity;
  return {
    id,
    incarnation,
    clusterId,
    address: peering.address,
    state: group.state === "forming" ? peering.phase : group.state,
    failure: group.failure,
    role: isRunning ? (raft?.role ?? "follower") : "follower",
    leader,
    leaderAddress: leader === undefined ? undefined : memberOf(configuration, leader)?.address,
    isLeader: isRunning && raft?.role === "leader" && raft.ready,
    leaderForMs:
      isRunning && raft?.leaderSinceMs !== undefined ? nowMs - raft.leaderSinceMs : undefined,
    leaseForMs: isRunning ? leftOf(raft?.leaseEndMs, nowMs) : undefined,
    ...positionsOf(raft),
    configuration,
    membership: membershipOf(raft),
    followers: (raft?.peers ?? []).map((peer) => followerOf(peer, configuration, nowMs)),
    connections: ports.transport.status(),
    log: log.status(),
    storage: storageOf(raft, group.space.state, nowMs),
    health: healthOf(raft, nowMs),
    snapshot: group.snapshots.status,
    recovery: log.recovery,
    machineVersion: group.machineVersion,
    machineVersionKnown: group.versions.knownTo(id) ?? 1,
    pendingWrites: group.calls.writes,
    pendingReads: group.calls.reads,
    transfer:
      raft?.transfer === undefined
        ? undefined
        : {
            target: raft.transfer.target,
            phase: raft.transfer.phase,
            forMs: nowMs - raft.transfer.sinceMs,
          },
    turnDelayMaxMs: host.turnDelayMaxMs,
    stalls: host.stalls,
  };
}

function leftOf(endMs: number | undefined, nowMs: number): number | undefined {
  return endMs !== undefined && endMs > nowMs ? endMs - nowMs : undefined;
}

function storageOf(
  raft: RaftStatus | undefined,
  log: LogStatus["state"],
  nowMs: number,
): StorageStatus {
  const { stalledSinceMs, stalls = 0 } = raft?.health ?? {};
  if (log === "failed" || stalledSinceMs === undefined) {
    return { state: log, stalledForMs: undefined, stalls };
  }
  return { state: "stalled", stalledForMs: nowMs - stalledSinceMs, stalls };
}

function healthOf(raft: RaftStatus | undefined, nowMs: number): HealthSummary {
  if (raft === undefined) return { state: "ok", forMs: 0, yields: 0 };
  const { state, sinceMs, yields } = raft.health;
  return { state, forMs: nowMs - sinceMs, yields };
}

type Positions = Pick<
  ReplicaStatus,
  | "term"
  | "commit"
  | "applied"
  | "startIndex"
  | "lastIndex"
  | "lastTerm"
  | "configurationIndex"
  | "uncommittedBytes"
  | "tailBytes"
>;

function positionsOf(raft: RaftStatus | undefined): Positions {
  return {
    term: raft?.term ?? 0,
    commit: raft?.commit ?? 0,
    applied: raft?.applied ?? 0,
    startIndex: raft?.startIndex ?? 0,
    lastIndex: raft?.lastIndex ?? 0,
    lastTerm: raft?.lastTerm ?? 0,
    configurationIndex: raft?.configurationIndex ?? 0,
    uncommittedBytes: raft?.uncommittedBytes ?? 0,
    tailBytes: raft?.tailBytes ?? 0,
  };
}

function followerOf(peer: PeerStatus, configuration: Configuration, nowMs: number): FollowerStatus {
  const { lastHeardMs, ...rest } = peer;
  return {
    ...rest,
    address: memberOf(configuration, peer.id)?.address ?? "",
    lastHeardAgoMs: lastHeardMs === undefined ? undefined : nowMs - lastHeardMs,
  };
}
