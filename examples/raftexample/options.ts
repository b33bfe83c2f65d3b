/** The flags of raftexample, and what they make of a replica. */
import { parseArgs } from "node:util";
import { QuorateError } from "quorate";
import type { ReplicaOptions } from "quorate";
import { KeyValues } from "./key-values.ts";
import type { Get, Put } from "./key-values.ts";

/** A snapshot after so many entries, as raftexample took them. */
const SNAPSHOT_ENTRIES = 10_000;

/** What a member is made with. */
export interface MemberOptions {
  readonly replica: ReplicaOptions<Put, Get>;
  readonly host: string;
  readonly port: number;
}

/** Reads the command line; throws OPTION_INVALID. */
export function memberOptions(args: readonly string[]): MemberOptions {
  const { id, cluster, port, join } = flagsOf(args);
  const addresses = cluster.split(",").map(addressOf);
  const listen = addresses[Number(id) - 1];
  if (listen === undefined) {
    throw invalid(`--id ${id} must be a place in --cluster, which lists ${addresses.length}`);
  }
  if (!/^\d{1,5}$/.test(port)) throw invalid(`--port is a number, not ${port}`);
  const others = addresses.filter((address) => address !== listen);
  const members = addresses.map((address, i) => ({ id: String(i + 1), address }));
  return {
    host: listen.slice(0, listen.lastIndexOf(":")).replace(/^\[|\]$/g, ""),
    port: Number(port),
    replica: {
      id: String(Number(id)),
      listen,
      dataDir: `raftexample-${Number(id)}`,
      machine: new KeyValues(),
      start: join ? { join: others } : { members },
      snapshot: { entries: SNAPSHOT_ENTRIES, logBytes: 1_024, growth: 0 },
    },
  };
}

/** `host:port` of a peer URL. */
export function addressOf(url: string): string {
  const [, address] = /^http:\/\/([^/]+:\d{1,5})\/?$/.exec(url.trim()) ?? [];
  if (address !== undefined) return address;
  throw invalid(`a peer is a URL as http://127.0.0.1:12379, not "${url}"`);
}

function flagsOf(args: readonly string[]) {
  const options = {
    id: { type: "string", default: "1" },
    cluster: { type: "string", default: "http://127.0.0.1:9021" },
    port: { type: "string", default: "9121" },
    join: { type: "boolean", default: false },
  } as const;
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (cause) {
    const [what] = (cause as Error).message.split(". ");
    throw invalid(`${what}; there are --id, --cluster, --port and --join`);
  }
}

function invalid(text: string): QuorateError {
  return new QuorateError("OPTION_INVALID", text);
}
