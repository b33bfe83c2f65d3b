/**
 * Finds where an HTTP/1.1 response ends, and what its status is, for as little as that can cost: a
 * load generator shares its machine with what it loads. It is for connections with one request
 * outstanding: bytes behind the end of a response are an error, as is anything that it cannot read.
 */
const HEAD_END = "\r\n\r\n";
const LAST_CHUNK = Buffer.from("0\r\n\r\n");
const RESPONSE_BYTES_MAX = 1 << 20;
const NOTHING = Buffer.alloc(0);

/** Reads the responses of one connection, one after the other. */
export class ResponseReader {
  #rest: Buffer = NOTHING;

  /**
   * Takes what arrived; the bytes may be overwritten afterwards. Returns the status once the
   * response is whole, and 0 before.
   */
  push(chunk: Buffer): number {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (bytes.length > RESPONSE_BYTES_MAX) throw new Error("a response of more than 1 MiB");
    const status = statusOfWhole(bytes);
    if (status !== 0) this.#rest = NOTHING;
    else this.#rest = bytes === chunk ? Buffer.from(chunk) : bytes;
    return status;
  }
}

function statusOfWhole(bytes: Buffer): number {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd < 0) return 0;
  const head = bytes.toString("latin1", 0, headEnd);
  const status = Number(head.slice(9, 12));
  if (!head.startsWith("HTTP/1.1 ") || !(status >= 200)) throw new Error(`not expected: ${head}`);
  const bodyAt = headEnd + HEAD_END.length;
  const [, length] = /\r\ncontent-length: *(\d+)/i.exec(head) ?? [];
  if (length === undefined) return isChunkedEnd(head, bytes, bodyAt) ? status : 0;
  const missing = bodyAt + Number(length) - bytes.length;
  if (missing < 0) throw new Error("more than one response to one request");
  return missing === 0 ? status : 0;
}

function isChunkedEnd(head: string, bytes: Buffer, bodyAt: number): boolean {
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) throw new Error(`no length: ${head}`);
  // Values that end like this would have to come in a chunk of their own: ours do not.
  return bytes.length >= bodyAt + LAST_CHUNK.length && bytes.subarray(-5).equals(LAST_CHUNK);
}
