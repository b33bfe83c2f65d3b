/**
 * Looking at the snapshots in a directory without opening it: every file, and whether every byte of
 * it is right. Only reads; what a crash left half-made is named and stays.
 */
import type { Disk } from "../disk/disk.ts";
import { DiskError } from "../disk/disk.ts";
import { BytesError } from "../util/bytes.ts";
import type { Checks } from "./file-walk.ts";
import { FileWalk } from "./file-walk.ts";
import { parseSnapshotName, snapshotName, UnknownVersion } from "./snapshot-format.ts";
import type { SnapshotSuffix } from "./snapshot-format.ts";
import type { SnapshotMeta } from "./snapshot.ts";

/** One file of the snapshot directory. */
export interface SnapshotFileSurvey {
  readonly path: string;
  /** Undefined: no name that snapshots have. */
  readonly kind: SnapshotSuffix | undefined;
  readonly bytes: number;
  /** What a whole snapshot stands for. */
  readonly meta: SnapshotMeta | undefined;
  /** Why what should be a whole snapshot is none, and up to where it is right. */
  readonly problem: { readonly why: string; readonly offset: number } | undefined;
  /** Whether it is of a version that is not known here. */
  readonly isNewer: boolean;
}

/** Where to look, and how files are checked. */
export interface SnapshotSurveyOptions extends Checks {
  readonly disk: Disk;
  readonly directory: string;
}

/** Looks at every file in the directory. Rejects where it cannot be listed. */
export async function surveySnapshots(
  options: SnapshotSurveyOptions,
): Promise<readonly SnapshotFileSurvey[]> {
  const files: SnapshotFileSurvey[] = [];
  for (const name of await options.disk.list(options.directory)) {
    files.push(await surveyFile(options, name));
  }
  return files;
}

async function surveyFile(
  options: SnapshotSurveyOptions,
  name: string,
): Promise<SnapshotFileSurvey> {
  const path = `${options.directory}/${name}`;
  const kind = parseSnapshotName(name)?.suffix;
  const nothing = { path, kind, bytes: 0, meta: undefined, problem: undefined, isNewer: false };
  try {
    const file = await options.disk.open(path, { mode: "read" });
    try {
      const bytes = await file.size();
      if (kind !== "snap") return { ...nothing, bytes };
      return { ...nothing, bytes, ...(await check(new FileWalk(file, options), name)) };
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    return { ...nothing, problem: { why: error.message, offset: 0 } };
  }
}

/** Reads all of it. */
async function check(
  walk: FileWalk,
  name: string,
): Promise<Pick<SnapshotFileSurvey, "meta" | "problem" | "isNewer">> {
  try {
    const meta = await walk.head();
    if (name !== snapshotName(meta, "snap")) {
      throw new BytesError(`it stands for ${meta.index}@${meta.term}, which is not its name`);
    }
    const buffer = FileWalk.buffer();
    while ((await walk.next(buffer)) !== undefined);
    return { meta, problem: undefined, isNewer: false };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const isKnown =
      error instanceof BytesError || error instanceof UnknownVersion || error instanceof DiskError;
    if (!isKnown) throw error;
    const isNewer = error instanceof UnknownVersion;
    return { meta: undefined, problem: { why: error.message, offset: walk.offset }, isNewer };
  }
}
