/**
 * Whom to talk to: the judgement on the {@link Hello} of the other side, in both directions.
 *
 *   we \ they   unformed                                formed
 *   by a list   the same list, else `memberList`        in our list, else `unknownMember`
 *   join, wait  nobody                                  anybody of the cluster that we ask first
 *   formed      a member of that incarnation (and of    the same cluster, and
 *               the list that we formed with), one      - a member by id *and* incarnation; or
 *               without incarnation, or one that        - one that holds a newer committed
 *               wants to join; else `incarnation`,        configuration than we do; else
 *               `memberList` or `unknownMember`           `removed`
 *
 * An unformed member accepts formed ones, since it is told there what was agreed; it believes only
 * a configuration that names its own incarnation (formation.ts, invitation.ts).
 *
 * Why `removed` is true. A directory is named by every committed configuration from the one that
 * made it a member up to the one that removes it, and by none afterwards: a directory that was
 * removed never comes back (only one that belongs to no cluster is bound to an id). It says which
 * committed configuration it holds, or was invited by; that one names it. So a committed
 * configuration with a larger index that does not name it is one after its removal. Where it holds
 * a newer one than we do, it knows more than we do and we talk to it.
 *
 * Every refusal is a sentence for the operator: it is reported on both sides.
 */
import { memberOf, NO_INCARNATION } from "../core/configuration.ts";
import type {
  Configuration,
  Incarnation,
  IndexedConfiguration,
  MemberId,
} from "../core/configuration.ts";
import { NO_CLUSTER, NO_FORMATION, RefusalCode } from "../transport/transport.ts";
import type { ClusterId, Hello, HelloMode, Refusal } from "../transport/transport.ts";

/** What a member knows of itself when it judges. */
export interface SelfView {
  readonly id: MemberId;
  readonly incarnation: Incarnation;
  /** NO_CLUSTER while unformed. */
  readonly clusterId: ClusterId;
  readonly mode: HelloMode;
  /** Digest of the list: the one of the options while unformed, the one formed with later. */
  readonly formation: string;
  /** Formed: who the members are now. */
  readonly configuration: Configuration | undefined;
  /** Formed: the newest configuration that is known to be committed. */
  readonly committed: IndexedConfiguration | undefined;
  /** The ids that the cluster had before its quorum was lost and recovered from. */
  readonly formerClusters: readonly ClusterId[];
  /** Unformed: the ids of the list. */
  readonly listed: readonly MemberId[];
  /** Unformed: the cluster that we ask to take us; undefined where any will do. */
  readonly asked: ClusterId | undefined;
}

/** Whether to talk to somebody, and as whom. */
export type Admission =
  | { readonly accept: true; readonly as: "member" | "visitor" }
  | ({ readonly accept: false } & Refusal);

const MEMBER: Admission = { accept: true, as: "member" };
const VISITOR: Admission = { accept: true, as: "visitor" };

/** Whether to talk to `remote`; `dialed` is whom we meant to reach. */
export function judge(self: SelfView, remote: Hello, dialed: MemberId | undefined): Admission {
  if (self.formerClusters.includes(remote.clusterId)) return refuseFormer(self, remote);
  if (remote.id === self.id) return judgeSelf(self, remote, dialed);
  if (dialed !== undefined && dialed !== remote.id) {
    return refuse("identity", `under the address of ${dialed} answers ${remote.id}`);
  }
  if (self.clusterId === NO_CLUSTER) return judgeUnformed(self, remote);
  if (remote.clusterId === NO_CLUSTER) return judgeNewcomer(self, remote);
  if (remote.clusterId !== self.clusterId) {
    return refuse(
      "cluster",
      `${remote.id} belongs to cluster ${remote.clusterId}, ${self.id} to ${self.clusterId}: ` +
        `one of them has the wrong address or the wrong data directory`,
    );
  }
  return judgeFellow(self, remote);
}

/** Whether a configuration names this very directory. */
export function names(
  configuration: Configuration | undefined,
  who: { readonly id: MemberId; readonly incarnation: Incarnation },
): boolean {
  return configuration !== undefined
    ? memberOf(configuration, who.id)?.incarnation === who.incarnation
    : false;
}

