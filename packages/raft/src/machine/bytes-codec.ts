/**
 * Commands that are bytes already: nothing is encoded. What is left to decide is who owns the
 * bytes. `bytesCodec` copies them once on each side, so that neither the caller's buffer nor a
 * batch of the log is shared with the machine; `bytesViewCodec` trusts both.
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
  encode: (value) => copyOf(bytesOf(value)),
  decode: copyOf,
};

/**
 * Like {@link bytesCodec}, without the copies: a fifth more writes per second where commands are
 * many and small, for two promises.
 * - Who writes does not change the bytes of a command until its promise has settled.
 * - Nobody writes to a command that the library hands out, to `apply` and by `changes`, and what is
 *   kept of one, or returned by `apply`, is copied: it is a view into the memory of the log, and a
 *   part that is kept keeps the whole batch, which is up to 1 MiB or one larger command.
 *
 * Who breaks the second promise damages the log in memory; members then refuse its entries.
 *
 * @example
 * ```ts
 * class Store implements StateMachine<Uint8Array, string> {
 *   apply(command: Uint8Array) {
 *     const size = command[0]!;
 *     this.values.set(keyOf(command.subarray(1, 1 + size)), command.slice(1 + size)); // a copy
 *   }
 *   // ...
 * }
 * const node = await openReplica({ ...options, codec: bytesViewCodec, machine: new Store() });
 * ```
 */
export const bytesViewCodec: Codec<Uint8Array> = {
  encode: bytesOf,
  decode: (bytes) => bytes,
};

let slab: Uint8Array = new Uint8Array(SLAB_BYTES);
let used = 0;

function bytesOf(value: Uint8Array): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new TypeError("a command must be a Uint8Array");
}

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
