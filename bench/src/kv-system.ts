/** Key-value servers that can be measured side by side: how each is started and spoken to. */
import type { Protocol } from "./http-load.ts";
import type { PlainRequest } from "./http-request.ts";

/** What is asked of a server. Local reads are what etcd calls serializable. */
export const KV_OPERATIONS = ["put", "get", "get-lease", "get-local"] as const;
export type KvOperation = (typeof KV_OPERATIONS)[number];

/** One member, before it runs. */
export interface KvMemberSpec {
  readonly id: string;
  readonly peerPort: number;
  readonly httpPort: number;
  readonly dataDir: string;
}

/** What is the same for all systems of one comparison. */
export interface KvTiming {
  readonly electionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
}

/** A program and what it is given. */
export interface KvCommandLine {
  readonly file: string;
  readonly args: readonly string[];
}

/** One kind of server. */
export interface KvSystem {
  readonly name: string;
  readonly protocol: Protocol;
  /** Leaves out what it does not have. */
  readonly operations: readonly KvOperation[];
  /** What the program calls itself; undefined where it is not installed. */
  version(): string | undefined;
  command(own: KvMemberSpec, all: readonly KvMemberSpec[], timing: KvTiming): KvCommandLine;
  /** Whether the member behind this port says that it leads. Rejects while it does not answer. */
  leads(httpPort: number): Promise<boolean>;
  request(operation: KvOperation, key: string, value: Buffer): PlainRequest;
}
