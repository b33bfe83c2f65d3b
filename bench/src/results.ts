/** Where results are kept: a table, the numbers behind it and a picture, all under one name. */
import { mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isInMemory } from "./environment.ts";
import { UsageError } from "./options.ts";

const RESULTS = fileURLToPath(new URL("../results/", import.meta.url));

/** What a bench leaves behind. */
export interface Results {
  readonly markdown?: string;
  readonly json: string;
  readonly svg?: string;
  /** Further pictures, by what is added to the name. */
  readonly more?: Readonly<Record<string, string>>;
}

/** Writes results under a name; undefined: nowhere. */
export function saveResults(name: string | undefined, results: Results): void {
  if (name === undefined) return;
  const { markdown, json, svg, more = {} } = results;
  mkdirSync(RESULTS, { recursive: true });
  const pictures = new Map(svg === undefined ? [] : [[`${name}.svg`, svg]]);
  for (const [part, picture] of Object.entries(more)) pictures.set(`${name}-${part}.svg`, picture);
  const links = [...pictures.keys()].map((file) => `\n![the same as a picture](${file})\n`);
  if (markdown !== undefined) writeFileSync(`${RESULTS}${name}.md`, markdown + links.join(""));
  writeFileSync(`${RESULTS}${name}.json`, json);
  for (const [file, picture] of pictures) writeFileSync(`${RESULTS}${file}`, picture);
}

/** The numbers kept under a name; undefined where there are none. */
export function readResults(name: string): unknown {
  let text: string;
  try {
    text = readFileSync(`${RESULTS}${name}.json`, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  return JSON.parse(text);
}

/** Refuses a directory in memory, unless it was asked for. */
export function onRealDisk<T extends { readonly directory: string; readonly allowMemory: boolean }>(
  given: T,
): T {
  const options = { ...given, directory: realpathSync(given.directory) };
  if (!isInMemory(options.directory)) return options;
  const text = `${options.directory} is in memory: a sync there costs nothing and means nothing`;
  if (!options.allowMemory) throw new UsageError(`${text}; name a real disk with --dir`);
  process.stderr.write(`Warning: ${text}.\n`);
  return options;
}
