/**
 * Whether this member still belongs to its group, and how it ends when it does not.
 *
 * The configuration in force may be rolled back; what counts for who belongs is the newest one that
 * is known to be committed (peering.ts judges what follows from it).
 *
 * A member that is removed by its own log stops once it has applied up to that entry: what was
 * written before is answered. In the turn in which it learns of the commit its messages have left
 * already, so a removed leader has told the others.
 *
 * A leader that is denied what was acknowledged to it in its own term says so. The member that
 * hears it compares with its own log: if that does not reach so far, the directory was put back
 * from an older copy, and votes may be missing in it as well. A denial that was only overtaken on
 * its way finds the log whole and does nothing.
 */
import type { Configuration, IndexedConfiguration, MemberId } from "../core/configuration.ts";
import type { RaftInputs, RaftStatus } from "../core/contract.ts";
import type { RolledBack } from "../transport/peer-message.ts";
import { QuorateError } from "../util/error.ts";

/** How a group learns and tells who belongs to it. */
export interface BelongingHooks {
  /** The configuration in force has changed. */
  configured(configuration: Configuration): void;
  /** The configuration in force is known to be committed. */
  committed(committed: IndexedConfiguration): void;
  /** This directory must not be used again: stops this member, and makes that durable. */
  condemned(error: QuorateError, reason: string): void;
}

/** The belonging of one member to one group. */
export class Belonging {
  readonly #hooks: BelongingHooks;
  #removal: { readonly error: QuorateError; readonly index: number } | undefined;

  constructor(hooks: BelongingHooks) {
    this.#hooks = hooks;
  }

  /** What the core holds when it starts. */
  begin(core: RaftInputs): void {
    const { configuration, commit } = core.status();
    this.#hooks.configured(configuration);
    const committed = core.configurationAt(commit);
    if (committed !== undefined && committed.index > 0) this.#hooks.committed(committed);
  }

  /** This member is no member any more: it stops once it has applied up to `index`. */
  remove(error: QuorateError, index: number): void {
    this.#removal ??= { error, index };
  }

  /** Why to stop now; undefined while there is no reason. */
  removalAt(applied: number): QuorateError | undefined {
    const removal = this.#removal;
    return removal !== undefined && applied >= removal.index ? removal.error : undefined;
  }

  /** The leader of `message.term` has our acknowledgement of an entry. */
  takeRolledBack(from: MemberId, message: RolledBack, status: RaftStatus): void {
    const { term, index } = message;
    if (term !== status.term || from !== status.leader || index <= status.lastIndex) return;
    const { id } = status;
    const reason =
      `${id} acknowledged entry ${index} in term ${term}, and its log ends at ` +
      `${status.lastIndex}: the directory was put back from an older copy. Replace this member ` +
      `(members replace ${id}) and start it on an empty directory`;
    this.#hooks.condemned(new QuorateError("DATA_DIR_INVALID", reason), reason);
  }
}
