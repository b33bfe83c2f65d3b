/**
 * The data directory: `lock`, `identity.json`, `log/`, `snapshot/`.
 *
 * Opening decides whether it is one that this member may use, before anything in it is changed. The
 * rule behind all the refusals: a directory that held something must not be taken for an empty one,
 * since a member that forgot its vote could vote again (etcd#10166, dragonboat#170).
 *
 *   identity   log        meaning
 *   absent     absent     empty: needs a way to start
 *   absent     present    the identity was lost: refused
 *   new        empty      the first start was cut short: goes on
 *   forming    any        formation was cut short: goes on (formation.ts)
 *   joining    any        an invitation was being carried out: goes on (invitation.ts)
 *   formed     present    a member
 *   formed     absent     the log was lost: refused
 *   removed    any        it must not be used any more: refused
 *   recovering any        recovery from a lost quorum was cut short: refused until it is repeated
 *
 * `new` with a log that holds anything cannot come about by a crash (the identity says `forming`
 * before the log is written) and is refused. At the first start the names of the directory and its
 * ancestors are synced, too: a directory that a power cut takes away takes its votes along.
 */
import type { Disk, DiskLock } from "../disk/disk.ts";
import { DiskError } from "../disk/disk.ts";
import type { Checksum } from "../util/checksum.ts";
import { QuorateError, messageOf } from "../util/error.ts";
import { IdentityFile } from "./identity.ts";
import type { Identity } from "./identity.ts";

/** The number under which the log keeps the only group there is for now. */
export const GROUP = 1;

/** An open, locked data directory. */
export interface DataDir {
  readonly path: string;
  readonly logPath: string;
  readonly snapshotPath: string;
  readonly identityFile: IdentityFile;
  /** Undefined: the directory is empty. */
  readonly identity: Identity | undefined;
  readonly lock: DiskLock;
}

/** Makes the directory if it is absent, locks it and checks what is in it. */
export async function openDataDir(disk: Disk, path: string, checksum: Checksum): Promise<DataDir> {
  await makeDurably(disk, path);
  const lock = await lockDirectory(disk, path);
  try {
    const logPath = `${path}/log`;
    const snapshotPath = `${path}/snapshot`;
    const identityFile = new IdentityFile(disk, path, checksum);
    const identity = await identityFile.read();
    await checkTogether(disk, { path, logPath, identity });
    return { path, logPath, snapshotPath, identityFile, identity, lock };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/**
 * What the log held must fit the identity: called after the log was opened, before it is written.
 */
export function checkLogFits(
  dir: DataDir,
  found: { readonly lastIndex: number; readonly term: number },
): void {
  const { identity } = dir;
  // Who was invited may hold no entry yet, but holds the record with which its log began.
  const hasBegun = identity?.invitedBy !== undefined && found.term > 0;
  if (identity?.state === "formed" && found.lastIndex === 0 && !hasBegun) {
    throw lostLog(dir.path, `${dir.logPath} holds no entry`);
  }
  if (identity?.state === "new" && (found.lastIndex > 0 || found.term > 0)) {
    throw new QuorateError(
      "DATA_DIR_INVALID",
      `${dir.identityFile.path} is of a member that has not started yet, but ${dir.logPath} holds ` +
        `${found.lastIndex} entries: these two do not belong together`,
    );
  }
}

async function checkTogether(
  disk: Disk,
  dir: { path: string; logPath: string; identity: Identity | undefined },
): Promise<void> {
  const names = (await disk.exists(dir.logPath)) ? await disk.list(dir.logPath) : [];
  if (dir.identity === undefined && names.length > 0) {
    throw new QuorateError(
      "DATA_DIR_INVALID",
      `${dir.path} has a log but no identity.json: without its identity this member cannot prove ` +
        `that the votes in the log are its own. Put the file back, or replace this member and start ` +
        `it on an empty directory`,
    );
  }
  if (dir.identity?.state === "removed") {
    throw new QuorateError(
      "REMOVED",
      `${dir.path} must not be used any more: ${dir.identity.reason ?? "it was removed"}. To make ` +
        `${dir.identity.id} a member again, start it on an empty directory`,
    );
  }
  if (dir.identity?.state === "recovering") {
    throw new QuorateError(
      "DATA_DIR_INVALID",
      `in ${dir.path} recovery from a lost quorum was begun and not finished: run it once more ` +
        `(quorate recover), it goes on where it was cut short`,
    );
  }
  if (dir.identity?.state === "formed" && names.length === 0) {
    throw lostLog(dir.path, `${dir.logPath} is missing or empty`);
  }
}

function lostLog(path: string, problem: string): QuorateError {
  return new QuorateError(
    "DATA_DIR_INVALID",
    `${path} is the directory of a member of a cluster, but ${problem}: what this member voted for ` +
      `and acknowledged is lost. Put the log back, or replace this member and start it on an empty ` +
      `directory`,
  );
}

async function lockDirectory(disk: Disk, path: string): Promise<DiskLock> {
  try {
    return await disk.lock(`${path}/lock`);
  } catch (cause) {
    if (!(cause instanceof DiskError) || cause.reason !== "locked") throw cause;
    throw new QuorateError(
      "DATA_DIR_LOCKED",
      `${path} is in use (${messageOf(cause)}): one process at a time`,
      { cause },
    );
  }
}

async function makeDurably(disk: Disk, path: string): Promise<void> {
  try {
    await disk.makeDirectory(path);
    if (await disk.exists(`${path}/identity.json`)) return;
    // First start, or one that was cut short: which of these names are new is not known any more.
    for (let at = path; at.includes("/"); at = at.slice(0, at.lastIndexOf("/"))) {
      await syncNames(disk, at.slice(0, at.lastIndexOf("/")) || "/");
    }
  } catch (cause) {
    throw new QuorateError("DATA_DIR_INVALID", `${path} cannot be made: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** An ancestor that we may not even read was there before us. */
async function syncNames(disk: Disk, path: string): Promise<void> {
  try {
    await disk.syncDirectory(path);
  } catch (error) {
    if (!(error instanceof DiskError) || error.reason !== "access") throw error;
  }
}
