/** The command line of the bench. */
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { isFloor, SYSTEM_NAMES } from "./protocol.ts";
import type { SystemName } from "./protocol.ts";

/** What to measure, and how. */
export interface BenchOptions {
  readonly systems: readonly SystemName[];
  readonly directory: string;
  readonly outstanding: readonly number[];
  readonly valueBytes: readonly number[];
  readonly runs: number;
  readonly warmUpMs: number;
  readonly windowMs: number;
  /** Prints the result as JSON on standard output instead of the table. */
  readonly json: boolean;
  /** The name of the result files; undefined: none are written. */
  readonly name: string | undefined;
  readonly allowMemory: boolean;
  /** Given to Node in every member, such as `--cpu-prof`. */
  readonly nodeFlags: readonly string[];
}

export const USAGE = `Usage: npm run bench -- <what> [options]

What
  check                the guard: fails where something got worse than what was recorded
  replication          three quorate replicas over TCP on a real disk, interleaved with the floor
  floor                the floor alone: the same data path with nothing but the path
  server               three members of the server under HTTP requests, on a real disk
  peers                the same requests on other servers, in turns: etcd, antietcd; then the same
                       writes in other libraries (raft of hashicorp and of etcd, dragonboat), ours
                       and the floor
  growth               what size costs: of keys, log, values, members, idle connections
  upkeep               what others feel while a large snapshot is taken, and while one is sent to
                       a member that was away
  memory               the memory of members under minutes of writes, beside etcd's
  failover             how long no write succeeds when the leader is killed, or stopped
  store                the server's store in memory and on disk: one member alone, on a real disk
  simulator            simulated clusters in one thread, with and without their checks

Options of check (and --dir, --json, --allow-memory)
  --record             writes the record instead of comparing with it
  --name NAME          the record is bench/results/NAME.json (default: check)
  --runs N             interleaved runs of each (default: 5)
  --seconds SECONDS    length of each window (default: 1)

Options of replication and floor
  --dir DIR            where the data goes, on a real file system (default: the system's temp)
  --outstanding LIST   writes kept outstanding (default: 1,64,1024)
  --value LIST         sizes of a value (default: 256)
  --runs N             interleaved runs of each (default: 5)
  --warm-up SECONDS    before each window (default: 2)
  --seconds SECONDS    length of each window (default: 3)
  --systems LIST       replication only: of floor, quorate, the same with a Map that every member
                       keeps: floor-map, quorate-map; hashicorp-raft, etcd-raft, dragonboat
                       (default: floor,quorate)
  --without-floor      only the system itself
  --name NAME          writes bench/results/NAME.md and .json (default: what was measured)
  --no-save            writes no result files
  --json               the result as JSON on standard output
  --allow-memory       also on a file system in memory, where a sync means nothing
  --node-flag FLAG     given to Node in every member, repeatable

Options of server and peers (and --dir, --name, --no-save, --json, --allow-memory)
  --operations LIST    of put, get, get-lease, get-local (default: all)
  --places LIST        where connections go: leader, spread over the members (default: both)
  --connections LIST   each with one request outstanding (default: 1,16,64,256)
  --rate N             requests that fall due every second, latency counted from then
                       (default: a connection sends when it has its answer)
  --keys N             keys written and read (default: 10000; peers: 1000)
  --value BYTES        size of a value (default: 256)
  --runs N             interleaved runs of each (default: 3)
  --warm-up SECONDS    before each window (default: 1)
  --seconds SECONDS    length of each window (default: 2)
  --election-timeout MS  of the members (default: 1000)
  --systems LIST       peers only: of quorate, etcd, etcd-grpc, etcd-current,
                       etcd-current-grpc, antietcd (default: all)
  --outstanding LIST   peers only: writes outstanding in the libraries (default: 1,16,256,4096)
  --only WHAT          peers only: servers, or libraries (default: both)

Options of growth (and --dir, --name, --no-save, --json, --allow-memory)
  --sweeps LIST        of keys, log, value, members, connections (default: all)
  --stores LIST        of memory, disk (default: both)
  --full               also the largest sizes: 10^7 keys and the like
  --most N             no size above it
  --repeats N          rounds at each size (default: 3)
  --seconds SECONDS    length of each window (default: 2)

Options of upkeep (and --dir, --name, --no-save, --json, --allow-memory)
  --stores LIST        of memory, disk (default: both)
  --mib N              of values in the store (default: 1024)
  --rate N             writes that fall due every second meanwhile (default: 2000)
  --repeats N          rounds on the same members (default: 3)

Options of memory (and --dir, --name, --no-save, --json, --allow-memory)
  --minutes N          of load, on each system (default: 5)
  --connections N      each with one write outstanding (default: 256)
  --keys N             keys written (default: 10000)
  --value BYTES        size of a value (default: 256)
  --systems LIST       servers, one after the other (default: quorate,etcd)

Options of failover (and --dir, --name, --no-save, --json, --allow-memory)
  --rounds N           ends of the leader, of each kind (default: 50)
  --rate N             writes that begin every second (default: 500)
  --value BYTES        size of a value (default: 256)
  --election-timeout MS  of the members (default: 1000)
  --systems LIST       servers that take turns, such as quorate,etcd (default: quorate)

Options of store (and --dir, --name, --no-save, --json)
  --keys N             keys (default: 500000)
  --value BYTES        size of a value (default: 100)
  --runs N             interleaved runs of each (default: 3)

Options of simulator (and --name, --no-save, --json)
  --seeds N            simulated runs in each round (default: 100)
  --from SEED          the first of them (default: 1)
  --profile NAME       what is drawn (default: swarm)
  --runs N             interleaved rounds (default: 5)
  --warm-up N          simulated runs before the first round, with other seeds (default: 100)`;

