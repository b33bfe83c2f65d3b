/**
 * Members of a key-value server, each a process of its own with a directory of its own. None
 * outlives the bench, however it ends: what is still running is killed when this process exits.
 */
import { spawn } from "node:child_process";
import type { ChildProcess, StdioOptions } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { KvMemberSpec, KvSystem, KvTiming } from "./kv-system.ts";
import type { LoopDelay } from "./loop-delay.ts";
import { freePorts } from "./ports.ts";

const READY_TIMEOUT_MS = 30_000;
const POLL_MS = 20;
const OUTPUT_SHOWN_MAX = 2_000;

const alive = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => process.exit(1));
}

/** A running cluster with a leader. */
export class KvCluster {
  readonly system: KvSystem;
  readonly specs: readonly KvMemberSpec[];
  readonly #timing: KvTiming;
  readonly #children: (ChildProcess | undefined)[];

  private constructor(system: KvSystem, specs: readonly KvMemberSpec[], timing: KvTiming) {
    this.system = system;
    this.specs = specs;
    this.#timing = timing;
    this.#children = specs.map(() => undefined);
  }

  /** Starts members on empty directories and waits until one of them leads. */
  static async start(
    system: KvSystem,
    directory: string,
    timing: KvTiming,
    members = 3,
  ): Promise<KvCluster> {
    const ports = await freePorts(2 * members);
    const specs = Array.from({ length: members }, (_, i) => `n${i + 1}`).map((id, i) => ({
      id,
      peerPort: ports[2 * i]!,
      httpPort: ports[2 * i + 1]!,
      dataDir: join(directory, id),
    }));
    const cluster = new KvCluster(system, specs, timing);
    try {
      for (let i = 0; i < specs.length; i++) cluster.startMember(i);
      await cluster.ready();
      return cluster;
    } catch (error) {
      await cluster.end();
      throw error;
    }
  }

  get pids(): readonly number[] {
    return this.#children.map((child) => child?.pid ?? 0);
  }

  /** Starts a member that does not run. */
  startMember(index: number): void {
    const own = this.specs[index]!;
    const {
      file,
      args,
      tellsLoopDelay = false,
    } = this.system.command(own, this.specs, this.#timing);
    const output = openSync(outputOf(own), "a");
    const stdio: StdioOptions = ["ignore", output, output];
    const child = spawn(file, args, { stdio: tellsLoopDelay ? [...stdio, "ipc"] : stdio });
    closeSync(output);
    alive.add(child);
    child.once("exit", () => alive.delete(child));
    child.once("error", () => alive.delete(child)); // never ran: ready() tells
    this.#children[index] = child;
  }

  /** Sends a signal to a member and waits for its end. */
  async endMember(index: number, signal: NodeJS.Signals): Promise<void> {
    const child = this.#children[index];
    this.#children[index] = undefined;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    const timer = setTimeout(() => child.kill("SIGKILL"), READY_TIMEOUT_MS);
    child.kill(signal);
    await ended;
    clearTimeout(timer);
  }

  /** Waits until all members answer and exactly one says that it leads; which one. */
  async ready(): Promise<number> {
    const deadline = performance.now() + READY_TIMEOUT_MS;
    for (;;) {
      const leads = await Promise.all(
        this.specs.map(({ httpPort }) => this.system.leads(httpPort).catch(() => undefined)),
      );
      const leader = leads.indexOf(true);
      if (!leads.includes(undefined) && leader >= 0 && leader === leads.lastIndexOf(true)) {
        return leader;
      }
      if (performance.now() > deadline) throw new Error(this.#complaint());
      await sleep(POLL_MS);
    }
  }

  /** What the members say of their event loops; undefined for those that say nothing. */
  loopDelays(asked: "reset" | "sample"): Promise<(LoopDelay | undefined)[]> {
    return Promise.all(this.#children.map((child) => loopDelayOf(child, asked)));
  }

  /** Forgets what a member's loop did until now. */
  async resetLoopDelay(index: number): Promise<void> {
    await loopDelayOf(this.#children[index], "reset");
  }

  async end(): Promise<void> {
    await Promise.all(this.specs.map((_, i) => this.endMember(i, "SIGKILL")));
  }

  #complaint(): string {
    const outputs = this.specs.map((spec) => `${spec.id}: ${readTail(outputOf(spec))}`);
    return `no leader of ${this.system.name} in time; the members said:\n${outputs.join("\n")}`;
  }
}

async function loopDelayOf(
  child: ChildProcess | undefined,
  asked: "reset" | "sample",
): Promise<LoopDelay | undefined> {
  if (child?.connected !== true) return undefined;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("a member's loop stands")), READY_TIMEOUT_MS);
    child.once("message", (said) => {
      clearTimeout(timer);
      resolve(said as LoopDelay);
    });
    child.send(asked);
  });
}

function outputOf({ dataDir }: KvMemberSpec): string {
  return `${dataDir}.output`;
}

function readTail(path: string): string {
  return readFileSync(path, "utf8").slice(-OUTPUT_SHOWN_MAX);
}
