/**
 * Versions of the user's state machine: which are known to whom, and when one comes into force.
 *
 * Every member says in its greeting which version its machine knows at most; it knows all below as
 * well. A version is in force from the entry on that says so (EntryKind.version), for every member
 * at the same index. The leader proposes that entry once *every* member of the configuration,
 * learners included, knows the version: not as remembered, but as said by a process that it is
 * connected to now. So nobody whose code is older is left behind, as long as nobody goes back to
 * older code afterwards; who does stops at that entry, with a sentence, before anything is applied
 * (applier.ts). A member that has never been started does not count: it has no code yet.
 *
 * Versions only rise. A proposal that is lost with its leader is made again by the next one.
 */
import type { MemberId } from "../core/configuration.ts";
import { NO_INCARNATION } from "../core/configuration.ts";
import type { RaftInputs } from "../core/contract.ts";
import { EntryKind, packEntries } from "../core/entry.ts";
import { writeU32 } from "../util/bytes.ts";
import { QuorateError } from "../util/error.ts";

/** Throws where a version is in force that our machine does not know. */
export function checkVersion(inForce: number, known: number): void {
  if (inForce <= known) return;
  throw new QuorateError(
    "VERSION_UNSUPPORTED",
    `the cluster uses version ${inForce} of the state machine, and this member's machine knows ` +
      `${known} at most: nothing was applied under it; start this member with newer code`,
  );
}

/** What is needed of the group. */
export interface VersionsHooks {
  readonly id: MemberId;
  /** What our own machine knows at most. */
  readonly own: number;
}

/** What our members know, and what this member as the leader makes of it. */
export class Versions {
  readonly #hooks: VersionsHooks;
  /** Of those that we are connected to. */
  readonly #known = new Map<MemberId, number>();
  /** What was proposed last, and in which term. */
  #proposed = 0;
  #proposedTerm = 0;
  /** Nothing has changed since it was found that nothing is to be done. */
  #isSettled = false;

  constructor(hooks: VersionsHooks) {
    this.#hooks = hooks;
  }

  /** The process of `peer` knows this version; undefined: it is not there any more. */
  knows(peer: MemberId, version: number | undefined): void {
    if (version === undefined) this.#known.delete(peer);
    else this.#known.set(peer, version);
    this.#isSettled = false;
  }

  /** Somebody else leads, or other members are there. */
  changed(): void {
    this.#isSettled = false;
  }

  /** What the process of a member knows; undefined where we are not connected to it. */
  knownTo(id: MemberId): number | undefined {
    return id === this.#hooks.id ? this.#hooks.own : this.#known.get(id);
  }

  /**
   * Puts a version in force that everybody knows, where this member leads and has committed in
   * `term`. A version that is in force already, and not applied here yet, comes twice: harmless.
   */
  // eslint-disable-next-line max-params -- what every turn of a group takes, and two numbers
  dispatch(nowMs: number, core: RaftInputs, term: number | undefined, inForce: number): void {
    if (term === undefined || this.#hooks.own <= inForce || this.#isSettled) return;
    this.#isSettled = true;
    const version = this.#highestOfAll(core);
    if (version <= inForce) return;
    if (this.#proposedTerm === term && this.#proposed >= version) return;
    const payload = new Uint8Array(4);
    writeU32(payload, 0, version);
    const result = core.propose(nowMs, packEntries([{ kind: EntryKind.version, payload }]));
    // Refused for now, or no leader any more.
    this.#isSettled = result.ok;
    if (!result.ok) return;
    this.#proposed = version;
    this.#proposedTerm = result.term;
  }

  /** The highest version that every member knows; 0 where somebody cannot be asked. */
  #highestOfAll(core: RaftInputs): number {
    let version = this.#hooks.own;
    for (const { id, incarnation } of core.status().configuration.members) {
      if (incarnation === NO_INCARNATION) continue;
      version = Math.min(version, this.knownTo(id) ?? 0);
    }
    return version;
  }
}
