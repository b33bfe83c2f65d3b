/**
 * A state machine that is a Map, the same for the library and for the floor: what it costs to keep
 * what was replicated.
 *
 * The first eight bytes of a value are its key, folded so that there are at most 65,536 keys; the
 * value is kept as a string, which lives in the heap as a small object and pins nothing.
 */
const KEYS = 65_536;

export class ValueMap {
  readonly #values = new Map<number, string>();

  get size(): number {
    return this.#values.size;
  }

  readonly apply = (value: Uint8Array): number => {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    const key = bytes.length < 8 ? 0 : (bytes[0]! * 257 + bytes.readUInt32BE(4)) % KEYS;
    this.#values.set(key, bytes.toString("latin1"));
    return this.#values.size;
  };
}
