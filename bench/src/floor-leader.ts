/**
 * The floor: a replicated log with nothing but the path. No terms, no elections, no recovery.
 *
 * A value is done when its batch is durable in the leader's file and one of two followers has said
 * the same of its own. A batch is what gathered while the last write ran. One contiguous buffer
 * goes to the file and to both sockets.
 *
 * Batch, little-endian: u32 bytes of the body · u32 crc32 of the body · u32 number · u32 count ·
 * body: per value u32 length, bytes. An acknowledgement is a u32: the newest durable batch.
 */
import type { Socket } from "node:net";
import { createServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { crc32 } from "node:zlib";
import type { FloorFile } from "./floor-file.ts";

export const BATCH_HEADER_BYTES = 16;

/** What every member does with a value that is done, where it keeps any. */
export type Apply = (value: Uint8Array) => void;

interface Waiting {
  readonly number: number;
  /** To be applied; undefined where nothing is. */
  readonly batch: Buffer | undefined;
  readonly resolvers: (() => void)[];
}

/** The member that takes values. */
export class FloorLeader {
  readonly #file: FloorFile;
  readonly #apply: Apply | undefined;
  readonly #server: Server;
  readonly #followers: Socket[] = [];
  readonly #waiting: Waiting[] = [];
  #values: Uint8Array[] = [];
  #resolvers: (() => void)[] = [];
  #gatheredBytes = 0;
  #scheduled = false;
  #writing = false;
  #number = 0;
  #durable = 0;
  #acknowledged = 0;

  constructor(file: FloorFile, apply: Apply | undefined) {
    this.#file = file;
    this.#apply = apply;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Listens on a free port and names it. */
  listen(): Promise<number> {
    return new Promise((resolve) => {
      this.#server.listen(0, "127.0.0.1", () => {
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  get followers(): number {
    return this.#followers.length;
  }

  submit(value: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#values.push(value);
      this.#resolvers.push(resolve);
      this.#gatheredBytes += 4 + value.length;
      this.#schedule();
    });
  }

  close(): void {
    for (const socket of this.#followers) socket.destroy();
    this.#server.close();
    this.#file.close();
  }

  #schedule(): void {
    if (this.#scheduled || this.#writing) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#values.length === 0) return;
    const batch = packBatch(++this.#number, this.#values, this.#gatheredBytes);
    const kept = this.#apply === undefined ? undefined : batch;
    this.#waiting.push({ number: this.#number, batch: kept, resolvers: this.#resolvers });
    this.#values = [];
    this.#resolvers = [];
    this.#gatheredBytes = 0;
    for (const socket of this.#followers) socket.write(batch);
    this.#writing = true;
    const number = this.#number;
    this.#file.append(batch, () => {
      this.#writing = false;
      this.#durable = number;
      if (this.#apply !== undefined) this.#flush(); // the disk has work while values are applied
      this.#settle();
      this.#schedule();
    });
  }

  #accept(socket: Socket): void {
    socket.setNoDelay(true);
    this.#followers.push(socket);
    let rest: Buffer = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const whole = bytes.length - (bytes.length % 4);
      if (whole > 0) {
        this.#acknowledged = Math.max(this.#acknowledged, bytes.readUInt32LE(whole - 4));
      }
      rest = bytes.subarray(whole);
      this.#settle();
    });
    socket.on("error", () => socket.destroy());
  }

  #settle(): void {
    const done = Math.min(this.#durable, this.#acknowledged);
    while (this.#waiting.length > 0 && this.#waiting[0]!.number <= done) {
      const { batch, resolvers } = this.#waiting.shift()!;
      if (batch !== undefined) applyAll(batch, this.#apply!);
      for (const resolve of resolvers) resolve();
    }
  }
}

/** Applies the values of a batch, head and all. */
export function applyAll(batch: Buffer, apply: Apply): void {
  let at = BATCH_HEADER_BYTES;
  while (at < batch.length) {
    const end = at + 4 + batch.readUInt32LE(at);
    apply(batch.subarray(at + 4, end));
    at = end;
  }
}

function packBatch(number: number, values: readonly Uint8Array[], bodyBytes: number): Buffer {
  const batch = Buffer.allocUnsafeSlow(BATCH_HEADER_BYTES + bodyBytes);
  let at = BATCH_HEADER_BYTES;
  for (const value of values) {
    batch.writeUInt32LE(value.length, at);
    batch.set(value, at + 4);
    at += 4 + value.length;
  }
  batch.writeUInt32LE(bodyBytes, 0);
  batch.writeUInt32LE(crc32(batch.subarray(BATCH_HEADER_BYTES)), 4);
  batch.writeUInt32LE(number, 8);
  batch.writeUInt32LE(values.length, 12);
  return batch;
}
