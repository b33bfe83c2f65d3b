/**
 * Gray failures: a member that lives and answers, and cannot do its work (faults of disk and CPU).
 *
 *   stalled   something was handed out to be persisted, and for T nothing has become durable
 *   full      no space for the next segment of the log, or for a machine on disk (the runtime says)
 *   late      the process stood still for more than T/2, several times within 60 T
 *   ok        none of these
 *
 * Where several hold, the first one counts. Followers tell it with their answers to heartbeats; a
 * leader believes it of those that it hears.
 *
 * Time that the process did not run says nothing about its disk: after a gap of more than T/2
 * between two inputs (timing.ts) the waiting counts anew. A stall ends with the next write that
 * becomes durable. What follows from all this:
 *
 * - Who is stalled does not campaign and obeys no timeout-now: its own vote would not come. Who is
 *   full or late waits T longer before it campaigns. A full one can vote and lead, since the log
 *   keeps a reserve for that (log-writer.ts).
 * - Who is full takes no entries but those that open a term or change the members (`isEssential`).
 *   So no write is left half-way in a log without room, and votes can still be written.
 * - What a leader does that is not well is in yield.ts.
 *
 * Invariant: `campaign-with-storage`.
 */
import type { MemberId } from "./configuration.ts";
import type { HealthStatus } from "./contract.ts";
import type { Health } from "./health-watch.ts";
import type { Progress } from "./progress.ts";
import { quorumValue } from "./quorum.ts";
import type { RaftState } from "./state.ts";
import { emit } from "./state.ts";
import { unreachable } from "../util/assert.ts";

/** So many gaps within {@link LATE_WINDOW_TIMEOUTS} election timeouts make a member late. */
const LATE_GAPS = 4;
const LATE_WINDOW_TIMEOUTS = 60;

/** The log has space for a next segment, or has none. */
export function setFull(state: RaftState, isFull: boolean): void {
  state.watch.isFull = isFull;
  judgeHealth(state);
}

/** The process did not run for longer than T/2. */
export function noteGap(state: RaftState): void {
  const { watch, nowMs } = state;
  if (watch.gapsMs.length === LATE_GAPS) watch.gapsMs.shift();
  watch.gapsMs.push(nowMs);
  if (watch.waitingSinceMs !== undefined && !watch.isStalled) watch.waitingSinceMs = nowMs;
}

/** An output was handed out. */
export function noteHandedOut(state: RaftState): void {
  const { watch, persistence } = state;
  if (persistence.pending > 0) watch.waitingSinceMs ??= state.nowMs;
}

/** Something became durable. */
export function noteDurable(state: RaftState): void {
  const { watch, persistence } = state;
  watch.waitingSinceMs = persistence.pending > 0 ? state.nowMs : undefined;
  watch.isStalled = false;
  judgeHealth(state);
}

/** Time has passed: is it a stall by now, and what is this member's health? */
export function judgeHealth(state: RaftState): void {
  const { watch } = state;
  if (!watch.isStalled && state.nowMs >= stallDeadlineMs(state)) {
    watch.isStalled = true;
    watch.stalls++;
  }
  const health = healthNow(state);
  if (health === watch.health) return;
  const previous = watch.health;
  watch.health = health;
  watch.sinceMs = state.nowMs;
  watch.yieldSinceMs = undefined;
  watch.yieldAfterMs = state.nowMs;
  emit(state, { type: "health", health, previous, reason: reasonOf(state) });
}

/** What a status page says of it. */
export function healthStatus(state: RaftState): HealthStatus {
  const { health, sinceMs, isStalled, waitingSinceMs, stalls, yields } = state.watch;
  const stalledSinceMs = isStalled ? waitingSinceMs : undefined;
  return { state: health, sinceMs, stalledSinceMs, stalls, yields };
}

/** Leader: whether what is appended now can be stored by a quorum, as far as is known. */
export function hasSpace(state: RaftState): boolean {
  if (state.watch.isFull) return false;
  for (const { health } of state.progress.values()) {
    if (health === "full") return isQuorum(state, (id) => hasSpaceAt(state, id));
  }
  return true;
}

/** Leader: whether those who are better off can elect and commit without this member. */
export function canOthersServe(state: RaftState): boolean {
  return isQuorum(state, (id) => isBetterOff(state, id));
}

/**
 * Leader: whether it is going to hand over with the next tick, because it has no space and others
 * have. What is proposed until then is for the next leader, and is not refused.
 */
export function isAboutToYield(state: RaftState): boolean {
  const { watch, nowMs } = state;
  return watch.health === "full" && nowMs >= watch.yieldAfterMs && canOthersServe(state);
}

/** Leader: whether a peer is heard that could lead and store where this member cannot. */
export function isBetterOff(state: RaftState, id: MemberId): boolean {
  const progress = state.progress.get(id);
  if (progress === undefined || !isFresh(state, progress)) return false;
  if (progress.health === "ok") return true;
  return progress.health === "late" && state.watch.health !== "late";
}

/** Leader: whether the peer was heard within T, and its connection is not lost since. */
export function isFresh(state: RaftState, progress: Progress): boolean {
  const { lastHeardMs } = progress;
  if (lastHeardMs === undefined || progress.isLost) return false;
  return state.nowMs - lastHeardMs < state.options.electionTimeoutMs;
}

/** When what waits for the disk becomes a stall; Infinity where nothing waits. */
export function stallDeadlineMs(state: RaftState): number {
  return (state.watch.waitingSinceMs ?? Infinity) + state.options.electionTimeoutMs;
}

function hasSpaceAt(state: RaftState, id: MemberId): boolean {
  if (id === state.id) return true;
  const progress = state.progress.get(id);
  if (progress === undefined || progress.isLost || progress.health === "full") return false;
  // A new leader has heard of nobody yet: for T it takes who is silent for who they were.
  return state.nowMs - state.heardOf(id) < state.options.electionTimeoutMs;
}

function isQuorum(state: RaftState, holds: (id: MemberId) => boolean): boolean {
  return quorumValue(state.configuration, (id) => (holds(id) ? 1 : 0)) === 1;
}

function healthNow(state: RaftState): Health {
  const { watch, options, nowMs } = state;
  if (watch.isStalled) return "stalled";
  if (watch.isFull) return "full";
  if (watch.gapsMs.length < LATE_GAPS) return "ok";
  const windowMs = LATE_WINDOW_TIMEOUTS * options.electionTimeoutMs;
  return nowMs - watch.gapsMs[0]! < windowMs ? "late" : "ok";
}

/** Why this member's health is what it is. */
export function reasonOf(state: RaftState): string {
  const { watch, nowMs } = state;
  switch (watch.health) {
    case "ok":
      return "it can do its work";
    case "late":
      return `the process stood still ${LATE_GAPS} times lately`;
    case "full":
      return "the log has no space for its next segment";
    case "stalled": {
      const forMs = Math.round(nowMs - (watch.waitingSinceMs ?? nowMs));
      return `nothing has become durable for ${forMs} ms`;
    }
    default:
      return unreachable(watch.health);
  }
}
