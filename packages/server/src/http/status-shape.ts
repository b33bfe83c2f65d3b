/**
 * `/status` as JSON. The first two parts, `cluster` and `log`, have the shape that the key-value
 * service of CKite made known (its second generation), as strict JSON: members by address,
 * durations as `4.minutes+47.seconds+214.milliseconds`, `Never` for a follower that has not
 * answered yet. What it had no place for stands in `member`, `members` and the parts after them.
 */
import type { FollowerStatus, ReplicaStatus } from "quorate";
import type { StoreSize } from "../store/command.ts";
import { changePage } from "./members-shape.ts";
import { VERSION } from "../version.ts";

/** What the status page says beside the replica's own status. */
export interface StatusSources {
  readonly replica: ReplicaStatus;
  readonly store: StoreSize;
  /** `host:port` of the HTTP face. */
  readonly http: string;
  readonly uptimeMs: number;
}

/** The whole page, as a value for `JSON.stringify`. */
export function statusPage(sources: StatusSources): Record<string, unknown> {
  const { replica } = sources;
  return {
    cluster: { term: replica.term, state: stateName(replica), stateInfo: stateInfo(replica) },
    log: {
      length: replica.lastIndex - replica.startIndex,
      commitIndex: replica.commit,
      lastEntry:
        replica.lastIndex === 0 ? null : { term: replica.lastTerm, index: replica.lastIndex },
    },
    member: {
      id: replica.id,
      address: replica.address,
      http: sources.http,
      incarnation: replica.incarnation,
      clusterId: /^0+$/.test(replica.clusterId) ? null : replica.clusterId,
      state: replica.state,
      failure: replica.failure === undefined ? null : failureOf(replica.failure),
      role: replica.role,
      isLeader: replica.isLeader,
      version: VERSION,
      node: process.version,
      pid: process.pid,
      uptime: durationText(sources.uptimeMs),
    },
    leader: leaderOf(replica),
    transfer: replica.transfer ?? null,
    members: membersOf(replica),
    membership: membershipOf(replica),
    machine: { version: replica.machineVersion, known: replica.machineVersionKnown },
    snapshot: snapshotOf(replica),
    connections: replica.connections,
    applied: replica.applied,
    store: sources.store,
    pending: { writes: replica.pendingWrites, reads: replica.pendingReads },
    memory: { uncommittedBytes: replica.uncommittedBytes, tailBytes: replica.tailBytes },
    // A log that is "ok" may still wait for a disk that does not answer.
    storage: { ...replica.log, ...replica.storage, stalledForMs: stalledForMs(replica) },
    health: replica.health,
    recovery: replica.recovery,
    lease: { forMs: replica.leaseForMs ?? null },
    turnDelayMaxMs: replica.turnDelayMaxMs,
    stalls: replica.stalls,
  };
}

/** `1.hours+4.minutes+47.seconds+214.milliseconds`; parts that are zero are left out. */
export function durationText(ms: number): string {
  let rest = Math.max(0, Math.floor(ms));
  const parts: string[] = [];
  for (const [name, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0 || (size === 1 && parts.length === 0)) parts.push(`${count}.${name}`);
  }
  return parts.join("+");
}

const UNITS: ReadonlyArray<readonly [string, number]> = [
  ["days", 86_400_000],
  ["hours", 3_600_000],
  ["minutes", 60_000],
  ["seconds", 1_000],
  ["milliseconds", 1],
];

const ROLE_NAMES = {
  follower: "Follower",
  "pre-candidate": "Candidate",
  candidate: "Candidate",
  leader: "Leader",
} as const;

/** `Starter` until it is part of a cluster, as the ancestor said; `Stopped` once it is over. */
function stateName({ state, role }: ReplicaStatus): string {
  if (state === "forming" || state === "joining" || state === "waiting") return "Starter";
  return state === "running" ? ROLE_NAMES[role] : "Stopped";
}

function stateInfo(replica: ReplicaStatus): Record<string, unknown> {
  const name = stateName(replica);
  if (name === "Follower") return { following: replica.leaderAddress ?? null };
  if (name !== "Leader") return {};
  const followers = replica.followers.map((f) => [f.address, followerInfo(f)] as const);
  return {
    leaderUptime: durationText(replica.leaderForMs ?? 0),
    followers: Object.fromEntries(followers),
  };
}

function followerInfo(follower: FollowerStatus): Record<string, unknown> {
  const { lastHeardAgoMs, matchIndex, nextIndex } = follower;
  const ack = lastHeardAgoMs === undefined ? "Never" : durationText(lastHeardAgoMs);
  return { lastHeartbeatACK: ack, matchIndex, nextIndex };
}

function leaderOf(replica: ReplicaStatus): Record<string, unknown> | null {
  if (replica.leader === undefined) return null;
  return { id: replica.leader, address: replica.leaderAddress ?? null };
}

function membersOf({ configuration, followers }: ReplicaStatus): Record<string, unknown>[] {
  return configuration.members.map(({ id, address, incarnation }) => {
    const learner = configuration.learners.includes(id);
    const member = { id, address, incarnation, role: learner ? "learner" : "voter" };
    const follower = followers.find((f) => f.id === id);
    if (follower === undefined) return member;
    const { state, health, inflightMessages, inflightBytes } = follower;
    return { ...member, health, replication: { state, inflightMessages, inflightBytes } };
  });
}

function stalledForMs({ storage }: ReplicaStatus): number | null {
  return storage.stalledForMs ?? null;
}

/** What `/members` says beside the members. */
function membershipOf({ membership }: ReplicaStatus): Record<string, unknown> {
  const { version, quorum, tolerates, change } = membership;
  return { version, quorum, tolerates, change: changePage(change) };
}

/** The newest snapshot, and what is being done with one. */
function snapshotOf({ snapshot }: ReplicaStatus): Record<string, unknown> {
  const { taking, restoring, ...rest } = snapshot;
  return { ...rest, taking: taking ?? null, restoring: restoring ?? null };
}

function failureOf(error: Error & { readonly code: string }): Record<string, string> {
  return { code: error.code, message: error.message };
}
