/**
 * A follower of the floor: takes batches as floor-leader.ts describes them, checks each, writes
 * what gathered while the last write ran, and acknowledges the newest.
 */
import type { Socket } from "node:net";
import { connect } from "node:net";
import { crc32 } from "node:zlib";
import type { FloorFile } from "./floor-file.ts";
import { applyAll, BATCH_HEADER_BYTES } from "./floor-leader.ts";
import type { Apply } from "./floor-leader.ts";

/** Follows the leader that listens on `port`. */
export class FloorFollower {
  readonly #file: FloorFile;
  readonly #apply: Apply | undefined;
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #chunkBytes = 0;
  #batches: Buffer[] = [];
  #newest = 0;
  #writing = false;

  constructor(file: FloorFile, port: number, apply: Apply | undefined) {
    this.#file = file;
    this.#apply = apply;
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    this.#socket.on("error", () => this.#socket.destroy());
  }

  close(): void {
    this.#socket.destroy();
    this.#file.close();
  }

  #receive(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#chunkBytes += chunk.length;
    if (this.#chunkBytes < BATCH_HEADER_BYTES) return;
    const first = this.#chunks[0]!;
    if (first.length >= 4 && this.#chunkBytes < BATCH_HEADER_BYTES + first.readUInt32LE(0)) return;
    let bytes = this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks);
    while (bytes.length >= BATCH_HEADER_BYTES) {
      const length = BATCH_HEADER_BYTES + bytes.readUInt32LE(0);
      if (bytes.length < length) break;
      this.#take(bytes.subarray(0, length));
      bytes = bytes.subarray(length);
    }
    this.#chunks = bytes.length === 0 ? [] : [bytes];
    this.#chunkBytes = bytes.length;
    this.#flush();
  }

  #take(batch: Buffer): void {
    if (crc32(batch.subarray(BATCH_HEADER_BYTES)) !== batch.readUInt32LE(4)) {
      throw new Error("a batch whose checksum does not match");
    }
    this.#newest = batch.readUInt32LE(8);
    this.#batches.push(batch);
  }

  #flush(): void {
    if (this.#writing || this.#batches.length === 0) return;
    const batch = this.#batches.length === 1 ? this.#batches[0]! : Buffer.concat(this.#batches);
    const number = this.#newest;
    const batches = this.#batches;
    this.#batches = [];
    this.#writing = true;
    this.#file.append(batch, () => {
      this.#writing = false;
      const acknowledgement = Buffer.allocUnsafe(4);
      acknowledgement.writeUInt32LE(number);
      this.#socket.write(acknowledgement);
      this.#flush();
      if (this.#apply !== undefined) for (const one of batches) applyAll(one, this.#apply);
    });
  }
}
