/**
 * Planted defects as text: which lines of which file become which others.
 *
 * The format is a diff without line numbers. It therefore survives every change of the code except
 * one of the lines it is about, and that must be noticed: the old text is to be found exactly once,
 * or the patch does not apply at all. Nothing is applied approximately.
 *
 * ```
 * defect: one sentence
 * key: value, which may go on
 *   in indented lines
 * --- packages/raft/src/core/votes.ts
 * @@
 *  a line that stays, and says where
 * -a line that goes
 * +a line that comes
 * ```
 */

/** Lines that are replaced by others; both as they stand in the file, each with its newline. */
export interface Hunk {
  readonly oldText: string;
  readonly newText: string;
}

/** What happens to one file. */
export interface FilePatch {
  readonly path: string;
  readonly hunks: readonly Hunk[];
}

/** A patch: what is said about it, and what it does. */
export interface Patch {
  readonly headers: ReadonlyMap<string, string>;
  readonly files: readonly FilePatch[];
}

/** A patch that cannot be read, or does not fit the code any more. */
export class PatchError extends Error {
  override readonly name = "PatchError";
}

/** Reads a patch. Throws {@link PatchError} naming the line that makes no sense. */
export function parsePatch(text: string): Patch {
  const lines = text.split("\n");
  const bodyAt = lines.findIndex((line) => line.startsWith("--- "));
  const headers = parseHeaders(bodyAt < 0 ? lines : lines.slice(0, bodyAt));
  if (bodyAt < 0) return { headers, files: [] };
  return { headers, files: parseFiles(lines, bodyAt) };
}

/** The text of a file after its patch. Throws {@link PatchError} where a hunk does not fit. */
export function applyHunks(source: string, { path, hunks }: FilePatch): string {
  let text = `\n${source}`;
  hunks.forEach((hunk, i) => {
    // Whole lines: what is sought begins behind a newline and ends with one.
    const sought = `\n${hunk.oldText}`;
    const at = text.indexOf(sought);
    const which = `hunk ${i + 1} of ${path}`;
    if (at < 0) throw new PatchError(`no longer matches: ${which}:\n${indent(hunk.oldText)}`);
    if (text.includes(sought, at + 1)) {
      throw new PatchError(`is ambiguous: ${which} fits several places:\n${indent(hunk.oldText)}`);
    }
    text = `${text.slice(0, at)}\n${hunk.newText}${text.slice(at + sought.length)}`;
  });
  return text.slice(1);
}

function parseHeaders(lines: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  let last: string | undefined;
  lines.forEach((line, i) => {
    if (line.trim() === "") return;
    const more = /^\s+(\S.*)$/.exec(line);
    const entry = /^([a-z-]+):\s*(.*)$/.exec(line);
    if (more !== null && last !== undefined) {
      headers.set(last, `${headers.get(last)} ${more[1]}`.trim());
    } else if (entry !== null && !headers.has(entry[1]!)) {
      last = entry[1]!;
      headers.set(last, entry[2]!.trim());
    } else {
      throw new PatchError(`line ${i + 1} is no new header "key: value": ${line}`);
    }
  });
  return headers;
}

function parseFiles(lines: readonly string[], from: number): FilePatch[] {
  const files: { path: string; hunks: Hunk[] }[] = [];
  let body: string[] | undefined;
  const endHunk = (at: number): void => {
    if (body !== undefined) files.at(-1)!.hunks.push(hunkOf(body, at));
    body = undefined;
  };
  for (let i = from; i < lines.length; i++) {
    const line = lines[i]!;
    if (isFileLine(line)) {
      endHunk(i);
      files.push({ path: line.slice(4).trim(), hunks: [] });
    } else if (line.startsWith("@@") && files.length > 0) {
      endHunk(i);
      body = [];
    } else if (body !== undefined && /^([ +-]|$)/.test(line)) {
      body.push(line);
    } else if (line.trim() !== "") {
      throw new PatchError(`line ${i + 1} belongs to no hunk: ${line}`);
    }
  }
  endHunk(lines.length);
  const empty = files.find((file) => file.hunks.length === 0);
  if (empty !== undefined) throw new PatchError(`nothing is done to ${empty.path}`);
  return files;
}

/** A removed line may begin with two more dashes; a path of the library it is not. */
function isFileLine(line: string): boolean {
  return line.startsWith("--- packages/");
}

function hunkOf(body: readonly string[], endLine: number): Hunk {
  const lines = [...body];
  // Editors strip the blank of an empty line that stays; behind the last line it means nothing.
  while (lines.at(-1) === "") lines.pop();
  const kept = (mark: string): string[] =>
    lines.filter((line) => line === "" || line[0] === " " || line[0] === mark);
  const textOf = (mark: string): string =>
    kept(mark)
      .map((line) => `${line.slice(1)}\n`)
      .join("");
  const oldText = textOf("-");
  if (oldText === "") {
    throw new PatchError(`the hunk before line ${endLine + 1} does not say where it belongs`);
  }
  if (!lines.some((line) => line[0] === "-" || line[0] === "+")) {
    throw new PatchError(`the hunk before line ${endLine + 1} changes nothing`);
  }
  return { oldText, newText: textOf("+") };
}

function indent(text: string): string {
  return text.trimEnd().replace(/^/gm, "    ");
}
