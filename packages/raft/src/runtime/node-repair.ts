/**
 * Looking at data directories, and recovering from a lost quorum, in a Node process: over the real
 * disk.
 */
import { resolve } from "node:path";
import { NodeDisk } from "../disk/node-disk.ts";
import { nodeChecksum } from "./node-checksum.ts";
import { inspectDirectory } from "./repair/inspect-data-dir.ts";
import type { InspectOptions } from "./repair/inspect-data-dir.ts";
import type { Inspection } from "./repair/inspection.ts";

/**
 * Reads the data directory of a member without changing anything in it, and says what it holds and
 * what is wrong with it. Works on directories that a member refuses to start on, and beside a
 * running member, which is then named in `inUse`.
 *
 * Resolves whatever is in the directory, and where there is none.
 *
 * @example
 * ```ts
 * const { health, findings } = await inspectDataDir("./data/n1");
 * for (const { severity, problem, remedy } of findings) report(severity, problem, remedy);
 * ```
 */
export function inspectDataDir(path: string, options: InspectOptions = {}): Promise<Inspection> {
  const ports = { disk: new NodeDisk(), checksum: nodeChecksum };
  return inspectDirectory(ports, absolute(path), options);
}

function absolute(path: string): string {
  return resolve(path).replaceAll("\\", "/");
}
