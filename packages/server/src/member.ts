/**
 * One running member: the replica, its store and its HTTP face, opened and closed in the right
 * order.
 *
 * Opening: the replica before anybody can reach the HTTP face, because it may refuse for a dozen
 * good reasons. But the face is built before it, because that takes long enough to delay a
 * heartbeat. Closing: the replica first again, which hands leadership over, so that every waiting
 * request gets its answer over a connection that is still there. Those answers say that the
 * connection ends with them, and new requests are refused as certainly not done: who asks elsewhere
 * then loses nothing.
 */
import { lookup } from "node:dns/promises";
import type { FastifyInstance } from "fastify";
import { openReplica, QuorateError } from "quorate";
import type { Replica, ReplicaEvent, ReplicaOptions } from "quorate";
import { hostPortOf, commandBytesMax } from "./config/member-config.ts";
import type { MemberConfig } from "./config/member-config.ts";
import { closeHttpApp, createHttpApp, listeningAt } from "./http/app.ts";
import { kvCodec } from "./store/command-codec.ts";
import type { KvCommand, KvQuery } from "./store/command.ts";
import { memberMachine } from "./store/member-machine.ts";
import type { MemberMachine } from "./store/member-machine.ts";

/** How long requests may take to end once everything they wait for has been answered. */
const CLOSE_GRACE_MS = 500;

/** What a member tells while it runs. */
export interface MemberListener {
  /** Every event of the replica. */
  event(event: ReplicaEvent): void;
  /** A request ended as an error that is no fault of the client. */
  requestFailed(error: unknown, request: string): void;
}

/** A member that serves. */
export interface RunningMember {
  readonly replica: Replica<KvCommand, KvQuery>;
  /** `host:port` of the HTTP face, as bound. */
  readonly http: string;
  /** Ends everything; idempotent. */
  close(): Promise<void>;
}

/** Opens a member and serves. Rejects with a QuorateError, having let go of everything. */
export async function startMember(
  config: MemberConfig,
  listener: MemberListener,
): Promise<RunningMember> {
  const store = await memberMachine(config);
  let isClosing = false;
  let leader: string | undefined;
  let replica: Replica<KvCommand, KvQuery> | undefined;
  const app = createHttpApp({
    replica: () => assertOpen(replica),
    storeSize: () => store.size(),
    nowMs: () => performance.now(),
    onError: (error, request) => listener.requestFailed(error, request),
    keyBytesMax: config.keyBytesMax,
    valueBytesMax: config.valueBytesMax,
    connectionsMax: config.httpConnectionsMax,
    corsOrigins: config.corsOrigins?.split(",") ?? [],
    isClosing: () => isClosing,
    identity: () => ({ id: config.id, leader }),
  });
  const close = async (): Promise<void> => {
    isClosing = true;
    await replica?.close();
    await closeHttpApp(app, CLOSE_GRACE_MS);
  };
  try {
    await app.ready();
    replica = await openReplica<KvCommand, KvQuery>(replicaOptions(config, store.machine));
    replica.onAny((event) => listener.event(event));
    replica.leadership.watch((state) => (leader = state.leader));
    await listenHttp(app, config.http);
    return { replica, http: listeningAt(app), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function replicaOptions(
  config: MemberConfig,
  machine: MemberMachine["machine"],
): ReplicaOptions<KvCommand, KvQuery> {
  return {
    id: config.id,
    listen: config.listen,
    ...(config.advertise === undefined ? {} : { advertise: config.advertise }),
    dataDir: config.data,
    machine,
    codec: kvCodec,
    ...(config.start === undefined ? {} : { start: config.start }),
    electionTimeoutMs: config.electionTimeoutMs,
    heartbeatIntervalMs: config.heartbeatIntervalMs,
    callTimeoutMs: config.callTimeoutMs,
    leaseReads: config.leaseReads,
    clockDriftBoundPpm: config.clockDriftBoundPpm,
    segmentBytes: config.segmentBytes,
    snapshot: {
      automatic: !config.snapshotManual,
      logBytes: config.snapshotLogBytes,
      growth: config.snapshotGrowthPercent / 100,
      entries: config.snapshotEntries,
      sendBytesPerSecond: config.snapshotSendBytesPerSecond,
      progressTimeoutMs: config.snapshotProgressTimeoutMs,
    },
    commandBytesMax: commandBytesMax(config),
  };
}

async function listenHttp(app: FastifyInstance, address: string): Promise<void> {
  try {
    const { host, port } = hostPortOf(address);
    await app.listen({ host: await numericHost(host), port });
  } catch (cause) {
    throw listenFailed(address, cause);
  }
}

/**
 * For "localhost" fastify would open a second server for the other family of addresses, and that
 * would have neither the lane nor the bounds of the first.
 */
async function numericHost(host: string): Promise<string> {
  if (host !== "localhost") return host;
  const { address } = await lookup(host, { family: 4 }).catch(() => lookup(host));
  return address;
}

function assertOpen(replica: Replica<KvCommand, KvQuery> | undefined): Replica<KvCommand, KvQuery> {
  if (replica === undefined) throw new QuorateError("CLOSED", "this member is not open yet");
  return replica;
}

function listenFailed(address: string, cause: unknown): QuorateError {
  const code = (cause as { readonly code?: string } | undefined)?.code ?? "unknown";
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: "the port is in use by another process",
    EADDRNOTAVAIL: "this machine has no such address",
    EACCES: "this user may not listen there",
    ENOTFOUND: "the host name is not known",
  };
  const reason = reasons[code] ?? code;
  return new QuorateError("LISTEN_FAILED", `cannot serve HTTP on ${address}: ${reason}`, { cause });
}
