/**
 * `/members` as JSON: the members by the newest committed configuration that the asked member
 * knows, and the change that is under way. What is not there is `null`, never missing.
 */
import type { ChangeProgress, MembershipStatus } from "quorate";

/** The page, as a value for `JSON.stringify`. */
export function membersPage(
  { version, quorum, tolerates, members, change }: MembershipStatus,
  leader: string | undefined,
): Record<string, unknown> {
  return {
    version,
    leader: leader ?? null,
    quorum,
    tolerates,
    members: members.map(({ incarnation, ...member }) => ({
      ...member,
      incarnation: incarnation ?? null,
    })),
    change: changePage(change),
  };
}

/** The change that is under way, or `null`. */
export function changePage(change: ChangeProgress | undefined): Record<string, unknown> | null {
  return change === undefined ? null : { ...change, remainingMs: change.remainingMs ?? null };
}
