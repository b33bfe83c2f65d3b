/**
 * Keys. In the store a key is bytes, held as a *binary string*: one char per byte, so that
 * comparing strings compares bytes, and a key costs one byte of memory per byte. Outside, over HTTP
 * and on the command line, a key is text, and its bytes are the UTF-8 of that text.
 */

/** A key as the store holds it: every char is one byte. */
export type Key = string;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The key of a text: its UTF-8 bytes. A lone surrogate is no text: check `isWellFormed` before. */
export function keyFromText(text: string): Key {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0x7f) return Buffer.from(text, "utf8").toString("latin1");
  }
  return text;
}

/** The text of a key; undefined where its bytes are not UTF-8. */
export function keyToText(key: Key): string | undefined {
  for (let i = 0; i < key.length; i++) {
    if (key.charCodeAt(i) > 0x7f) return textOfBytes(key);
  }
  return key;
}

function textOfBytes(key: Key): string | undefined {
  try {
    return decoder.decode(Buffer.from(key, "latin1"));
  } catch {
    return undefined;
  }
}
