/**
 * The checksum and the digest of a Node process, in native code: zlib's CRC-32 (some 20 times the
 * speed of JavaScript) and SHA-256.
 */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import type { Checksum } from "../util/checksum.ts";
import type { Digest } from "./ports.ts";

/** CRC-32 by zlib. */
export const nodeChecksum: Checksum = (bytes, seed) => crc32(bytes, seed);

/** SHA-256 by OpenSSL. */
export const nodeDigest: Digest = (bytes) =>
  new Uint8Array(createHash("sha256").update(bytes).digest());
