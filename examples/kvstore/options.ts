/**
 * The options of a member, under CKite's names, and what they are called here.
 *
 * A CKite property (`-Dckite.datadir=/tmp/m1`) is as good as the flag (`--datadir /tmp/m1`).
 */
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { QuorateError } from "quorate";
import type { ReplicaOptions, StartOptions } from "quorate";
import { KVStore } from "./kv-store.ts";
import type { Get, Put } from "./kv-store.ts";

/** CKite's properties, and the flags that mean the same. */
const PROPERTIES: Readonly<Record<string, string>> = {
  "ckite.listen-address": "listen-address",
  "ckite.finagle.listen-address": "listen-address",
  "ckite.members": "members",
  "ckite.datadir": "datadir",
  "ckite.bootstrap": "bootstrap",
  "ckite.election.min-timeout": "min-election-timeout",
  "ckite.election.max-timeout": "max-election-timeout",
  "ckite.append-entries.period": "heartbeats-period",
  "ckite.log.compaction-threshold": "compaction-threshold",
};
const FLAGS = {
  "listen-address": { type: "string", default: "localhost:9091" },
  members: { type: "string", multiple: true },
  datadir: { type: "string" },
  bootstrap: { type: "boolean", default: false },
  "min-election-timeout": { type: "string", default: "1000" },
  "max-election-timeout": { type: "string" },
  "heartbeats-period": { type: "string" },
  "compaction-threshold": { type: "string", default: "10000" },
  "http-port": { type: "string" },
} as const;
const HTTP_OFFSET = 1_000;

/** What a member is made with. */
export interface MemberOptions {
  readonly replica: ReplicaOptions<Put, Get>;
  readonly machine: KVStore;
  readonly host: string;
  readonly httpPort: number;
}

/** Reads the command line; throws OPTION_INVALID. */
export function memberOptions(args: readonly string[]): MemberOptions {
  const flags = flagsOf(args);
  const numberOf = (name: NumberFlag): number => number(name, flags[name] ?? "");
  const listen = flags["listen-address"];
  const [, host, port] = /^(.+):(\d+)$/.exec(listen) ?? [];
  if (host === undefined) throw invalid(`--listen-address is host:port, not "${listen}"`);
  const machine = new KVStore();
  const start = startOf(flags.bootstrap, flags.members);
  const dataDir = flags.datadir ?? `data/${listen}`;
  // Here a timeout is drawn from T to 1.5 T: T is CKite's minimum, and its maximum must fit.
  const electionTimeoutMs = numberOf("min-election-timeout");
  if (flags["max-election-timeout"] && numberOf("max-election-timeout") < 1.5 * electionTimeoutMs) {
    throw invalid(`--max-election-timeout must be 1.5 times the minimum or more`);
  }
  const httpPort = flags["http-port"] ? numberOf("http-port") : Number(port) + HTTP_OFFSET;
  const replica = {
    listen, // the address is the id as well
    dataDir,
    machine,
    ...(start && { start }),
    electionTimeoutMs,
    ...(flags["heartbeats-period"] && { heartbeatIntervalMs: numberOf("heartbeats-period") }),
    // CKite counts entries, and only entries.
    snapshot: { entries: numberOf("compaction-threshold"), logBytes: 1_024, growth: 0 },
  };
  if (start === undefined && !existsSync(dataDir)) {
    throw invalid(`${dataDir} is new: say --bootstrap for a new cluster, or --members to join one`);
  }
  return { replica, machine, host: host.replace(/^\[|\]$/g, ""), httpPort };
}

type NumberFlag = Extract<keyof typeof FLAGS, `${string}${"timeout" | "period" | "old" | "port"}`>;

function flagsOf(args: readonly string[]) {
  try {
    return parseArgs({ args: args.flatMap(flagOf), options: FLAGS }).values;
  } catch (cause) {
    if (QuorateError.is(cause)) throw cause;
    const [what] = (cause as Error).message.split(". ");
    throw invalid(`${what}; there are --${Object.keys(FLAGS).join(", --")}`);
  }
}

/** `-Dckite.members.0=host:port` is `--members=host:port`. */
function flagOf(arg: string): string[] {
  const [, name, value] = /^-D([^=]*)=?(.*)$/s.exec(arg) ?? [];
  if (name === undefined) return [arg];
  const flag = PROPERTIES[name.replace(/\.\d+$/, "")];
  if (flag === undefined) {
    throw invalid(`there is no property ${name}; there are ${Object.keys(PROPERTIES).join(", ")}`);
  }
  if (flag !== "bootstrap") return [`--${flag}=${value}`];
  return value === "true" ? ["--bootstrap"] : [];
}

/** Matters on an empty directory only: a cluster of one, or a place in that of others. */
function startOf(bootstrap: boolean, members: readonly string[] = []): StartOptions | undefined {
  const contacts = members.flatMap((list) => list.split(",")).filter((address) => address !== "");
  if (bootstrap) return { bootstrap, contacts };
  return contacts.length === 0 ? undefined : { join: contacts };
}

function number(name: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw invalid(`--${name} is a whole number, not "${text}"`);
}

function invalid(text: string): QuorateError {
  return new QuorateError("OPTION_INVALID", text);
}
