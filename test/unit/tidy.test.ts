/**
 * The rules of this code base that a linter cannot check. Each failure names the place and the
 * remedy.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "../..");
const LIBRARY = "packages/raft/src/";
const LINES_MAX = 600;
const COLUMNS_MAX = 100;
const BINARY_BYTES_MAX = 100_000;

const files = listFiles();
const sources = files.filter((path) => path.endsWith(".ts"));
const production = sources.filter((path) => /^packages\/[^/]+\/src\//.test(path) && !isTest(path));

/** Which folders of the library a folder may import: one direction only. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  util: [],
  core: ["util"],
  disk: ["core", "util"],
  log: ["core", "util"],
  snapshot: ["core", "util"],
  transport: ["core", "util"],
  machine: ["core", "util"],
  runtime: ["machine", "transport", "snapshot", "log", "disk", "core", "util"],
  sim: [
    "testing",
    "store",
    "runtime",
    "machine",
    "transport",
    "snapshot",
    "log",
    "disk",
    "core",
    "util",
  ],
  recipes: ["util"],
  store: ["machine", "core", "util"],
  lmdb: ["store", "machine", "util"],
  testing: ["runtime", "machine", "transport", "snapshot", "log", "disk", "core", "util"],
};

/** What the middle group may take from a sibling: its contract, never its code. */
const CONTRACTS: readonly string[] = [
  "disk/disk.ts",
  "log/log.ts",
  "snapshot/snapshot.ts",
  "transport/transport.ts",
  "transport/peer-message.ts",
  "machine/state-machine.ts",
  "machine/machine-host.ts",
];

