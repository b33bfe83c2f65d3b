/**
 * Reading a data directory without changing a byte of it, and saying what is wrong.
 *
 * It works on any directory, above all on those that the engine refuses to open: each refusal of
 * data-dir.ts, identity.ts and recover.ts has its finding here, with the same verdict, since the
 * same code gives it. No lock is taken: taking one makes a file. So a member may be running on the
 * directory meanwhile; that is said, and what is read then may be half of a write.
 */
import type { MemberId } from "../../core/configuration.ts";
import { EMPTY_GROUP } from "../../core/contract.ts";
import type { Disk } from "../../disk/disk.ts";
import { DiskError } from "../../disk/disk.ts";
import { surveyLog } from "../../log/survey.ts";
import type { LogFileSurvey, LogSurvey } from "../../log/survey.ts";
import { parseSnapshotName } from "../../snapshot/snapshot-format.ts";
import { surveySnapshots } from "../../snapshot/survey.ts";
import type { SnapshotFileSurvey } from "../../snapshot/survey.ts";
import { NO_CLUSTER } from "../../transport/transport.ts";
import type { Checksum } from "../../util/checksum.ts";
import { messageOf } from "../../util/error.ts";
import { GROUP } from "../data-dir.ts";
import type { Digest } from "../ports.ts";
import { IdentityFile } from "../identity.ts";
import type { Identity } from "../identity.ts";
import { findingsOf } from "./findings.ts";
import type {
  Finding,
  InspectedIdentity,
  InspectedLog,
  InspectedLogFile,
  InspectedSnapshot,
  Inspection,
} from "./inspection.ts";

/** The directory of the snapshots in a data directory. */
const SNAPSHOTS = "snapshot";

/** What inspecting reads with. */
export interface InspectPorts {
  readonly disk: Disk;
  readonly checksum: Checksum;
  readonly digest: Digest;
}

/** How a directory is looked at. */
export interface InspectOptions {
  /** Whose directory it should be: another member's is a finding. */
  readonly id?: MemberId;
}

/** What was read, before it is judged. */
export interface Evidence {
  readonly path: string;
  /** The names in it; undefined where it is not there. */
  readonly names: readonly string[] | undefined;
  /** Why it could not be listed. */
  readonly unreadable: string | undefined;
  readonly inUse: string | undefined;
  readonly identity: Identity | undefined;
  /** What reading the identity ended with, where it could not be read. */
  readonly identityRefusal: unknown;
  /** Undefined where there is no log directory. */
  readonly log: LogSurvey | undefined;
  /** Why the log directory could not be listed. */
  readonly logUnreadable: string | undefined;
  readonly snapshots: readonly SnapshotFileSurvey[];
  /** Why the snapshot directory could not be listed. */
  readonly snapshotsUnreadable: string | undefined;
  readonly expectedId: MemberId | undefined;
}

/** Looks at a data directory. Never rejects for what is in it, and changes nothing. */
export async function inspectDirectory(
  ports: InspectPorts,
  path: string,
  options: InspectOptions = {},
): Promise<Inspection> {
  const evidence = await gather(ports, path, options);
  const findings = findingsOf(evidence);
  return {
    path,
    health: healthOf(evidence, findings),
    inUse: evidence.inUse,
    identity: evidence.identity && identityView(evidence.identity),
    log: evidence.log && logView(evidence.log),
    snapshots: evidence.snapshots.map(snapshotView),
    findings,
  };
}

async function gather(
  ports: InspectPorts,
  path: string,
  options: InspectOptions,
): Promise<Evidence> {
  const { disk, checksum } = ports;
  const evidence = {
    path,
    names: undefined,
    unreadable: undefined,
    inUse: undefined,
    identity: undefined,
    identityRefusal: undefined,
    log: undefined,
    logUnreadable: undefined,
    snapshots: [],
    snapshotsUnreadable: undefined,
    expectedId: options.id,
  };
  let names: readonly string[];
  try {
    if (!(await disk.exists(path))) return evidence;
    names = await disk.list(path);
  } catch (error) {
    return { ...evidence, unreadable: diskMessage(error) };
  }
  const inUse = await disk.lockHolder(`${path}/lock`).catch(() => undefined);
  const identity = await readIdentity(disk, path, checksum);
  const log = await readLog(ports, `${path}/log`);
  const snapshots = await readSnapshots(ports, `${path}/${SNAPSHOTS}`);
  return { ...evidence, names, inUse, ...identity, ...log, ...snapshots };
}