/** What it knows of its cluster ended before ours began: nothing of it may come in here. */
function refuseFormer(self: SelfView, remote: Hello): Admission {
  return refuse(
    "cluster",
    `${remote.id} comes from the time before cluster ${remote.clusterId} lost its quorum and was ` +
      `recovered as ${self.clusterId}: start it on an empty directory and let it join`,
  );
}

function judgeSelf(self: SelfView, remote: Hello, dialed: MemberId | undefined): Admission {
  if (remote.incarnation !== self.incarnation) {
    return refuse("identity", `two members call themselves ${self.id}: give one another id`);
  }
  const whose = dialed === undefined ? "an address" : `the address of ${dialed}`;
  return refuse("self", `${whose} leads back to ${self.id} itself`);
}

/** We are unformed. */
function judgeUnformed(self: SelfView, remote: Hello): Admission {
  const isListed = self.mode === "member";
  if (remote.clusterId !== NO_CLUSTER) {
    if (isListed) return judgeListed(self, remote.id);
    if (self.asked === undefined || self.asked === remote.clusterId) return VISITOR;
    return refuse(
      "cluster",
      `${self.id} asks cluster ${self.asked} to take it, and ${remote.id} belongs to cluster ` +
        remote.clusterId,
    );
  }
  if (!isListed || remote.mode !== "member") {
    return refuse(
      "unknownMember",
      `neither ${remote.id} nor ${self.id} is part of a cluster yet, and they were not started ` +
        `with the same member list: one of them has to begin with --bootstrap`,
    );
  }
  if (remote.formation === self.formation) return judgeListed(self, remote.id);
  return refuse(
    "memberList",
    `${remote.id} and ${self.id} were started with different member lists (digests ` +
      `${short(remote.formation)} and ${short(self.formation)}): ids and addresses must be the same`,
  );
}

function judgeListed(self: SelfView, id: MemberId): Admission {
  if (self.listed.includes(id)) return MEMBER;
  return refuse("unknownMember", `${id} is not in the member list of ${self.id}`);
}

/** We are formed, and they belong to nobody yet. */
function judgeNewcomer(self: SelfView, remote: Hello): Admission {
  const known = self.configuration && memberOf(self.configuration, remote.id);
  if (known === undefined) {
    if (remote.mode === "join") return VISITOR;
    return refuse("unknownMember", `${remote.id} is not a member of cluster ${self.clusterId}`);
  }
  if (known.incarnation === NO_INCARNATION) return MEMBER;
  if (known.incarnation !== remote.incarnation) {
    return refuse(
      "incarnation",
      `member ${remote.id} has come back with an empty directory; it must be replaced ` +
        `(members replace ${remote.id}), since its old vote is gone`,
    );
  }
  const isOfList = remote.mode === "member" && self.formation !== NO_FORMATION;
  if (isOfList && remote.formation !== self.formation) {
    return refuse(
      "memberList",
      `${remote.id} was started with another member list (digest ${short(remote.formation)}) than ` +
        `cluster ${self.clusterId} was formed with (${short(self.formation)})`,
    );
  }
  return MEMBER;
}

/** Both belong to the same cluster. */
function judgeFellow(self: SelfView, remote: Hello): Admission {
  const { committed } = self;
  if (names(self.configuration, remote) || names(committed?.configuration, remote)) return MEMBER;
  if (committed === undefined || committed.index < remote.configurationIndex) return VISITOR;
  const { id, incarnation } = remote;
  const known = memberOf(committed.configuration, id) !== undefined;
  const reason = known
    ? `member ${id} of cluster ${self.clusterId} was replaced: another directory has its place`
    : `${id} was removed from cluster ${self.clusterId}`;
  const removal = { incarnation, configurationIndex: committed.index };
  return { accept: false, code: RefusalCode.removed, reason, removal };
}

function short(digest: string): string {
  return digest.slice(0, 12);
}

/** A refusal, but for that of a removed member. */
export function refuse(
  code: Exclude<keyof typeof RefusalCode, "removed">,
  reason: string,
): Admission {
  return { accept: false, code: RefusalCode[code], reason };
}
