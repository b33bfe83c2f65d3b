/**
 * Majorities, plain and joint (thesis, 4.3).
 *
 * A decision in a joint configuration needs a majority of `voters` AND a majority of `outgoing`:
 * each half alone is never enough (a commit by one half alone loses data). Learners never count. An
 * empty `outgoing` asks for nothing; an empty `voters` can decide nothing, since nobody is there to
 * do so.
 */
import type { Configuration, MemberId } from "./configuration.ts";

/** Where a vote stands. */
export type VoteResult = "won" | "lost" | "pending";

/** How many make a majority of `count`. */
export function majority(count: number): number {
  return Math.floor(count / 2) + 1;
}

/**
 * The largest value that a quorum has reached: with match indexes, the index that may be committed;
 * with the times at which members were last heard, the time at which a quorum was last complete.
 * Minus infinity where nobody votes.
 */
export function quorumValue(
  configuration: Configuration,
  valueOf: (id: MemberId) => number,
): number {
  const { voters, outgoing } = configuration;
  if (voters.length === 0) return -Infinity;
  const incoming = majorityValue(voters, valueOf);
  return outgoing.length === 0 ? incoming : Math.min(incoming, majorityValue(outgoing, valueOf));
}

/** How a vote stands: a quorum for it wins, and it is lost once no quorum is possible any more. */
export function voteResult(
  configuration: Configuration,
  votes: ReadonlyMap<MemberId, boolean>,
): VoteResult {
  const { voters, outgoing } = configuration;
  if (voters.length === 0) return "lost";
  const incoming = halfResult(voters, votes);
  if (outgoing.length === 0) return incoming;
  const leaving = halfResult(outgoing, votes);
  if (incoming === "lost" || leaving === "lost") return "lost";
  return incoming === "won" && leaving === "won" ? "won" : "pending";
}

/** Whether `id` alone is a quorum. */
export function isSoleVoter(configuration: Configuration, id: MemberId): boolean {
  const { voters, outgoing } = configuration;
  if (voters.length !== 1 || voters[0] !== id) return false;
  return outgoing.length === 0 || (outgoing.length === 1 && outgoing[0] === id);
}

/** Reused by every call; nothing is kept in it between calls. */
const scratch: number[] = [];

/** The largest value that a majority of `voters` has reached; `voters` is not empty. */
function majorityValue(voters: readonly MemberId[], valueOf: (id: MemberId) => number): number {
  const count = voters.length;
  for (let i = 0; i < count; i++) {
    const value = valueOf(voters[i]!);
    let at = i;
    for (; at > 0 && scratch[at - 1]! < value; at--) scratch[at] = scratch[at - 1]!;
    scratch[at] = value;
  }
  return scratch[majority(count) - 1]!;
}

function halfResult(
  voters: readonly MemberId[],
  votes: ReadonlyMap<MemberId, boolean>,
): VoteResult {
  const needed = majority(voters.length);
  let granted = 0;
  let refused = 0;
  for (const id of voters) {
    const vote = votes.get(id);
    if (vote === true) granted++;
    else if (vote === false) refused++;
  }
  if (granted >= needed) return "won";
  return refused > voters.length - needed ? "lost" : "pending";
}
