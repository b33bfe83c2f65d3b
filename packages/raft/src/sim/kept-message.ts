/** Messages that the simulated networks keep for later. */
import type { PeerMessage } from "../transport/peer-message.ts";

/**
 * A message that is kept beyond its sending. Forwarded entries and chunks of snapshots lie in
 * buffers of the sender that are used again: `bytes` is a copy of them.
 */
export function keptMessage(message: PeerMessage, bytes: Uint8Array): PeerMessage {
  if (message.type === "forward") return { ...message, entries: bytes };
  if (message.type === "snapshot-chunk") return { ...message, data: bytes };
  return message;
}

/** What {@link keptMessage} wants copied. */
export function borrowedBytes(message: PeerMessage): Uint8Array {
  if (message.type === "forward") return message.entries;
  return message.type === "snapshot-chunk" ? message.data : new Uint8Array(0);
}
