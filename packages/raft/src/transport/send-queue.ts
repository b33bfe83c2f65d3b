/**
 * Encoded frames that wait for the end of the turn.
 *
 * Small parts are copied one behind the other into slabs, so that a turn's messages leave as few
 * chunks; a batch body of some size is queued as it is, without copying (it is immutable). A slab
 * is only ever appended to: what was handed to the network is not written again, and the rest of
 * the slab serves the next turns. Slabs are not recycled, since only the network knows when it is
 * done with one. What is as large as a slab is copied beside it.
 */
import type { MessageEncoder } from "./codec.ts";

const SLAB_BYTES = 16_384;
/** From here on copying costs more than one more chunk in the system call. */
const COPY_BYTES_MAX = 4_096;

/** The queue of one peer, in bytes ready to be written. */
export class SendQueue {
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #slab: Uint8Array = new Uint8Array(0);
  /** Where the chunk that is being filled starts in the slab, and where it ends. */
  #start = 0;
  #end = 0;

  /** Bytes queued. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Queues the frame that the encoder holds. */
  push(encoder: MessageEncoder): void {
    this.#copy(encoder.front);
    for (const batch of encoder.batches) {
      if (batch.byteLength <= COPY_BYTES_MAX) this.#copy(batch.body);
      else this.#share(batch.body);
    }
    if (encoder.tail.length > 0) this.#copy(encoder.tail);
  }

  /** Everything queued, as chunks to write in order; the queue is empty afterwards. */
  take(): Uint8Array[] {
    this.#cut();
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#bytes = 0;
    return chunks;
  }

  /** Forgets everything queued. */
  clear(): void {
    this.take();
  }

  #copy(bytes: Uint8Array): void {
    if (bytes.length >= SLAB_BYTES) return this.#share(new Uint8Array(bytes));
    if (bytes.length > this.#slab.length - this.#end) {
      this.#cut();
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#start = 0;
      this.#end = 0;
    }
    this.#slab.set(bytes, this.#end);
    this.#end += bytes.length;
    this.#bytes += bytes.length;
  }

  #share(bytes: Uint8Array): void {
    this.#cut();
    this.#chunks.push(bytes);
    this.#bytes += bytes.length;
  }

  #cut(): void {
    if (this.#end === this.#start) return;
    this.#chunks.push(this.#slab.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }
}
