/**
 * From what was read to what is wrong, in plain sentences, each with what to do about it.
 *
 * The remedies rest on two rules. What a member acknowledged must not be forgotten by it: so
 * nothing is ever cut or made up, and a directory that lost something is replaced by an empty one
 * under a new incarnation, never repaired by hand. And while a majority of the others is well,
 * replacing loses nothing.
 */
import { memberOf } from "../../core/configuration.ts";
import { encodeConfiguration } from "../../core/configuration-codec.ts";
import type { RecoveredGroup } from "../../core/contract.ts";
import { LogDamage } from "../../log/log-health.ts";
import type { LogFileSurvey, LogSurvey } from "../../log/survey.ts";
import type { SnapshotFileSurvey } from "../../snapshot/survey.ts";
import { toHex } from "../../util/bytes.ts";
import { QuorateError, messageOf } from "../../util/error.ts";
import { GROUP } from "../data-dir.ts";
import { IdentityDamage } from "../identity.ts";
import type { Identity } from "../identity.ts";
import type { Evidence } from "./inspect-data-dir.ts";
import type { Finding } from "./inspection.ts";

const REPLACE =
  "As long as a majority of the other voters is well, replace this member: let the others replace " +
  "its id, and start it on an empty directory; nothing acknowledged is lost by that";
const PUT_BACK = "Put it back as it was, from the disk that held it last, not from an older copy";
const UPGRADE = "Start the version of the software that wrote it, or a newer one";
const OURS = /^(?:identity\.json|log|snapshot)$/;
/** Where a machine on disk is, if it is in here. */
const MACHINE = "machine";
const LOCK = /^lock\.\d+-[0-9a-f]{16}$/;
const TEMPORARY = /\.(?:tmp|new)$/;

/** What is worth saying about a directory, the worst first. */
export function findingsOf(evidence: Evidence): Finding[] {
  const { names, path, unreadable } = evidence;
  if (unreadable !== undefined) {
    const problem = `${path} cannot be listed: ${unreadable}.`;
    return [unreadablePlace(path, problem)];
  }
  if (names === undefined) return [absent(path)];
  const findings = [
    ...aboutUse(evidence),
    ...aboutIdentity(evidence),
    ...aboutLog(evidence),
    ...aboutBoth(evidence),
    ...aboutSnapshots(evidence),
    ...aboutNames(evidence, names),
    ...aboutLogFiles(evidence.log?.files ?? []),
  ];
  const weight = { damage: 0, warning: 1, note: 2 };
  return findings.sort((a, b) => weight[a.severity] - weight[b.severity]);
}

function aboutUse({ inUse, path }: Evidence): Finding[] {
  if (inUse === undefined) return [];
  const problem = `The directory is in use (${inUse}).`;
  const remedy =
    "What is said here was read beside a running member, and a write on its way looks unfinished. " +
    "Stop the member and look again before acting on it.";
  return [{ code: "IN_USE", severity: "note", path, problem, remedy }];
}

function aboutIdentity(evidence: Evidence): Finding[] {
  const { identity, identityRefusal, path, expectedId, log } = evidence;
  const file = `${path}/identity.json`;
  if (identityRefusal !== undefined) return [identityUnread(file, identityRefusal)];
  if (identity === undefined)
    return log === undefined || log.files.length === 0 ? [] : [lost(file)];
  const findings: Finding[] = [];
  if (expectedId !== undefined && identity.id !== expectedId) {
    findings.push({
      code: "OTHER_MEMBER",
      severity: "damage",
      path: file,
      problem: `The directory belongs to member ${identity.id}, not to ${expectedId}.`,
      remedy: "Start each member on the directory that it had; one of the two paths is wrong.",
    });
  }
  return [...findings, ...aboutState(identity, file)];
}

function identityUnread(path: string, refusal: unknown): Finding {
  if (refusal instanceof IdentityDamage) {
    const problem =
      `The identity of the member ${refusal.why}. Without it nobody can tell whether the votes ` +
      "in the log are this member's own.";
    const remedy = `${PUT_BACK}. ${REPLACE}.`;
    return { code: "IDENTITY_DAMAGED", severity: "damage", path, problem, remedy };
  }
  if (isNewer(refusal)) return newer(path, refusal);
  return unreadablePlace(path, `${path} cannot be read: ${messageOf(refusal)}.`);
}

