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
  /** Whether it was started with loop-delay-process.ts before it. */
  readonly tellsLoopDelay?: boolean;
}

/** What `find` says. */
export type FoundProgram =
  | { readonly version: string; readonly missing?: undefined }
  | { readonly missing: string };

/** What a program that is looked for on the path is missing for. */
export const NOT_INSTALLED: FoundProgram = { missing: "it is not installed here" };

/** One kind of server. */
export interface KvSystem {
  readonly name: string;
  readonly protocol: Protocol;
  /** Leaves out what it does not have. */
  readonly operations: readonly KvOperation[];
  /** What the program calls itself, or why it cannot be measured here. */
  find(): FoundProgram;
  command(own: KvMemberSpec, all: readonly KvMemberSpec[], timing: KvTiming): KvCommandLine;
  /** Whether the member behind this port says that it leads. Rejects while it does not answer. */
  leads(httpPort: number): Promise<boolean>;
  request(operation: KvOperation, key: string, value: Buffer): PlainRequest;
}
