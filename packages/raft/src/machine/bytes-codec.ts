/**
 * Commands that are bytes already: nothing is encoded, everything is copied once on each side, so
 * that neither the caller's buffer nor a batch of the log is shared with the machine.
 *
 * A buffer of its own costs the engine more than copying into it. So small copies are cut from a
 * slab, as Node cuts its small Buffers: each is a part of a larger `ArrayBuffer`, and one that is
 * kept keeps its slab.
 */
import type { Codec } from "./state-machine.ts";

const SLAB_BYTES = 8_192;
/** Larger copies get a buffer of their own. */
const SMALL_BYTES = 2_048;

/**
 * The codec of a machine whose commands are bytes. Both directions copy: the caller may reuse its
 * buffer at once, and the machine may keep what it is given. Its `buffer` may be shared with other
 * commands: copy before transferring it to another thread.
 *
 * @example
 * ```ts
 * const node = await openReplica({ ...options, codec: bytesCodec, machine: new Store() });
 * await node.write(new TextEncoder().encode("hello"));
 * ```
 */
export const bytesCodec: Codec<Uint8Array> = {
  encode(value: Uint8Array): Uint8Array {
    if (!(value instanceof Uint8Array)) throw new TypeError("a command must be a Uint8Array");
    return copyOf(value);
  },
  decode: copyOf,
};

let slab: Uint8Array = new Uint8Array(SLAB_BYTES);
let used = 0;

function copyOf(bytes: Uint8Array): Uint8Array {
  const { length } = bytes;
  if (length > SMALL_BYTES) return new Uint8Array(bytes);
  if (used + length > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES);
    used = 0;
  }
  const copy = slab.subarray(used, used + length);
  copy.set(bytes);
  used += length;
  return copy;
}