async function readIdentity(
  disk: Disk,
  path: string,
  checksum: Checksum,
): Promise<Pick<Evidence, "identity" | "identityRefusal">> {
  try {
    const identity = await new IdentityFile(disk, path, checksum).read();
    return { identity, identityRefusal: undefined };
  } catch (identityRefusal) {
    return { identity: undefined, identityRefusal };
  }
}

async function readLog(
  { disk, checksum }: InspectPorts,
  directory: string,
): Promise<Pick<Evidence, "log" | "logUnreadable">> {
  try {
    if (!(await disk.exists(directory))) return { log: undefined, logUnreadable: undefined };
    const log = await surveyLog({ disk, checksum, directory });
    return { log, logUnreadable: undefined };
  } catch (error) {
    return { log: undefined, logUnreadable: diskMessage(error) };
  }
}

async function readSnapshots(
  ports: InspectPorts,
  directory: string,
): Promise<Pick<Evidence, "snapshots" | "snapshotsUnreadable">> {
  try {
    const isThere = await ports.disk.exists(directory);
    const snapshots = isThere ? await surveySnapshots({ ...ports, directory }) : [];
    return { snapshots, snapshotsUnreadable: undefined };
  } catch (error) {
    return { snapshots: [], snapshotsUnreadable: diskMessage(error) };
  }
}

function healthOf(evidence: Evidence, findings: readonly Finding[]): Inspection["health"] {
  if (findings.some(({ severity }) => severity === "damage")) return "damaged";
  const { identity } = evidence;
  return identity === undefined || identity.state === "new" ? "empty" : "healthy";
}

function identityView(identity: Identity): InspectedIdentity {
  const { id, incarnation, state, clusterId, formerClusters = [] } = identity;
  const known = clusterId === NO_CLUSTER ? undefined : clusterId;
  return { id, incarnation, state, clusterId: known, formerClusters };
}

function logView(log: LogSurvey): InspectedLog {
  const found = log.groups.find(({ group }) => group === GROUP)?.recovered ?? EMPTY_GROUP;
  const { hardState, startIndex, startTerm, lastIndex, lastTimeMs, termRuns } = found;
  const atStart = found.startConfiguration.index > 0 ? [found.startConfiguration] : [];
  return {
    term: hardState.term,
    vote: hardState.vote,
    commit: hardState.commit,
    startIndex,
    startTerm,
    lastIndex,
    lastTerm: termRuns.at(-1)?.term ?? startTerm,
    lastTimeMs,
    terms: termRuns,
    configurations: [...atStart, ...found.configurations],
    files: log.files.map(fileView),
    bytes: log.files.reduce((sum, file) => sum + file.bytes, 0),
    records: log.records,
    durable: log.durable,
    end: log.end,
    tornBytes: log.tornBytes,
    unprovenBytes: log.unprovenBytes,
    isWhole: log.refusal === undefined,
  };
}

function fileView({ path, kind, bytes, records, recordsBehind }: LogFileSurvey): InspectedLogFile {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return { name, kind: kind ?? "foreign", bytes, records, recordsBehind };
}

function snapshotView({ path, kind, bytes, meta }: SnapshotFileSurvey): InspectedSnapshot {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const at = parseSnapshotName(name);
  return {
    name,
    kind: kind ?? "foreign",
    bytes,
    isWhole: meta !== undefined,
    index: at?.index,
    term: at?.term,
    timeMs: meta?.timeMs,
    configuration: meta?.configuration,
  };
}

function diskMessage(error: unknown): string {
  if (!(error instanceof DiskError)) throw error;
  return messageOf(error);
}
