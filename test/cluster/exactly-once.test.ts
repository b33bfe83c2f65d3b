/**
 * Exactly once on real processes: a counter is incremented through one member while the leader is
 * killed again and again, and a third of the leader's answers to that member is lost and a third
 * comes twice. It is exact in the end. No increment may end as unknown: the handle that makes them
 * lives, so its session carries them over every change of leader. One that is refused as certainly
 * not done (no leader for an election timeout, on a busy machine) is made again by its writer.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { openReplica, QuorateError } from "quorate";
import type { Replica } from "quorate";
import { expect, test } from "vitest";
import { takePort } from "../harness/ports.ts";
import { forgetGroup, watchGroup } from "../harness/reaper.ts";
import { PeerProxy } from "../harness/reply-proxies.ts";
import { scratchDirectory } from "../harness/scratch.ts";

const IS_LONG = process.env["QUORATE_LONG"] === "1";
const INCREMENTS = IS_LONG ? 100_000 : 3_000;
const KILLS = IS_LONG ? 20 : 3;
const WRITERS = 20;
/** Writes between two kills. */
const PER_LEADER = Math.floor(INCREMENTS / (KILLS + 1));
/** Long against what a busy machine does to processes. */
const ELECTION_TIMEOUT_MS = 1_000;

const BUILT = resolve(import.meta.dirname, "../../packages/raft/dist/index.js");

/** A member whose machine counts. Says its total when it is asked for it. */
const MEMBER = `
import { openReplica } from ${JSON.stringify(pathToFileURL(BUILT).href)};
import { createInterface } from "node:readline";
const options = JSON.parse(process.argv[1]);
let total = 0;
const machine = {
  apply: () => ++total,
  query: () => total,
  snapshot: () => total,
  restore: async () => {},
};
const node = await openReplica({ ...options, machine });
console.log("open");
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "total") console.log("total " + await node.read("total", { timeoutMs: 20_000 }));
}
process.exit();
`;

interface Options {
  readonly id: string;
  readonly listen: string;
  readonly dataDir: string;
  readonly electionTimeoutMs: number;
  readonly start: { readonly members: readonly { id: string; address: string }[] };
}

/** Another member, as a process of its own. */
class Other {
  readonly #options: Options;
  #child: ChildProcess | undefined;
  #lines: AsyncIterator<string> | undefined;

  constructor(options: Options) {
    this.#options = options;
  }

  start(): void {
    const args = ["--input-type=module", "-e", MEMBER, JSON.stringify(this.#options)];
    const child = spawn(process.execPath, args, {
      stdio: ["pipe", "pipe", "inherit"],
      detached: true,
    });
    watchGroup(child.pid!);
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** The next line that it says. */
  async line(): Promise<string> {
    return (await this.#lines!.next()).value as string;
  }

  ask(question: string): void {
    this.#child!.stdin!.write(`${question}\n`);
  }

  async kill(): Promise<void> {
    const child = this.#child!;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    forgetGroup(child.pid!);
  }
}

class Counter {
  #total = 0;
  apply(): number {
    return ++this.#total;
  }
  query(): number {
    return this.#total;
  }
  snapshot(): number {
    return this.#total;
  }
  async restore(): Promise<void> {}
}

test(
  `a counter is exact after ${INCREMENTS} increments and ${KILLS} killed leaders`,
  async (context) => {
    const directory = scratchDirectory(context);
    const ids = ["n1", "n2", "n3"];
    const ports: number[] = [];
    for (const _ of ids) ports.push(await takePort());
    const members = ids.map((id, at) => ({ id, address: `127.0.0.1:${ports[at]!}` }));
    // Others reach the writer's member through a proxy.
    const ownPort = await takePort();
    const { fates } = await PeerProxy.open(context, ports[0]!, ownPort);
    const optionsOf = (at: number): Options => ({
      id: ids[at]!,
      listen: at === 0 ? `127.0.0.1:${ownPort}` : members[at]!.address,
      dataDir: join(directory, ids[at]!),
      electionTimeoutMs: ELECTION_TIMEOUT_MS,
      start: { members },
    });
    const others = new Map([1, 2].map((at) => [ids[at]!, new Other(optionsOf(at))]));
    context.onTestFinished(async () => {
      for (const other of others.values()) await other.kill();
    });
    for (const other of others.values()) other.start();
    const node: Replica<unknown, unknown> = await openReplica({
      ...optionsOf(0),
      machine: new Counter(),
    });
    context.onTestFinished(() => node.close());
    await node.leader({ timeoutMs: 20_000 });

    const totals = new Set<number>();
    let [called, refused] = [0, 0];
    const write = async (): Promise<void> => {
      while (called < INCREMENTS) {
        called++;
        for (;;) {
          const total = await increment(node);
          if (total === undefined) refused++;
          else totals.add(total);
          if (total !== undefined) break;
        }
      }
    };
    const writing = Promise.all(Array.from({ length: WRITERS }, write));
    writing.catch(() => {}); // looked at below
    for (let kills = 0; kills < KILLS; kills++) {
      const leader = await leaderElsewhere(node);
      const goal = (kills + 1) * PER_LEADER;
      await Promise.race([writing, until(() => totals.size >= goal)]);
      const other = others.get(leader)!;
      await other.kill();
      other.start();
      expect(await other.line()).toBe("open");
    }
    await leaderElsewhere(node);
    await writing;
    expect(totals.size).toBe(called);
    expect(await node.read("total")).toBe(called);
    for (const other of others.values()) {
      other.ask("total");
      let line = await other.line();
      while (line === "open") line = await other.line();
      expect(line).toBe(`total ${called}`);
    }
    // Applied once per increment: what came twice in the log had no effect.
    expect(node.status().lastIndex).toBeGreaterThanOrEqual(called);
    expect(Math.min(fates.lost, fates.doubled)).toBeGreaterThan(INCREMENTS / 500);
    const { lost, doubled } = fates;
    await context.annotate(`${lost} answers lost, ${doubled} doubled, ${refused} writes refused`);
  },
  IS_LONG ? 600_000 : 90_000,
);

/** Increments; undefined where that was certainly not done. */
async function increment(node: Replica<unknown, unknown>): Promise<number | undefined> {
  try {
    return (await node.write("increment", { timeoutMs: 60_000 })) as number;
  } catch (error) {
    if (QuorateError.is(error) && error.outcome === "not-done" && error.retryable) return undefined;
    throw error;
  }
}

/** The writer's own member must not die, nor answer itself: another one has to lead. */
async function leaderElsewhere(node: Replica<unknown, unknown>): Promise<string> {
  const leader = await node.leader({ timeoutMs: 20_000 });
  if (leader !== node.id) return leader;
  return node.leadership.transfer(undefined, { timeoutMs: 20_000 });
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((done) => setTimeout(done, 10));
}
