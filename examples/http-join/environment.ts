/** The variables that a node is configured with. */
import { QuorateError } from "quorate";
import type { ReplicaOptions } from "quorate";
import { Store } from "./store.ts";
import type { GetKey, RemoveKey, SetKey } from "./store.ts";

/** Nodes are on one machine, as in the original. */
export const HOST = "127.0.0.1";
/** The log is let go of once so many entries have been applied, as in the original. */
const SNAPSHOT_ENTRIES = 1_024;

const VARIABLES: Readonly<Record<string, string>> = {
  HTTP_SERVER_PORT: "for requests, as 8000",
  RAFT_SERVER_PORT: "for the other nodes, as 9000",
  RAFT_NODE_ID: "who this node is, as n1",
  RAFT_VOLUME_DIR: "where its data is, as /tmp/node1",
  RAFT_BOOTSTRAP: "true on the one node that begins the cluster",
};
const WANTED = Object.entries(VARIABLES).map(([name, text]) => `  ${name.padEnd(18)}${text}`);

/** What a node is made with. */
export interface NodeOptions {
  readonly replica: ReplicaOptions<SetKey | RemoveKey, GetKey>;
  readonly httpPort: number;
}

/** Reads the environment; throws OPTION_INVALID. */
export function nodeOptions(env: Readonly<Record<string, string | undefined>>): NodeOptions {
  for (const name of Object.keys(env)) {
    if (/^(RAFT|HTTP_SERVER)_/.test(name) && VARIABLES[name] === undefined) {
      throw invalid(`there is no variable ${name}`);
    }
  }
  const of = (name: string): string => {
    const value = env[name] ?? "";
    if (value === "") throw invalid(`${name} is not set`);
    return value;
  };
  const port = (name: string): number => {
    if (isPort(of(name))) return Number(of(name));
    throw invalid(`${name} is a port, not "${of(name)}"`);
  };
  const begins = env["RAFT_BOOTSTRAP"] ?? "false";
  if (!/^(true|false)$/.test(begins)) throw invalid(`RAFT_BOOTSTRAP is true or false`);
  return {
    httpPort: port("HTTP_SERVER_PORT"),
    replica: {
      id: of("RAFT_NODE_ID"),
      listen: `${HOST}:${port("RAFT_SERVER_PORT")}`,
      dataDir: of("RAFT_VOLUME_DIR"),
      machine: new Store(),
      start: begins === "true" ? { bootstrap: true } : { wait: true },
      snapshot: { entries: SNAPSHOT_ENTRIES, logBytes: 1_024, growth: 0 },
    },
  };
}

/** Whether a text is the number of a port. */
export function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;
}

function invalid(text: string): QuorateError {
  return new QuorateError("OPTION_INVALID", `${text}; a node takes\n${WANTED.join("\n")}`);
}
