/** The command line of `server` and of `peers`. */
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { KV_OPERATIONS } from "./kv-system.ts";
import type { KvOperation, KvTiming } from "./kv-system.ts";
import { listOf, seconds, UsageError, wholeNumber, wholeNumbers } from "./options.ts";

/** Where connections go: all to the leader, or to all members alike. */
export const PLACES = ["leader", "spread"] as const;
export type Place = (typeof PLACES)[number];

/** What to measure. */
export interface ServerOptions {
  readonly what: "server" | "peers";
  /** Peers only: servers and libraries have a run each; this leaves one of them out. */
  readonly only: "servers" | "libraries" | undefined;
  /** Peers only: writes outstanding in the libraries. */
  readonly outstanding: readonly number[];
  /** By name, in the order in which they take turns. */
  readonly systems: readonly string[];
  readonly operations: readonly KvOperation[];
  readonly places: readonly Place[];
  readonly connections: readonly number[];
  /** Requests that fall due every second over all connections; undefined: as many as go. */
  readonly ratePerSecond: number | undefined;
  readonly keys: number;
  readonly valueBytes: number;
  readonly runs: number;
  readonly warmUpMs: number;
  readonly windowMs: number;
  readonly timing: KvTiming;
  readonly directory: string;
  readonly allowMemory: boolean;
  readonly json: boolean;
  readonly name: string | undefined;
}

const DEFAULTS = {
  server: {
    systems: "quorate",
    operations: KV_OPERATIONS.join(","),
    places: PLACES.join(","),
    keys: "10000",
  },
  peers: {
    systems: "quorate,etcd,etcd-grpc,etcd-current,etcd-current-grpc,antietcd",
    operations: "put,get,get-local",
    places: "leader",
    // One of the peers writes all of them again for each that changes.
    keys: "1000",
  },
} as const;

export function parseServerOptions(
  what: ServerOptions["what"],
  args: readonly string[],
): ServerOptions {
  const values = parse(what, args);
  const electionTimeoutMs = wholeNumber("election-timeout", values["election-timeout"]);
  return {
    what,
    only: onlyOf(values.only),
    outstanding: wholeNumbers("outstanding", values.outstanding ?? "1"),
    systems: what === "server" ? [DEFAULTS.server.systems] : values.systems.split(","),
    operations: listOf("operations", values.operations, KV_OPERATIONS),
    places: listOf("places", values.places, PLACES),
    connections: values.connections.split(",").map((text) => wholeNumber("connections", text)),
    ratePerSecond: values.rate === undefined ? undefined : wholeNumber("rate", values.rate),
    keys: wholeNumber("keys", values.keys),
    valueBytes: wholeNumber("value", values.value),
    runs: wholeNumber("runs", values.runs),
    warmUpMs: seconds("warm-up", values["warm-up"]),
    windowMs: seconds("seconds", values.seconds),
    timing: { electionTimeoutMs, heartbeatIntervalMs: Math.floor(electionTimeoutMs / 10) },
    directory: values.dir,
    allowMemory: values["allow-memory"],
    json: values.json,
    name: values["no-save"] ? undefined : values.name,
  };
}

/** The command that measures the same again. */
export function serverCommand(options: ServerOptions): string {
  return [
    `npm run bench -- ${options.what}`,
    ...(options.what === "peers" ? [`--only servers --systems ${options.systems.join(",")}`] : []),
    `--operations ${options.operations.join(",")}`,
    `--places ${options.places.join(",")}`,
    `--connections ${options.connections.join(",")}`,
    ...(options.ratePerSecond === undefined ? [] : [`--rate ${options.ratePerSecond}`]),
    `--keys ${options.keys}`,
    `--value ${options.valueBytes}`,
    `--runs ${options.runs}`,
    `--warm-up ${options.warmUpMs / 1000}`,
    `--seconds ${options.windowMs / 1000}`,
  ].join(" ");
}

function onlyOf(text: string | undefined): ServerOptions["only"] {
  if (text === undefined || text === "servers" || text === "libraries") return text;
  throw new UsageError(`--only knows servers and libraries, not "${text}"`);
}

function parse(what: ServerOptions["what"], args: readonly string[]) {
  const { systems, operations, places, keys } = DEFAULTS[what];
  try {
    return parseArgs({
      args: [...args],
      options: {
        ...(what === "peers"
          ? {
              systems: { type: "string", default: systems },
              only: { type: "string" },
              outstanding: { type: "string", default: "1,16,256,4096" },
            }
          : {}),
        operations: { type: "string", default: operations },
        places: { type: "string", default: places },
        connections: { type: "string", default: "1,16,64,256" },
        rate: { type: "string" },
        keys: { type: "string", default: keys },
        value: { type: "string", default: "256" },
        runs: { type: "string", default: "3" },
        "warm-up": { type: "string", default: "1" },
        seconds: { type: "string", default: "2" },
        "election-timeout": { type: "string", default: "1000" },
        dir: { type: "string", default: tmpdir() },
        name: { type: "string", default: what },
        "no-save": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        "allow-memory": { type: "boolean", default: false },
      },
    }).values as ParsedValues;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

interface ParsedValues {
  readonly systems: string;
  readonly only: string | undefined;
  readonly outstanding: string | undefined;
  readonly operations: string;
  readonly places: string;
  readonly connections: string;
  readonly rate: string | undefined;
  readonly keys: string;
  readonly value: string;
  readonly runs: string;
  readonly "warm-up": string;
  readonly seconds: string;
  readonly "election-timeout": string;
  readonly dir: string;
  readonly name: string;
  readonly "no-save": boolean;
  readonly json: boolean;
  readonly "allow-memory": boolean;
}
