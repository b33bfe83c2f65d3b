/**
 * The hash of a snapshot: SHA-256 over the CRCs of its head body and chunks, chained.
 *
 *   state = 32 zero bytes; for every 1,024 CRCs (u32, the rest at the end):
 *   state = SHA-256(state ++ CRCs); at last: hash = SHA-256(state ++ u64 bytes of the machine)
 *
 * It says which snapshot this is, so that a transfer is never gone on with in another one of the
 * same position, and that no chunk is missing or exchanged. Each chunk is guarded by its own CRC. A
 * SHA-256 over all bytes would guard no better against what disks and networks do, and would cost a
 * second of the event loop per gigabyte; this costs a block per 64 MiB, and no memory.
 */
import { toHex, writeU32, writeU64 } from "../util/bytes.ts";

const STATE_BYTES = 32;
const CRCS_MAX = 1_024;

/** SHA-256 of some bytes. */
export type SnapshotDigest = (bytes: Uint8Array) => Uint8Array;

/** The hash of one snapshot, as it is written or read. */
export class SnapshotHash {
  readonly #digest: SnapshotDigest;
  /** The state, and behind it the CRCs that are not in it yet. */
  readonly #block: Uint8Array = new Uint8Array(STATE_BYTES + 4 * CRCS_MAX);
  #crcs = 0;

  constructor(digest: SnapshotDigest) {
    this.#digest = digest;
  }

  add(crc: number): void {
    writeU32(this.#block, STATE_BYTES + 4 * this.#crcs++, crc);
    if (this.#crcs === CRCS_MAX) this.#fold();
  }

  /** The hash; nothing may be added afterwards. */
  end(dataBytes: number): string {
    if (this.#crcs > 0) this.#fold();
    const last = new Uint8Array(STATE_BYTES + 8);
    last.set(this.#block.subarray(0, STATE_BYTES));
    writeU64(last, STATE_BYTES, dataBytes);
    return toHex(this.#digest(last));
  }

  #fold(): void {
    this.#block.set(this.#digest(this.#block.subarray(0, STATE_BYTES + 4 * this.#crcs)));
    this.#crcs = 0;
  }
}
