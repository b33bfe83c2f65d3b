/**
 * The payload of an entry of kind `session`.
 *
 *   off size field
 *     0  u8   1 = open, 2 = close
 *     1  u32  open: timeout of the session, in ms, 1 at least; close: 0
 *
 * An opened session has the index of its entry as its id. The head of that entry names no session,
 * and has as its sequence a number by which the one who opens it knows its own entry again: so a
 * lost answer does not keep a session from being used. A close names in its head the session that
 * it closes.
 */
import { readU32, writeU32 } from "../util/bytes.ts";

const BYTES = 5;
const OPEN = 1;
const CLOSE = 2;

/** What an entry of kind `session` asks for. */
export type SessionEntry =
  | { readonly type: "open"; readonly timeoutMs: number }
  | { readonly type: "close" };

/** The payload that asks for it. */
export function encodeSessionEntry(entry: SessionEntry): Uint8Array {
  const bytes = new Uint8Array(BYTES);
  bytes[0] = entry.type === "open" ? OPEN : CLOSE;
  if (entry.type === "open") writeU32(bytes, 1, entry.timeoutMs);
  return bytes;
}

/** Undefined where the bytes are no such payload: then the entry has no effect, on any member. */
export function decodeSessionEntry(bytes: Uint8Array): SessionEntry | undefined {
  if (bytes.length !== BYTES) return undefined;
  const timeoutMs = readU32(bytes, 1);
  if (bytes[0] === OPEN) return timeoutMs > 0 ? { type: "open", timeoutMs } : undefined;
  return bytes[0] === CLOSE && timeoutMs === 0 ? { type: "close" } : undefined;
}