function lost(path: string): Finding {
  return {
    code: "IDENTITY_LOST",
    severity: "damage",
    path,
    problem: "There is a log but no identity: nobody can tell whose votes are in it.",
    remedy: `${PUT_BACK}. ${REPLACE}.`,
  };
}

function aboutState({ id, state, reason }: Identity, path: string): Finding[] {
  switch (state) {
    case "new":
      return [
        {
          code: "NOT_STARTED",
          severity: "note",
          path,
          problem: `Member ${id} was started here and is not part of a cluster yet.`,
          remedy: "Start it as before: it goes on from here.",
        },
      ];
    case "forming":
      return [
        {
          code: "FORMING",
          severity: "note",
          path,
          problem: `Forming the cluster of member ${id} was cut short.`,
          remedy: "Start the member: it goes on from here.",
        },
      ];
    case "joining":
      return [
        {
          code: "JOINING",
          severity: "note",
          path,
          problem: `Member ${id} was invited by a cluster; its log is still to come.`,
          remedy: "Start the member: it goes on from here.",
        },
      ];
    case "removed":
      return [
        {
          code: "REMOVED",
          severity: "damage",
          path,
          problem: `The directory must not be used any more: ${reason ?? `${id} was removed`}.`,
          remedy: `To make ${id} a member again, let it join on an empty directory. This one can go.`,
        },
      ];
    case "recovering":
      return [
        {
          code: "RECOVERY_UNFINISHED",
          severity: "damage",
          path,
          problem: "Recovery from a lost quorum was begun here and not finished.",
          remedy: "Run `quorate recover` on this directory once more: it goes on from here.",
        },
      ];
    default:
      return [];
  }
}

function aboutLog(evidence: Evidence): Finding[] {
  const { identity, log, logUnreadable, path } = evidence;
  const directory = `${path}/log`;
  if (logUnreadable !== undefined) {
    return [unreadablePlace(directory, `${directory} cannot be listed: ${logUnreadable}.`)];
  }
  if (log?.refusal !== undefined) return [refused(log, log.refusal)];
  const findings = log === undefined ? [] : aboutTail(log);
  if (isLost(identity, log)) {
    const what =
      log === undefined || log.files.length === 0 ? "is missing or empty" : "holds no entry";
    findings.push({
      code: "LOG_LOST",
      severity: "damage",
      path: directory,
      problem:
        `This is the directory of a member of a cluster, but its log ${what}: what the member voted ` +
        "for and acknowledged is gone.",
      remedy: `${PUT_BACK}. ${REPLACE}.`,
    });
  }
  return findings;
}

/** Who was invited may hold no entry yet, but holds the record with which its log began. */
function isLost(identity: Identity | undefined, log: LogSurvey | undefined): boolean {
  if (identity?.state !== "formed" && identity?.state !== "recovering") return false;
  const found = log === undefined ? undefined : groupOf(log);
  if (found === undefined) return true;
  return found.lastIndex === 0 && identity.invitedBy === undefined;
}

/** What opening the log would be refused with, and where. */
function refused(log: LogSurvey, refusal: unknown): Finding {
  if (isNewer(refusal)) return newer(log.directory, refusal);
  if (!(refusal instanceof LogDamage)) {
    return unreadablePlace(log.directory, `The log cannot be read: ${messageOf(refusal)}.`);
  }
  const { path, offset, why } = refusal;
  const behind = log.files.find((file) => file.path === path)?.recordsBehind ?? 0;
  const whole =
    behind === 0 ? "" : ` Behind it, ${plural(behind, "record is", "records are")} whole.`;
  const found = groupOf(log);
  const readable =
    found === undefined || found.lastIndex === found.startIndex
      ? "No entry could be read before it."
      : `Entries ${found.startIndex + 1} to ${found.lastIndex} could be read before it.`;
  return {
    code: "LOG_DAMAGED",
    severity: "damage",
    path,
    offset,
    problem: `The log is damaged: ${why}. ${readable}${whole}`,
    remedy:
      `Nothing may be cut here, since it was durable and may have been acknowledged. ${PUT_BACK}. ` +
      `${REPLACE}. Have the disk checked first.`,
  };
}