test("imports in the library point one way", () => {
  const wrong: string[] = [];
  for (const path of production.filter((p) => p.startsWith(LIBRARY))) {
    const from = path.slice(LIBRARY.length);
    const room = from.split("/")[0]!;
    if (!from.includes("/")) continue; // index.ts, the public face
    for (const target of importsOf(path).filter((i) => i.startsWith("."))) {
      const to = relative(join(ROOT, LIBRARY), resolve(ROOT, dirname(path), target));
      const toRoom = to.split("/")[0]!;
      const fine =
        toRoom === room ||
        MAY_IMPORT[room]?.includes(toRoom) === true ||
        CONTRACTS.includes(to) ||
        (room === "recipes" && to === "index.ts");
      if (!fine) wrong.push(`${path} imports ${to}: ${room} may not import ${toRoom}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("the library imports node: only in files named node-*, and no package at all", () => {
  const wrong: string[] = [];
  for (const path of production.filter((p) => p.startsWith(LIBRARY))) {
    const isNodeFile = /(^|\/)node-[^/]+\.ts$/.test(path);
    for (const target of importsOf(path).filter((i) => !i.startsWith("."))) {
      if (target.startsWith("node:") && isNodeFile) continue;
      // An optional peer, behind a subpath of its own.
      if (target === "lmdb" && path === `${LIBRARY}lmdb/node-lmdb-backend.ts`) continue;
      wrong.push(`${path} imports ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("the server does not reach into the library's files, and nothing imports a test", () => {
  const wrong: string[] = [];
  for (const path of production) {
    for (const target of importsOf(path)) {
      if (target.endsWith(".test.ts")) wrong.push(`${path} imports the test ${target}`);
      if (
        path.startsWith("packages/server/") &&
        /packages\/raft|quorate\/(src|dist)/.test(target)
      ) {
        wrong.push(`${path} imports ${target}: use the package's exports`);
      }
    }
  }
  expect(wrong).toEqual([]);
});

test("the typed client imports nothing but its own files, since it runs in browsers", () => {
  const folder = "packages/server/src/client/";
  const wrong: string[] = [];
  for (const path of production.filter((p) => p.startsWith(folder))) {
    const types = read(path).match(/import type [^;]*;/g) ?? [];
    for (const target of importsOf(path)) {
      if (/^\.\/[a-z-]+\.ts$/.test(target)) continue;
      // What only has a type is gone when it runs.
      if (types.some((line) => line.includes(`"${target}"`))) continue;
      wrong.push(`${path} imports ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

const BANNED_IN_CORE: ReadonlyArray<readonly [RegExp, string]> = [
  [/\bDate\b/, "time comes in as nowMs"],
  [/\bperformance\b/, "time comes in as nowMs"],
  [/\bMath\.random\b/, "randomness comes through util/random.ts"],
  [/\b(setTimeout|setInterval|setImmediate|queueMicrotask)\b/, "deadlines are values"],
  [/\bPromise\b|\basync\b|\bawait\b/, "the core is synchronous"],
  [/\bconsole\b/, "the core emits events"],
  [/\b(process|globalThis|Buffer|crypto)\./, "the core touches no environment"],
  [/\d+n\b|\bBigInt\b/, "integers are safe numbers"],
  [/toLocale|\bIntl\b/, "nothing depends on a locale"],
];

test("the core touches no clock, randomness, promise, console or environment", () => {
  const wrong: string[] = [];
  for (const path of production.filter((p) => p.startsWith(`${LIBRARY}core/`))) {
    eachCodeLine(path, (line, number) => {
      for (const [pattern, remedy] of BANNED_IN_CORE) {
        if (pattern.test(line)) wrong.push(`${path}:${number} ${pattern.source}: ${remedy}`);
      }
    });
  }
  expect(wrong).toEqual([]);
});

const BANNED_EVERYWHERE: ReadonlyArray<readonly [RegExp, string]> = [
  [/Promise\.withResolvers/, "absent from Node 20: use new Promise"],
  [/Array\.fromAsync/, "absent from Node 20: use a loop"],
  [/Object\.groupBy|Map\.groupBy/, "absent from Node 20: use a Map"],
  [/\bDisposableStack\b|\bAsyncDisposableStack\b/, "absent from Node 20"],
  [/(?<!\bleadership)\.transfer\(\)|\bIterator\.from\b/, "absent from Node 20"],
  [/\bTODO\b|\bFIXME\b|\bXXX\b/, "do it or write an issue"],
  [/\bDate\.now\b|\bnew Date\b/, "only the monotonic clock decides anything"],
];
const MAY_USE_WALL_TIME =
  /^(bench\/|test\/|packages\/server\/src\/(cli|http)\/|examples\/[a-z-]+\/main\.ts$)/;

test("nothing uses what Node 20 lacks, wall time or a promise to do it later", () => {
  const wrong: string[] = [];
  for (const path of sources.filter((p) => p !== "test/unit/tidy.test.ts")) {
    eachCodeLine(path, (line, number) => {
      for (const [pattern, remedy] of BANNED_EVERYWHERE) {
        if (pattern.source.includes("Date") && MAY_USE_WALL_TIME.test(path)) continue;
        if (pattern.test(line)) wrong.push(`${path}:${number} ${pattern.source}: ${remedy}`);
      }
    });
  }
  expect(wrong).toEqual([]);
});

test(`files stay under ${LINES_MAX} lines and lines under ${COLUMNS_MAX} columns`, () => {
  const wrong: string[] = [];
  for (const path of sources) {
    const lines = read(path).split("\n");
    if (lines.length > LINES_MAX && !isTest(path)) wrong.push(`${path}: ${lines.length} lines`);
    lines.forEach((line, i) => {
      if (line.length > COLUMNS_MAX && !isUnbreakable(line)) {
        wrong.push(`${path}:${i + 1}: ${line.length} columns`);
      }
    });
  }
  expect(wrong).toEqual([]);
});

test("file names are kebab-case and the code is TypeScript only", () => {
  // They run before anything is built.
  const allowed = new Set(["packages/server/bin/quorate.js", "scripts/ready.mjs"]);
  const wrong = files.filter((path) => {
    if (/\.(js|mjs|cjs|jsx|tsx|py|go|rs|c|sh)$/.test(path)) {
      // The scripts of examples are those of their ancestors.
      const isScript = /^examples\/[a-z-]+\/[a-z0-9]+\.sh$/.test(path);
      return !allowed.has(path) && !path.startsWith("bench/peers/") && !isScript;
    }
    return path.endsWith(".ts") && !/(^|\/)[a-z0-9]+([.-][a-z0-9]+)*\.ts$/.test(path);
  });
  expect(wrong).toEqual([]);
});

test("every export says in TSDoc what it is, and every file begins by saying what it is for", () => {
  const wrong: string[] = [];
  for (const path of production) {
    const lines = read(path).split("\n");
    const first = lines.find((line) => line !== "" && !line.startsWith("#!"));
    if (first?.startsWith("/**") !== true) wrong.push(`${path}: no comment at its top`);
    lines.forEach((line, i) => {
      if (!/^export (abstract |async )?(interface|class|function|const|type) [A-Za-z]/.test(line))
        return;
      const name = /(?:interface|class|function\*?|const|type) ([A-Za-z_$]+)/.exec(line)?.[1];
      if (documents(lines, i)) return;
      const overload = i > 0 && new RegExp(`^export function ${name}\\b`).test(lines[i - 1]!);
      // A type that shares the name of the documented constant just above it.
      const twin = lines.slice(0, i).some((l) => new RegExp(`^export const ${name}\\b`).test(l));
      if (!overload && !twin) wrong.push(`${path}:${i + 1}: ${name} has no TSDoc`);
    });
  }
  expect(wrong).toEqual([]);
});

test("every member of the public interfaces of the library is documented or speaks for itself", () => {
  // replica.ts is the page that users read: there, each option and each call has a comment.
  const lines = read(`${LIBRARY}runtime/replica.ts`).split("\n");
  const wrong: string[] = [];
  let open = "";
  lines.forEach((line, i) => {
    const start = /^export interface (ReplicaOptions|CallOptions|ReadOptions|Replica)\b/.exec(line);
    if (start !== null) open = start[1]!;
    if (line === "}") open = "";
    const member = open === "" ? null : /^ {2}(?:readonly )?([a-z]\w*)[?(:<]/.exec(line);
    if (member === null || documents(lines, i)) return;
    if (["id", "machine"].includes(member[1]!)) return;
    wrong.push(`${open}.${member[1]} has no TSDoc`);
  });
  expect(wrong).toEqual([]);
});

test("there are no dead files: each is imported, or is an entry point", () => {
  const entries = [
    /(^|\/)index\.ts$/,
    /(^|\/)main\.ts$/,
    /\.test\.ts$/,
    /^vitest\.config\.ts$/,
    /^bench\/src\/[a-z-]+-process\.ts$/,
    /^examples\/[a-z-]+\/[a-z-]+-main\.ts$/,
    /^sim\/src\/(judge|[a-z-]+-worker)\.ts$/,
    /^test\/(harness|power-cut)\/[a-z-]+-process\.ts$/,
  ];
  const imported = new Set<string>();
  for (const path of sources) {
    for (const target of importsOf(path)) {
      if (target.startsWith(".")) {
        imported.add(relative(ROOT, resolve(ROOT, dirname(path), target)));
      }
    }
  }
  const dead = sources.filter((p) => !imported.has(p) && !entries.some((entry) => entry.test(p)));
  expect(dead).toEqual([]);
});

test("the repository holds no large binary and names no machine, registry or place of its making", () => {
  const wrong: string[] = [];
  for (const path of files) {
    if (path === "package-lock.json") continue;
    if (statSync(join(ROOT, path)).size > BINARY_BYTES_MAX && !/\.(ts|md|json)$/.test(path)) {
      wrong.push(`${path} is over ${BINARY_BYTES_MAX} bytes`);
    }
    if (!/\.(ts|js|json|md|txt|yml|patch)$/.test(path) || path === "test/unit/tidy.test.ts")
      continue;
    const text = read(path);
    for (const word of ["/work/", "/root/", "registry.npmjs", "/home/"]) {
      if (text.includes(word)) wrong.push(`${path} contains ${word}`);
    }
  }
  const lock = read("package-lock.json");
  if (/"resolved": "https?:/.test(lock)) wrong.push("package-lock.json names a registry host");
  expect(wrong).toEqual([]);
});

function listFiles(): string[] {
  const output = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { cwd: ROOT });
  const names = output.toString().split("\n");
  return names.filter((path) => path !== "" && isFile(path)).toSorted();
}

function isFile(path: string): boolean {
  return statSync(join(ROOT, path), { throwIfNoEntry: false })?.isFile() === true;
}

/** A literal that starts within the line's width cannot be broken by the formatter. */
function isUnbreakable(line: string): boolean {
  return (
    /https?:\/\/|test\(|^\s*["'`]/.test(line) || /^.{0,50}["'`].{45,}["'`][);,+ ]*$/.test(line)
  );
}

function isTest(path: string): boolean {
  return /\.test\.ts$|-harness\.ts$|^test\//.test(path);
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

function importsOf(path: string): string[] {
  const pattern =
    /(?:^|\n)\s*(?:import|export)[^"'`;]*?from\s*"([^"]+)"|import\(\s*"([^"]+)"\s*\)/g;
  const text = read(path).replace(/\/\*[\s\S]*?\*\//g, "");
  const bare = [...text.matchAll(/(?:^|\n)import "([^"]+)"/g)].map((match) => match[1]!);
  return [...bare, ...[...text.matchAll(pattern)].map((match) => (match[1] ?? match[2])!)];
}

/** Calls back for each line without its comments and strings. */
function eachCodeLine(path: string, visit: (line: string, number: number) => void): void {
  const blanked = read(path).replace(/\/\*[\s\S]*?\*\//g, (text) => text.replace(/[^\n]/g, " "));
  blanked.split("\n").forEach((line, i) => {
    const code = line.replace(/"(?:[^"\\]|\\.)*"/g, '""').replace(/`(?:[^`\\$]|\\.)*`/g, "``");
    visit(code.replace(/\/\/.*$/, ""), i + 1);
  });
}

function documents(lines: readonly string[], at: number): boolean {
  const above = lines[at - 1]?.trim() ?? "";
  return above.endsWith("*/") || above.startsWith("*");
}
