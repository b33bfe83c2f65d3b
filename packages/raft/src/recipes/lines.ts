/**
 * Snapshots as lines of JSON: a head that says what it is and how many lines follow, then one line
 * per item. Made in chunks of some 64 KiB, so that a large state becomes neither one huge text nor
 * one long turn, and read back however it was cut.
 *
 * The items are taken when the snapshot is asked for, not when it is read out: it shows the state
 * of that moment, while commands go on being applied.
 */

const CHUNK_CHARS = 65_536;

/** What a snapshot of lines begins with. */
interface Head {
  readonly recipe: string;
  readonly version: number;
  readonly items: number;
}

/** Chunks of a snapshot of these items. Nobody may change an item afterwards. */
export function linesOf(
  recipe: string,
  version: number,
  items: readonly unknown[],
): AsyncIterable<Uint8Array> {
  const head: Head = { recipe, version, items: items.length };
  return chunksOf(head, items);
}

async function* chunksOf(
  head: Head,
  items: readonly unknown[],
): AsyncGenerator<Uint8Array, void, void> {
  const encoder = new TextEncoder();
  let text = `${JSON.stringify(head)}\n`;
  for (const item of items) {
    text += `${JSON.stringify(item)}\n`;
    if (text.length < CHUNK_CHARS) continue;
    yield encoder.encode(text);
    text = "";
  }
  if (text !== "") yield encoder.encode(text);
}

/**
 * The items of a snapshot of lines. Throws where it is of another recipe or version, cut, or no
 * such thing at all.
 */
export async function itemsIn(
  recipe: string,
  version: number,
  chunks: AsyncIterable<Uint8Array>,
): Promise<readonly unknown[]> {
  const items: unknown[] = [];
  let head: Head | undefined;
  const take = (line: string): void => {
    const value: unknown = JSON.parse(line);
    if (head === undefined) head = headIn(value, recipe, version);
    else items.push(value);
  };
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) take(line);
  }
  rest += decoder.decode();
  if (rest !== "" || head?.items !== items.length) {
    throw new TypeError(`a snapshot of ${recipe} that is cut: ${items.length} items found`);
  }
  return items;
}

function headIn(value: unknown, recipe: string, version: number): Head {
  const head = value as Partial<Head> | null;
  if (head?.recipe === recipe && head.version === version && typeof head.items === "number") {
    return head as Head;
  }
  const found = JSON.stringify(value).slice(0, 80);
  throw new TypeError(`want a snapshot of ${recipe}, version ${version}; it begins with ${found}`);
}
