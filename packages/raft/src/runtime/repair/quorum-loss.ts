/**
 * A quorum is lost for good: what going on with what is left would cost, said before anything is
 * done. This file only reckons; the steps are in recover-quorum.ts.
 *
 * What is known. An entry was acknowledged only if a majority of the voters (in a joint
 * configuration, of both halves) had it durable. So if the members whose directories are gone are
 * no majority of some half, every acknowledged entry is in one of the directories at hand, and the
 * newest of their logs has them all (Raft's election rule, applied by hand). If they are a majority
 * of each, entries may have been acknowledged that none of these directories has; nobody can say
 * whether there are any.
 *
 * Entries that are here and were not known to be committed are kept. Cutting them could lose what
 * was acknowledged; keeping them may bring a write to life whose caller was told that it had not
 * happened. The first is worse.
 *
 * The newest log is the one with the higher last term, then the higher last index. All of this
 * holds as far as these directories know who the members are: a change of membership that none of
 * them has seen cannot be reckoned with.
 */
import type { Configuration, Member, MemberId } from "../../core/configuration.ts";
import { memberOf } from "../../core/configuration.ts";
import type { ClusterId } from "../../transport/transport.ts";
import { QuorateError } from "../../util/error.ts";
import type { InspectedIdentity, InspectedLog, Inspection } from "./inspection.ts";

/** A directory that is at hand. */
export interface Survivor {
  readonly path: string;
  readonly id: MemberId;
  readonly role: "voter" | "learner" | "none";
  readonly term: number;
  readonly lastTerm: number;
  readonly lastIndex: number;
  /** Entries up to here were known to be committed. */
  readonly commit: number;
}

/** What recovering from a lost quorum would do, and what it may cost. */
export interface QuorumRecoveryPlan {
  /** The cluster as it was; this is what a confirmation has to repeat. */
  readonly clusterId: ClusterId;
  /** The directories at hand, the newest log first: that one goes on. */
  readonly survivors: readonly Survivor[];
  /** Members whose directory is not at hand. */
  readonly missing: readonly Member[];
  /** Members that are not part of the cluster afterwards: all but one. */
  readonly dropped: readonly Member[];
  /** Whether entries may have been acknowledged that are in none of the directories. */
  readonly mayLoseAcknowledged: boolean;
  /** Entries that are kept though they were not known to be committed. */
  readonly uncertain: { readonly from: number; readonly to: number } | undefined;
  /** Whether an earlier recovery of this directory was cut short and goes on. */
  readonly resumes: boolean;
  /** All of it in sentences, for somebody who has to decide. */
  readonly consequences: readonly string[];
}

/** A directory that was found fit to be recovered from. */
interface Candidate {
  readonly inspection: Inspection;
  readonly identity: InspectedIdentity & { readonly clusterId: ClusterId };
  readonly log: InspectedLog;
  /** Where what it has ends: its log, or a snapshot that is ahead of it. */
  readonly end: { readonly index: number; readonly term: number };
  readonly configuration: Configuration;
}

/**
 * Reckons with these directories. Throws DATA_DIR_INVALID or DATA_DIR_LOCKED where they cannot be
 * recovered from, or need not be.
 */
export function planQuorumRecovery(inspections: readonly Inspection[]): QuorumRecoveryPlan {
  const candidates = inspections.map(candidateOf).sort(newestFirst);
  const [chosen] = candidates;
  if (chosen === undefined) throw refusal("no directory was given");
  for (const candidate of candidates.slice(1)) requireSameCluster(chosen, candidate);
  const resumes = chosen.identity.state === "recovering";
  const { configuration } = chosen;
  const survivors = candidates.map(survivorOf);
  const { commit, lastIndex } = survivors[0]!;
  const isHere = (member: Member): boolean =>
    candidates.some(({ identity }) => isSame(identity, member));
  const missing = configuration.members.filter((member) => !isHere(member));
  const gone = new Set(missing.map(({ id }) => id));
  if (!resumes && !isQuorumLost(configuration, gone)) {
    throw refusal(
      `the members in ${inspections.map(({ path }) => path).join(", ")} are a majority of the ` +
        "voters: no quorum is lost. Start them, and replace the members that are gone",
    );
  }
  const plan = {
    clusterId: resumes ? chosen.identity.formerClusters.at(-1)! : chosen.identity.clusterId,
    survivors,
    missing,
    dropped: configuration.members.filter(({ id }) => id !== chosen.identity.id),
    mayLoseAcknowledged: mayHoldAlone(configuration, gone),
    uncertain: commit < lastIndex ? { from: commit + 1, to: lastIndex } : undefined,
    resumes,
  };
  return { ...plan, consequences: consequencesOf(plan) };
}

function candidateOf(inspection: Inspection): Candidate {
  const { path, identity, log, inUse, findings } = inspection;
  if (inUse !== undefined) {
    throw new QuorateError(
      "DATA_DIR_LOCKED",
      `${path} is in use (${inUse}): stop the member first. A member that runs may still find its ` +
        "quorum again",
    );
  }
  const damage = findings.find(
    ({ severity, code }) => severity === "damage" && code !== "RECOVERY_UNFINISHED",
  );
  if (damage !== undefined) throw refusal(`${path} cannot be recovered from: ${damage.problem}`);
  const clusterId = identity?.clusterId;
  const state = identity?.state;
  if (identity === undefined || log === undefined || clusterId === undefined) {
    throw refusal(`${path} is of no member of a cluster: there is nothing to recover`);
  }
  if (state !== "formed" && state !== "recovering") {
    throw refusal(`${path} is of a member that is not part of a cluster now (${state})`);
  }
  const ahead = inspection.snapshots.findLast(
    ({ isWhole, index = 0 }) => isWhole && index > log.lastIndex,
  );
  const newest = ahead?.configuration ?? log.configurations.at(-1);
  if (newest === undefined) throw refusal(`${path} holds no configuration`);
  const { configuration } = newest;
  const end = { index: ahead?.index ?? log.lastIndex, term: ahead?.term ?? log.lastTerm };
  return { inspection, identity: { ...identity, clusterId }, log, end, configuration };
}

