/**
 * Peers written in Go, built from `bench/peers` when they are first needed. Where Go is not
 * installed, or a module cannot be had, the peer is missing, and the reason is kept.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** A program that was built, or why there is none. */
export type Program =
  | { readonly file: string; readonly missing?: undefined }
  | { readonly missing: string };

/** The programs, each with the module whose version is the peer's. */
const MODULES = {
  "etcd-server": "go.etcd.io/etcd/server/v3",
  "hashicorp-raft": "github.com/hashicorp/raft",
  "etcd-raft": "go.etcd.io/raft/v3",
  dragonboat: "github.com/lni/dragonboat/v4",
} as const;

/** A folder of `bench/peers` with a program in it. */
export type GoProgramName = keyof typeof MODULES;

const PEERS = fileURLToPath(new URL("../peers/", import.meta.url));
const USUAL_PLACES = ["go", "/usr/local/go/bin/go"] as const;
const BUILD_TIMEOUT_MS = 1_200_000;
const REASON_MAX = 200;

const built = new Map<GoProgramName, Program>();

/** Builds a program, once in the life of this process. */
export function goProgram(name: GoProgramName): Program {
  const known = built.get(name) ?? build(name);
  built.set(name, known);
  return known;
}

/** The version of the peer that a program is made of, as `go.mod` names it. */
export function goVersion(name: GoProgramName): string {
  return versionIn(readFileSync(`${PEERS}go.mod`, "utf8"), MODULES[name]);
}

/** The version that a `go.mod` requires of a module. */
export function versionIn(goMod: string, module: string): string {
  for (const line of goMod.split("\n")) {
    const [name, version] = line
      .trim()
      .replace(/^require /, "")
      .split(/\s+/);
    if (name === module && version !== undefined) return version;
  }
  throw new Error(`go.mod names no ${module}`);
}

function build(name: GoProgramName): Program {
  const go = USUAL_PLACES.find((place) => runs(place));
  if (go === undefined) return { missing: "Go is not installed here" };
  const file = `${PEERS}dist/${name}`;
  try {
    execFileSync(go, ["build", "-o", file, `./${name}`], {
      cwd: PEERS,
      timeout: BUILD_TIMEOUT_MS,
      stdio: ["ignore", "ignore", "pipe"],
    });
    return { file };
  } catch (error) {
    const { stderr } = error as { stderr?: Buffer };
    const said = stderr?.toString("utf8").trim() ?? String(error);
    return { missing: `it could not be built: ${said.replaceAll(/\s+/g, " ").slice(-REASON_MAX)}` };
  }
}

function runs(go: string): boolean {
  try {
    execFileSync(go, ["version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