function aboutTail({ tornBytes, end, files }: LogSurvey): Finding[] {
  if (tornBytes === 0) return [];
  const name = `${String(end.segment).padStart(20, "0")}.log`;
  const file = files.find(({ path }) => path.endsWith(name));
  return [
    {
      code: "LOG_TORN",
      severity: "note",
      path: file?.path ?? name,
      offset: end.offset,
      problem:
        `The last write was cut short (${plural(tornBytes, "byte", "bytes")}), as a crash leaves it. ` +
        "It was never acknowledged.",
      remedy: "Nothing needs to be done: the next start cuts it.",
    },
  ];
}

/** Whether identity and log are of the same member, and of the cluster that its log knows. */
function aboutBoth({ identity, log, path }: Evidence): Finding[] {
  const found = log === undefined ? undefined : groupOf(log);
  if (identity === undefined || found === undefined || log?.refusal !== undefined) return [];
  const why = strangers(identity, found);
  if (why !== undefined) {
    return [
      {
        code: "NOT_TOGETHER",
        severity: "damage",
        path,
        problem: `Identity and log do not belong together: ${why}.`,
        remedy: `Find out which of the two was put here by mistake, and undo that. ${REPLACE}.`,
      },
    ];
  }
  return identity.state === "formed" ? aboutMembership(identity, found, path) : [];
}

function strangers(identity: Identity, found: RecoveredGroup): string | undefined {
  const { state, configuration } = identity;
  if (state === "new") {
    return `the member has not started yet, but the log holds ${found.lastIndex} entries`;
  }
  // Who was invited began with no entry of its own.
  if (identity.invitedBy !== undefined) return undefined;
  if (configuration === "" || state === "recovering" || found.startIndex > 0) return undefined;
  const payloads = found.configurations.map((known) =>
    toHex(encodeConfiguration(known.configuration)),
  );
  if (payloads.includes(configuration)) return undefined;
  return "the configuration that the member began with is not in the log";
}

function aboutMembership(identity: Identity, found: RecoveredGroup, path: string): Finding[] {
  const { configuration, index } = found.configurations.at(-1) ?? found.startConfiguration;
  const known = memberOf(configuration, identity.id);
  if (known?.incarnation === identity.incarnation) return [];
  const of = `the newest configuration in its log, at index ${index}`;
  if (known === undefined) {
    return [
      {
        code: "NOT_A_MEMBER",
        severity: "note",
        path,
        problem: `${identity.id} is not a member in ${of}.`,
        remedy:
          "If it was removed, the directory can go. If it was just added, start it: the rest of the " +
          "log is still to come.",
      },
    ];
  }
  return [
    {
      code: "OTHER_INCARNATION",
      severity: "warning",
      path,
      problem: `In ${of}, ${identity.id} is known by another directory than this one.`,
      remedy:
        "If this member was replaced, the others will refuse this directory, and it can go. " +
        "Otherwise find the directory that the member had.",
    },
  ];
}

/**
 * A log that starts behind an index needs a snapshot that reaches up to it; the newest one that is
 * whole is used, and any that is not too old will do.
 */
function aboutSnapshots(evidence: Evidence): Finding[] {
  const { identity, snapshots, snapshotsUnreadable, log, path } = evidence;
  const directory = `${path}/snapshot`;
  if (snapshotsUnreadable !== undefined) {
    return [unreadablePlace(directory, `${directory} cannot be listed: ${snapshotsUnreadable}.`)];
  }
  const found = log === undefined || log.refusal !== undefined ? undefined : groupOf(log);
  const needed = found?.startIndex ?? 0;
  const usable = snapshots.filter(({ meta }) => meta !== undefined && meta.index >= needed);
  // What a machine on disk has stored is looked at when it is opened.
  const isMissing = needed > 0 && usable.length === 0 && identity?.machine !== "disk";
  const findings = snapshots.flatMap((file) => aboutSnapshot(file, isMissing, identity));
  if (isMissing && findings.every(({ severity }) => severity !== "damage")) {
    findings.push({
      code: "SNAPSHOT_LOST",
      severity: "damage",
      path: directory,
      problem: `The log starts behind entry ${needed}, and no whole snapshot reaches up to it.`,
      remedy: `${PUT_BACK}. ${REPLACE}.`,
    });
  }
  return findings;
}

