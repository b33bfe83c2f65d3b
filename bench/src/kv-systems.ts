/** The servers that can be measured, by name. */
import { antietcdKv } from "./antietcd-kv.ts";
import { etcdGrpcKv } from "./etcd-grpc-kv.ts";
import { etcdKv } from "./etcd-kv.ts";
import type { KvSystem } from "./kv-system.ts";
import { UsageError } from "./options.ts";
import { quorateKv } from "./quorate-kv.ts";

const SYSTEMS: readonly KvSystem[] = [quorateKv, etcdKv, etcdGrpcKv, antietcdKv];

/** Which of the systems asked for are here. */
export interface FoundSystems {
  readonly found: readonly KvSystem[];
  readonly versions: Readonly<Record<string, string>>;
  /** Those that are not installed: to be named beside the results. */
  readonly missing: readonly string[];
}

export function findSystems(names: readonly string[]): FoundSystems {
  const all = names.map(systemNamed).map((system) => ({ system, version: system.version() }));
  const here = all.filter(({ version }) => version !== undefined);
  return {
    found: here.map(({ system }) => system),
    versions: Object.fromEntries(here.map(({ system, version }) => [system.name, version!])),
    missing: all.filter(({ version }) => version === undefined).map(({ system }) => system.name),
  };
}

export function systemNamed(name: string): KvSystem {
  const found = SYSTEMS.find((system) => system.name === name);
  if (found === undefined) {
    const known = SYSTEMS.map((system) => system.name).join(", ");
    throw new UsageError(`no server is called "${name}"; there are ${known}`);
  }
  return found;
}
