/**
 * Opening a replica over ports that somebody brings: the tests and the simulator. Programs use
 * `openReplica` (node-open.ts), which brings the real ones.
 */
import { hostOf } from "../machine/disk-host.ts";
import { jsonCodec } from "../machine/json-codec.ts";
import { openEngine } from "./engine.ts";
import { resolveOptions } from "./options.ts";
import type { EnginePorts } from "./ports.ts";
import { ReplicaHandle } from "./replica-handle.ts";
import type { Replica, ReplicaOptions } from "./replica.ts";

/** Opens a replica over the given ports. `listen` of the options must be the transport's. */
export async function openReplicaWith<Command, Query>(
  ports: EnginePorts,
  options: ReplicaOptions<Command, Query>,
): Promise<Replica<Command, Query>> {
  const resolved = resolveOptions(options);
  const codec = options.codec ?? jsonCodec<Command>();
  const engine = await openEngine(ports, resolved, hostOf(options.machine, codec));
  return new ReplicaHandle(engine, codec);
}