function aboutSnapshot(
  file: SnapshotFileSurvey,
  isMissing: boolean,
  identity: Identity | undefined,
): Finding[] {
  const { path, kind, meta, problem, isNewer } = file;
  if (kind === undefined) return [foreign(path, "the snapshot directory")];
  const isOfOther = meta !== undefined && meta.clusterId !== identity?.clusterId;
  if (isOfOther && identity !== undefined && identity.state !== "recovering") {
    return [
      {
        code: "NOT_TOGETHER",
        severity: "damage",
        path,
        problem: `The snapshot is of cluster ${meta.clusterId}, the directory of another.`,
        remedy: `Find out which of the two was put here by mistake, and undo that. ${REPLACE}.`,
      },
    ];
  }
  if (problem === undefined) return [];
  if (isNewer) {
    const what = `A newer version of the software wrote this: ${problem.why}.`;
    return [
      { code: "FORMAT_NEWER", severity: "damage", path, problem: what, remedy: `${UPGRADE}.` },
    ];
  }
  return [
    {
      code: "SNAPSHOT_DAMAGED",
      severity: isMissing ? "damage" : "warning",
      path,
      offset: problem.offset,
      problem: `The snapshot is damaged: ${problem.why}.`,
      remedy: isMissing
        ? `There is no other one to start from. ${PUT_BACK}. ${REPLACE}.`
        : "Another snapshot and the log are enough to start from. Have the disk checked.",
    },
  ];
}

function foreign(path: string, where: string): Finding {
  const problem = `There is a file in ${where} that is not of it.`;
  const remedy = "It is never read; put nothing of your own here.";
  return { code: "FOREIGN_FILE", severity: "note", path, problem, remedy };
}

function aboutNames({ path, identity }: Evidence, names: readonly string[]): Finding[] {
  return names.flatMap((name): Finding[] => {
    if (OURS.test(name) || (name === MACHINE && identity?.machine === "disk")) return [];
    const at = `${path}/${name}`;
    if (LOCK.test(name)) return [];
    const isTemporary = TEMPORARY.test(name);
    const problem = isTemporary
      ? `${name} is left over from something that was cut short.`
      : `${name} is not a file of a member.`;
    const remedy = isTemporary ? "" : "It is never read; put nothing of your own here.";
    const code = isTemporary ? "LEFTOVER" : "FOREIGN_FILE";
    return [{ code, severity: "note", path: at, problem, remedy }];
  });
}

function aboutLogFiles(files: readonly LogFileSurvey[]): Finding[] {
  return files.flatMap((file): Finding[] => {
    const { path, kind, problem } = file;
    if (kind === undefined) {
      return [foreign(path, "the log directory")];
    }
    if (problem === undefined || kind === "log") return [];
    return [unreadablePlace(path, `A spare file of the log cannot be read: ${problem}.`)];
  });
}

function absent(path: string): Finding {
  return {
    code: "ABSENT",
    severity: "damage",
    path,
    problem: `${path} is not there.`,
    remedy:
      "Check the path. If the directory of a member is gone, its disk may not be mounted. " +
      `${REPLACE}.`,
  };
}

function unreadablePlace(path: string, problem: string): Finding {
  return {
    code: "UNREADABLE",
    severity: "damage",
    path,
    problem,
    remedy: "Run this as the user that runs the member; if that is so already, check the disk.",
  };
}

function newer(path: string, refusal: unknown): Finding {
  const [what] = messageOf(refusal)
    .replace(/^\[\w+\] /, "")
    .split(/, (?:this|which this) version/);
  const problem = `A newer version of the software wrote this: ${what}.`;
  return { code: "FORMAT_NEWER", severity: "damage", path, problem, remedy: `${UPGRADE}.` };
}

function isNewer(refusal: unknown): boolean {
  return QuorateError.is(refusal) && refusal.code === "FORMAT_UNSUPPORTED";
}

/** What the log has of the group; undefined where that is nothing. */
function groupOf(log: LogSurvey): RecoveredGroup | undefined {
  const found = log.groups.find(({ group }) => group === GROUP)?.recovered;
  return found === undefined || (found.lastIndex === 0 && found.hardState.term === 0)
    ? undefined
    : found;
}

function plural(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}
