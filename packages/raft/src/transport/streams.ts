/**
 * The byte-stream port: what the transport needs of a network. TCP (node-tcp.ts), TLS later, and
 * memory (memory-streams.ts) provide it; everything above (handshake, queues, reconnecting) exists
 * once.
 *
 * Contract
 * - Bytes arrive in order and unchanged, or the stream ends. Where they are cut into chunks means
 *   nothing.
 * - `received` hands over a chunk that nobody writes to again. Chunks given to `write` are the
 *   stream's from then on and must not be written to again.
 * - `closed` is called once, unless this side called `end` or `destroy` before: after these nothing
 *   is called back. `opened` is called only on dialed streams.
 * - Nothing is called back synchronously from `dial`, `write`, `pause`, `resume`, `end` or
 *   `destroy`.
 */

/** One connection. */
export interface ByteStream {
  /** Bytes taken by `write` and not handed to the network yet. */
  readonly unsentBytes: number;
  /** Sends the chunks, in order, in one system call where possible. */
  write(chunks: readonly Uint8Array[]): void;
  /** Stops `received`, and with it what the other side can send. */
  pause(): void;
  resume(): void;
  /** Ends the stream after what was written has arrived, or after a second at the latest. */
  end(): void;
  /** Ends the stream now. */
  destroy(): void;
}

/** What a stream calls back. None of these may throw. */
export interface StreamEvents {
  opened(): void;
  received(chunk: Uint8Array): void;
  closed(reason: string): void;
}

/** What a listener calls back. */
export interface ListenEvents {
  /** A connection came in; `remote` is its address, for messages. */
  accepted(stream: ByteStream, remote: string): StreamEvents;
  /** A connection could not be accepted. */
  trouble(reason: string): void;
}

/** The network as one host sees it. */
export interface Streams {
  /** Binds `host:port` and resolves to the bound address; rejects with LISTEN_FAILED. */
  listen(address: string, events: ListenEvents): Promise<string>;
  /** Connects; a failure, a malformed address included, comes as `closed`. */
  dial(address: string, events: StreamEvents): ByteStream;
  /** Destroys every stream and the listener; resolves when they are gone. Idempotent. */
  close(): Promise<void>;
}
