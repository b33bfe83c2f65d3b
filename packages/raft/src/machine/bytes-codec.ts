/**
 * Commands that are bytes already: nothing is encoded, everything is copied once on each side, so
 * that neither the caller's buffer nor a batch of the log is shared with the machine.
 */
import type { Codec } from "./state-machine.ts";

/**
 * The codec of a machine whose commands are bytes. Both directions copy: the caller may reuse its
 * buffer at once, and the machine may keep what it is given.
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
    return new Uint8Array(value);
  },
  decode(bytes: Uint8Array): Uint8Array {
    return new Uint8Array(bytes);
  },
};
