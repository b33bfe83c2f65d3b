/**
 * The name of a request: the key that a client chose, and a fingerprint of what it asked for, so
 * that one key used for two requests is noticed instead of answered with the wrong outcome.
 *
 * The fingerprint is made once, by the member that takes the request, and travels in the command:
 * hashing a large value again on every member would hold up all of them. It is the beginning of the
 * SHA-256 of the command's bytes without a name, so it covers kind, key, condition and value, and
 * is the same on whichever member the request is repeated. It finds mistakes; it protects from
 * nobody.
 */
import { hash } from "node:crypto";
import type { KvCommand } from "./command.ts";
import { encodeCommand, FINGERPRINT_BYTES } from "./command-codec.ts";

/** The command under a name: 1 to 255 of visible ASCII. A name that it had is replaced. */
export function nameRequest<C extends KvCommand>(command: C, key: string): C {
  return { ...command, request: { key, fingerprint: fingerprintOf(command) } };
}

function fingerprintOf(command: KvCommand): string {
  const { request: _name, ...bare } = command;
  const digest = hash("sha256", encodeCommand(bare), "buffer");
  return digest.toString("latin1", 0, FINGERPRINT_BYTES);
}
