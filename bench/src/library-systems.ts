/** The libraries that can be measured side by side: what each is, and how a member of it starts. */
import { readFileSync } from "node:fs";
import { goProgram, goVersion } from "./go-programs.ts";
import type { GoProgramName, Program } from "./go-programs.ts";
import { isOwn } from "./protocol.ts";
import type { SystemName } from "./protocol.ts";

/** How a member's process is started: a program of its own, or our own one in Node. */
export type MemberProgram = { readonly file: string } | { readonly nodeFlags: readonly string[] };

/** Which of the systems asked for are here. */
export interface FoundLibraries {
  readonly systems: readonly SystemName[];
  readonly versions: Readonly<Record<string, string>>;
  /** Why a system is not here: to be named beside the results. */
  readonly missing: Readonly<Record<string, string>>;
}

const MANIFEST = new URL("../../packages/raft/package.json", import.meta.url);

/** Builds a program in Go, or says why there is none. */
type FindProgram = (name: GoProgramName) => Program;

export function findLibraries(
  names: readonly SystemName[],
  find: FindProgram = goProgram,
): FoundLibraries {
  const missing: Record<string, string> = {};
  const versions: Record<string, string> = {};
  const systems = names.filter((name) => {
    const program = programOf(name, find);
    if (program.missing === undefined) versions[name] = program.version;
    else missing[name] = program.missing;
    return program.missing === undefined;
  });
  return { systems, versions, missing };
}

/** How a member of a system that is here starts. */
export function memberProgram(
  name: SystemName,
  nodeFlags: readonly string[],
  find: FindProgram = goProgram,
): MemberProgram {
  const program = programOf(name, find);
  if (program.missing !== undefined) throw new Error(`${name}: ${program.missing}`);
  return program.file === undefined ? { nodeFlags } : { file: program.file };
}

/** What a system is started from; no file: it is one of those in Node. */
type SystemProgram =
  | { readonly version: string; readonly file?: string; readonly missing?: undefined }
  | { readonly missing: string };

function programOf(name: SystemName, find: FindProgram): SystemProgram {
  if (isOwn(name)) return { version: ownVersion() };
  const program = find(name);
  return program.missing === undefined ? { ...program, version: goVersion(name) } : program;
}

function ownVersion(): string {
  return (JSON.parse(readFileSync(MANIFEST, "utf8")) as { version: string }).version;
}