function requireSameCluster(chosen: Candidate, other: Candidate): void {
  const [a, b] = [chosen.inspection.path, other.inspection.path];
  if (other.identity.incarnation === chosen.identity.incarnation) {
    throw refusal(
      `${a} and ${b} are copies of one directory. Only the one on which the member ran last counts: ` +
        "leave the other out",
    );
  }
  if (other.identity.clusterId === chosen.identity.clusterId) return;
  const [later, earlier] = isAfter(chosen, other) ? [a, b] : [b, a];
  if (isAfter(chosen, other) || isAfter(other, chosen)) {
    throw refusal(
      `${later} was recovered from a lost quorum already, and ${earlier} is of the time before: ` +
        "leave it out, and let its member join anew on an empty directory",
    );
  }
  throw refusal(`${a} and ${b} are of different clusters`);
}

function isAfter(later: Candidate, earlier: Candidate): boolean {
  return later.identity.formerClusters.includes(earlier.identity.clusterId);
}

function newestFirst(a: Candidate, b: Candidate): number {
  return b.end.term - a.end.term || b.end.index - a.end.index;
}

/** @internal Whether those who are left decide nothing: in some half they are no majority. */
export function isQuorumLost(
  { voters, outgoing }: Configuration,
  gone: ReadonlySet<MemberId>,
): boolean {
  return [voters, outgoing].some(
    (half) => half.length > 0 && 2 * half.filter((id) => !gone.has(id)).length <= half.length,
  );
}

/** @internal Whether those who are gone can have decided alone: a majority of every half. */
export function mayHoldAlone(
  { voters, outgoing }: Configuration,
  gone: ReadonlySet<MemberId>,
): boolean {
  return [voters, outgoing].every(
    (half) => half.length === 0 || 2 * half.filter((id) => gone.has(id)).length > half.length,
  );
}

/** One that recovers has its new incarnation before the log knows it. */
function isSame({ id, incarnation, state }: InspectedIdentity, member: Member): boolean {
  return id === member.id && (incarnation === member.incarnation || state === "recovering");
}

function survivorOf({ inspection, identity, log, end, configuration }: Candidate): Survivor {
  const member = memberOf(configuration, identity.id);
  const isMember = member !== undefined && isSame(identity, member);
  const isLearner = configuration.learners.includes(identity.id);
  return {
    path: inspection.path,
    id: identity.id,
    role: isMember ? (isLearner ? "learner" : "voter") : "none",
    term: log.term,
    lastTerm: end.term,
    lastIndex: end.index,
    commit: end.index > log.lastIndex ? end.index : log.commit,
  };
}

function consequencesOf(plan: Omit<QuorumRecoveryPlan, "consequences">): string[] {
  const { survivors, missing, dropped, uncertain } = plan;
  const chosen = survivors[0]!;
  const where = `entry ${chosen.lastIndex} of term ${chosen.lastTerm}`;
  const sentences = [
    `${chosen.id} in ${chosen.path} goes on alone from ${where}, as a new cluster with a new id.`,
  ];
  if (plan.resumes) sentences.push("A recovery that was cut short before is brought to its end.");
  sentences.push(
    plan.mayLoseAcknowledged
      ? `Writes may be LOST although they were acknowledged: ${names(missing)} could decide without ` +
          `${survivors.length === 1 ? "this member" : "these members"}. Whatever they acknowledged ` +
          `behind ${where} is gone; whether there is anything cannot be known from here.`
      : "No acknowledged write is lost: the members that are gone could not decide alone, and the " +
          "newest log of those at hand has all that was decided. This holds only if these are really " +
          "the newest directories, and no copies.",
  );
  if (uncertain !== undefined) {
    sentences.push(
      `Entries ${uncertain.from} to ${uncertain.to} are kept; they were not known to be committed ` +
        "here. A write among them may come to life whose caller was told that it had not happened.",
    );
  }
  if (chosen.role !== "voter") {
    sentences.push(
      chosen.role === "learner"
        ? `${chosen.id} was a learner: it may have been behind even while all was well.`
        : `${chosen.id} is no member in its own newest configuration: the cluster had gone on without it.`,
    );
  }
  if (dropped.length > 0) {
    sentences.push(
      `${names(dropped)} will be members no longer. Their directories, if they come back, are refused ` +
        "by their cluster id; each joins anew on an empty directory.",
    );
  }
  sentences.push(
    "The old cluster must not run any more: if a majority of its members is alive somewhere, it goes " +
      "on, and clients may be served by two clusters.",
  );
  return sentences;
}

function names(members: readonly Member[]): string {
  const ids = members.map(({ id }) => id);
  return ids.length < 2 ? ids.join("") : `${ids.slice(0, -1).join(", ")} and ${ids.at(-1)}`;
}

function refusal(message: string): QuorateError {
  return new QuorateError("DATA_DIR_INVALID", message);
}