/** A command line that cannot be followed. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export function parseOptions(args: readonly string[]): BenchOptions {
  const { values, positionals } = parse(args);
  const [what, ...rest] = positionals;
  if ((what !== "replication" && what !== "floor") || rest.length > 0) {
    throw new UsageError(`nothing to measure is called "${positionals.join(" ")}"`);
  }
  const systems =
    what === "floor" ? (["floor"] as const) : listOf("systems", values.systems, SYSTEM_NAMES);
  return {
    systems: systems.filter((name) => !isFloor(name) || !values["without-floor"]),
    directory: values.dir,
    outstanding: wholeNumbers("outstanding", values.outstanding),
    valueBytes: wholeNumbers("value", values.value),
    runs: wholeNumber("runs", values.runs),
    warmUpMs: seconds("warm-up", values["warm-up"]),
    windowMs: seconds("seconds", values.seconds),
    json: values.json,
    name: values["no-save"] ? undefined : (values.name ?? what),
    allowMemory: values["allow-memory"],
    nodeFlags: values["node-flag"],
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        dir: { type: "string", default: tmpdir() },
        outstanding: { type: "string", default: "1,64,1024" },
        systems: { type: "string", default: "floor,quorate" },
        value: { type: "string", default: "256" },
        runs: { type: "string", default: "5" },
        "warm-up": { type: "string", default: "2" },
        seconds: { type: "string", default: "3" },
        "without-floor": { type: "boolean", default: false },
        name: { type: "string" },
        "no-save": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        "allow-memory": { type: "boolean", default: false },
        "node-flag": { type: "string", multiple: true, default: [] },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** Words of a list that has to know them. */
export function listOf<T extends string>(
  name: string,
  text: string,
  known: readonly T[],
): readonly T[] {
  return text.split(",").map((word) => {
    const found = known.find((one) => one === word);
    if (found !== undefined) return found;
    throw new UsageError(`--${name} knows ${known.join(", ")}, not "${word}"`);
  });
}

export function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new UsageError(`--${name} wants whole numbers of 1 or more, not "${text}"`);
  }
  return value;
}

export function wholeNumbers(name: string, text: string): readonly number[] {
  return text.split(",").map((one) => wholeNumber(name, one));
}

/** Seconds of the command line, in ms. */
export function seconds(name: string, text: string): number {
  const value = Number(text) * 1000;
  if (!(value > 0)) throw new UsageError(`--${name} wants seconds above 0, not "${text}"`);
  return value;
}
