/**
 * `/status` in the shapes that CKite's programs had, as strict JSON:
 *
 *   a   the early HTTP service: lastHeartbeatsACKs, lastLog
 *   b   the KVStore application, the default: followers, lastEntry
 *   c   CKite 0.2.1: as b, with `consensus`, `Leader[1]` and plain addresses
 */
import type { FollowerStatus, ReplicaStatus } from "quorate";
import type { KVStore } from "./kv-store.ts";

export type Format = "a" | "b" | "c";

const UNITS = [
  ["days", 86_400_000],
  ["hours", 3_600_000],
  ["minutes", 60_000],
  ["seconds", 1_000],
  ["milliseconds", 1],
] as const;

/** The page as a value for `JSON.stringify`. */
export function statusPage(
  status: ReplicaStatus,
  last: KVStore["last"],
  format: Format,
): Record<string, unknown> {
  const { term } = status;
  const state = stateOf(status);
  const named = format === "c" ? `${state}[${term}]` : state;
  const entry = status.lastIndex === 0 ? null : lastEntry(status, last);
  return {
    [format === "c" ? "consensus" : "cluster"]: {
      term,
      state: named,
      stateInfo: state === "Leader" ? leaderInfo(status, format) : followerInfo(status, format),
    },
    log: {
      length: status.lastIndex - status.startIndex,
      commitIndex: status.commit,
      [format === "a" ? "lastLog" : "lastEntry"]: entry,
    },
  };
}

/** What CKite called a member in that role. */
export function stateOf({ state, role }: Pick<ReplicaStatus, "state" | "role">): string {
  if (state === "joining") return "Starter";
  if (state !== "running") return "Stopped";
  return role === "leader" ? "Leader" : role === "follower" ? "Follower" : "Candidate";
}

function leaderInfo(status: ReplicaStatus, format: Format): Record<string, unknown> {
  const { followers, leaderForMs = 0 } = status;
  const each = (view: (follower: FollowerStatus) => unknown): Record<string, unknown> =>
    Object.fromEntries(followers.map((follower) => [follower.address, view(follower)]));
  const leaderUptime = duration(leaderForMs);
  if (format === "a") return { leaderUptime, lastHeartbeatsACKs: each(lastAck) };
  return {
    leaderUptime,
    followers: each((follower) => ({
      lastHeartbeatACK: lastAck(follower),
      matchIndex: follower.matchIndex,
      nextIndex: follower.nextIndex,
    })),
  };
}

function followerInfo({ leaderAddress }: ReplicaStatus, format: Format): Record<string, unknown> {
  if (format === "c") return { following: leaderAddress ?? null };
  return { following: leaderAddress === undefined ? "None" : `Some(${leaderAddress})` };
}

/** A put shows its key and value; of other entries only configurations say something. */
function lastEntry(status: ReplicaStatus, last: KVStore["last"]): Record<string, unknown> {
  const { lastTerm: term, lastIndex: index, configuration } = status;
  const { key, value } = last?.command ?? {};
  if (last?.index === index) return { term, index, command: { key, value } };
  const isConfiguration = status.configurationIndex === index;
  return { term, index, command: isConfiguration ? { members: configuration.voters } : null };
}

function lastAck({ lastHeardAgoMs }: FollowerStatus): string {
  return lastHeardAgoMs === undefined ? "Never" : duration(lastHeardAgoMs);
}

/** `13.hours+4.minutes+47.seconds+214.milliseconds`. */
function duration(ms: number): string {
  let rest = Math.floor(ms);
  const parts: string[] = [];
  for (const [name, size] of UNITS) {
    if (rest >= size) parts.push(`${Math.floor(rest / size)}.${name}`);
    rest %= size;
  }
  return parts.length === 0 ? "0.milliseconds" : parts.join("+");
}
