/** Checks of what is given to `node.members`: every mistake is named before anything is asked. */
import type { MemberId } from "../core/configuration.ts";
import { isMemberId, MEMBERS_MAX } from "../core/configuration.ts";
import type { WantedMember } from "../core/membership-change.ts";
import { parseAddress } from "../util/address.ts";
import { QuorateError } from "../util/error.ts";
import { LIMITS } from "./limits.ts";

/** How long new voters have to catch up; throws OPTION_INVALID. */
export function catchUpOf(timeoutMs: number | undefined): number {
  if (timeoutMs === undefined) return LIMITS.catchUpMs;
  if (!(timeoutMs >= 1 && timeoutMs <= LIMITS.catchUpMaxMs)) {
    throw invalid(`timeoutMs must be from 1 to ${LIMITS.catchUpMaxMs}, not ${timeoutMs}`);
  }
  return Math.ceil(timeoutMs);
}

/** The index of a configuration; throws OPTION_INVALID. */
export function checkVersion(version: number | undefined): void {
  if (version === undefined) return;
  if (!Number.isSafeInteger(version) || version < 0) {
    throw invalid(`expectedVersion must be the version of a list or a plan, not ${version}`);
  }
}

/** When a change resolves; throws OPTION_INVALID. */
export function checkUntil(until: string | undefined): void {
  if (until === undefined || until === "begun" || until === "done") return;
  throw invalid(`until must be "begun" or "done", not "${until}"`);
}

/** A member id; throws OPTION_INVALID. */
export function checkMemberId(id: MemberId): MemberId {
  if (!isMemberId(id)) {
    throw invalid(`"${id}" cannot be a member id: 1 to 64 of A-Z a-z 0-9 . _ : [ ] -`);
  }
  return id;
}

/** A member with its address and role; throws OPTION_INVALID. */
export function checkMember({ id, address, role }: WantedMember): void {
  checkMemberId(id);
  if (typeof address !== "string") throw invalid(`the address of ${id} must be host:port`);
  parseAddress(address, { name: `address of ${id}`, portMin: 1 });
  if (role !== "voter" && role !== "learner") {
    throw invalid(`the role of ${id} must be "voter" or "learner"`);
  }
}

/** So many members may be named at once; throws OPTION_INVALID. */
export function checkCount(count: number): void {
  if (count > MEMBERS_MAX) throw invalid(`a cluster has at most ${MEMBERS_MAX} members`);
}

function invalid(text: string): QuorateError {
  return new QuorateError("OPTION_INVALID", text);
}
