/** The servers that can be measured, by name. */
import { antietcdKv } from "./antietcd-kv.ts";
import { overGrpc } from "./etcd-grpc-kv.ts";
import { currentEtcdKv, etcdKv } from "./etcd-kv.ts";
import type { KvSystem } from "./kv-system.ts";
import { UsageError } from "./options.ts";
import { quorateKv } from "./quorate-kv.ts";

const SYSTEMS: readonly KvSystem[] = [
  quorateKv,
  etcdKv,
  overGrpc(etcdKv),
  currentEtcdKv,
  overGrpc(currentEtcdKv),
  antietcdKv,
];

/** Which of the systems asked for are here. */
export interface FoundSystems {
  readonly found: readonly KvSystem[];
  readonly versions: Readonly<Record<string, string>>;
  /** Why a system is not here: to be named beside the results. */
  readonly missing: Readonly<Record<string, string>>;
}

export function findSystems(names: readonly string[]): FoundSystems {
  const versions: Record<string, string> = {};
  const missing: Record<string, string> = {};
  const found = names.map(systemNamed).filter((system) => {
    const program = system.find();
    if (program.missing === undefined) versions[system.name] = program.version;
    else missing[system.name] = program.missing;
    return program.missing === undefined;
  });
  return { found, versions, missing };
}

export function systemNamed(name: string): KvSystem {
  const found = SYSTEMS.find((system) => system.name === name);
  if (found === undefined) {
    const known = SYSTEMS.map((system) => system.name).join(", ");
    throw new UsageError(`no server is called "${name}"; there are ${known}`);
  }
  return found;
}
