/**
 * Whom to talk to: the judgement on the {@link Hello} of the other side, in both directions.
 *
 *   we \ they   unformed                                formed
 *   unformed    the same list, else `memberList`        in our list, else `unknownMember`
 *   formed      the incarnation that we formed with     the same cluster, a member by id *and*
 *               and the same list, else `incarnation`   incarnation
 *               or `memberList`
 *
 * An unformed member accepts any formed one of its list, since it is told there what was agreed; it
 * believes only a configuration that names its own incarnation (formation.ts). Every refusal is a
 * sentence for the operator: it is reported on both sides.
 */
import { memberOf } from "../core/configuration.ts";
import type { Configuration, Incarnation, MemberId } from "../core/configuration.ts";
import { NO_CLUSTER, RefusalCode } from "../transport/transport.ts";
import type { ClusterId, Hello, Verdict } from "../transport/transport.ts";

/** What a member knows of itself when it judges. */
export interface SelfView {
  readonly id: MemberId;
  readonly incarnation: Incarnation;
  /** NO_CLUSTER while unformed. */
  readonly clusterId: ClusterId;
  /** Digest of the list: the one of the options while unformed, the one formed with later. */
  readonly formation: string;
  /** Formed: who the members are now. */
  readonly configuration: Configuration | undefined;
  /** Unformed: the ids of the list. */
  readonly listed: readonly MemberId[];
}

const ACCEPT: Verdict = { accept: true };

/** Whether to talk to `remote`; `dialed` is whom we meant to reach. */
export function judge(self: SelfView, remote: Hello, dialed: MemberId | undefined): Verdict {
  if (remote.id === self.id) return judgeSelf(self, remote, dialed);
  if (dialed !== undefined && dialed !== remote.id) {
    return refuse("identity", `under the address of ${dialed} answers ${remote.id}`);
  }
  if (self.clusterId === NO_CLUSTER) {
    return remote.clusterId === NO_CLUSTER ? judgeList(self, remote) : judgeListed(self, remote.id);
  }
  if (remote.clusterId !== NO_CLUSTER && remote.clusterId !== self.clusterId) {
    return refuse(
      "cluster",
      `${remote.id} belongs to cluster ${remote.clusterId}, ${self.id} to ${self.clusterId}: ` +
        `one of them has the wrong address or the wrong data directory`,
    );
  }
  return judgeMember(self, remote);
}

function judgeSelf(self: SelfView, remote: Hello, dialed: MemberId | undefined): Verdict {
  if (remote.incarnation !== self.incarnation) {
    return refuse("identity", `two members call themselves ${self.id}: give one another id`);
  }
  const whose = dialed === undefined ? "an address" : `the address of ${dialed}`;
  return refuse("self", `${whose} leads back to ${self.id} itself`);
}

/** Both unformed: they may only form a cluster of the same list. */
function judgeList(self: SelfView, remote: Hello): Verdict {
  if (remote.formation === self.formation) return judgeListed(self, remote.id);
  return refuse(
    "memberList",
    `${remote.id} and ${self.id} were started with different member lists (digests ` +
      `${short(remote.formation)} and ${short(self.formation)}): ids and addresses must be the same`,
  );
}

function judgeListed(self: SelfView, id: MemberId): Verdict {
  if (self.listed.includes(id)) return ACCEPT;
  return refuse("unknownMember", `${id} is not in the member list of ${self.id}`);
}

/** We are formed, and they are of our cluster or still unformed. */
function judgeMember(self: SelfView, remote: Hello): Verdict {
  const known = self.configuration && memberOf(self.configuration, remote.id);
  if (known === undefined) {
    return refuse("unknownMember", `${remote.id} is not a member of cluster ${self.clusterId}`);
  }
  if (known.incarnation !== remote.incarnation) {
    return refuse(
      "incarnation",
      remote.clusterId === NO_CLUSTER
        ? `member ${remote.id} has come back with an empty directory; it must be replaced, ` +
            `since its old vote is gone`
        : `member ${remote.id} comes with a directory of another incarnation than the cluster ` +
            `knows; start it on the directory that it had, or replace it`,
    );
  }
  if (remote.clusterId === NO_CLUSTER && remote.formation !== self.formation) {
    return refuse(
      "memberList",
      `${remote.id} was started with another member list (digest ${short(remote.formation)}) than ` +
        `cluster ${self.clusterId} was formed with (${short(self.formation)})`,
    );
  }
  return ACCEPT;
}

function short(digest: string): string {
  return digest.slice(0, 12);
}

function refuse(code: keyof typeof RefusalCode, reason: string): Verdict {
  return { accept: false, code: RefusalCode[code], reason };
}
