/** Keys as text and as bytes: a key is a binary string, one char per byte. */
import { utf8, fromUtf8 } from "../util/bytes.ts";
import type { StoreKey } from "./backend.ts";

/** The key of a text: its UTF-8 bytes. */
export function textKey(text: string): StoreKey {
  for (let i = 0; i < text.length; i++)
    if (text.charCodeAt(i) > 0x7f) return keyOfBytes(utf8(text));
  return text;
}

/** The text of a key that {@link textKey} made. */
export function keyText(key: StoreKey): string {
  return fromUtf8(bytesOfKey(key));
}

const CHARS = 4_096;

/** The key that is these bytes. */
export function keyOfBytes(bytes: Uint8Array): StoreKey {
  if (bytes.length <= CHARS) return String.fromCharCode(...bytes);
  let key = "";
  for (let at = 0; at < bytes.length; at += CHARS) {
    key += String.fromCharCode(...bytes.subarray(at, at + CHARS));
  }
  return key;
}

/** The bytes of a key. */
export function bytesOfKey(key: StoreKey): Uint8Array {
  const bytes = new Uint8Array(key.length);
  for (let i = 0; i < key.length; i++) bytes[i] = key.charCodeAt(i);
  return bytes;
}
