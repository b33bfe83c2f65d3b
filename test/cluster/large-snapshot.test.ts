/**
 * A large snapshot beside running writes: taken, sent and installed, it never holds up the event
 * loop of a member for more than 50 ms, and nobody misses a heartbeat: the leader stays the leader,
 * and writes go on. Measured within the processes (loop-probe.ts): what counts is for how long a
 * loop was held up by its own thread. How late it was, waiting for a processor included, is told
 * beside a span without a snapshot: four processes share the machine here.
 */
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { Cluster } from "../harness/cluster.ts";
import type { Member } from "../harness/cluster.ts";
import { askForReply, jsonOf } from "../harness/http.ts";
import { delaysSince, probeLoops } from "../harness/loop-probe.ts";
import { waitUntil } from "../harness/wait.ts";

const IS_LONG = process.env["QUORATE_LONG"] === "1";
const MIB = 1_048_576;
const STATE_BYTES = IS_LONG ? 1_024 * MIB : 64 * MIB;
const VALUE_BYTES = 65_536;
const VALUES = STATE_BYTES / VALUE_BYTES;
const ELECTION_TIMEOUT_MS = 1_000;
const BOUND_MS = 50;
/** How long anything with a snapshot may take. */
const SPAN_MS = IS_LONG ? 240_000 : 20_000;
/** Without a snapshot, for comparison. */
const CONTROL_MS = 3_000;

test(
  `a snapshot of ${STATE_BYTES / MIB} MiB holds up nobody while it is taken, sent and installed`,
  { timeout: IS_LONG ? 900_000 : 60_000 },
  async (context) => {
    const cluster = await Cluster.make(context, {
      members: 3,
      electionTimeoutMs: ELECTION_TIMEOUT_MS,
      args: ["--snapshot-manual"],
    });
    probeLoops(cluster.directory, cluster.members);
    await cluster.start();
    const leader = await cluster.settled(20_000);
    const [absent, other] = cluster.others(leader) as [Member, Member];
    await absent.kill();
    const { commit: away } = await leader.status();
    await fill(leader);

    const writes = new Writes(context, leader);
    const { term } = await leader.status();
    const here = [leader, other];
    const report: string[] = [];
    const span = async (name: string, members: readonly Member[], work: () => Promise<void>) => {
      const sinceMs = Date.now();
      writes.slowestMs = 0;
      await work();
      // The last notes of the probes.
      await sleep(250);
      const worst = members.map((member) => delaysSince(member, sinceMs));
      const lateMs = Math.max(...worst.map((delays) => delays.lateMs));
      const busyMs = Math.max(...worst.map((delays) => delays.busyMs));
      report.push(
        `${name} ${Date.now() - sinceMs} ms: loop ${Math.round(busyMs)} ms busy, ` +
          `${Math.round(lateMs)} ms late, slowest write ${Math.round(writes.slowestMs)} ms`,
      );
      return busyMs;
    };

    await span("control", here, () => sleep(CONTROL_MS));
    // Of two snapshots the log is kept from the older one on.
    const taking = await span("taking", here, async () => {
      for (const _ of ["first", "second"]) await Promise.all(here.map(snapshot));
    });
    await waitUntil("the log starts later than the absent member needs", 20_000, async () => {
      return (await startOf(leader)) > away;
    });
    absent.start();
    await waitUntil("it answers", 20_000, () => absent.answers());
    const all = [leader, other, absent];
    const moving = await span("sending and installing", all, async () => {
      await waitUntil("it has caught up", SPAN_MS, async () => {
        const [theirs, own] = await Promise.all([leader.status(), absent.status()]);
        return own.applied > away && own.applied >= theirs.commit - 500;
      });
    });
    await writes.stop();
    await context.annotate(report.join("; "));

    expect((await leader.status()).term, report.join("\n")).toBe(term);
    expect(await startOf(absent), "it came by a snapshot").toBeGreaterThan(away);
    for (const busyMs of [taking, moving]) {
      expect(busyMs, report.join("\n")).toBeLessThanOrEqual(BOUND_MS);
    }
  },
);

/** Writes small values, one after the other, and knows how long the slowest took. */
class Writes {
  slowestMs = 0;
  #isStopped = false;
  readonly #work: Promise<void>;

  constructor(context: TestContext, member: Member) {
    context.onTestFinished(() => {
      this.#isStopped = true;
    });
    this.#work = this.#run(member);
    this.#work.catch(() => {}); // reported by stop()
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#work;
  }

  async #run(member: Member): Promise<void> {
    for (let i = 0; !this.#isStopped; i++) {
      const since = performance.now();
      await put(member, `small-${i % 100}`, String(i));
      this.slowestMs = Math.max(this.slowestMs, performance.now() - since);
      await sleep(2);
    }
  }
}

async function fill(member: Member): Promise<void> {
  let next = 0;
  const value = "x".repeat(VALUE_BYTES - 8);
  const writer = async (): Promise<void> => {
    while (next < VALUES) {
      const key = String(next++).padStart(8, "0");
      await put(member, `large-${key}`, key + value);
    }
  };
  await Promise.all(Array.from({ length: 16 }, writer));
}

async function put(member: Member, key: string, value: string): Promise<void> {
  const port = member.httpPort;
  const path = `/kv/${key}`;
  const reply = await askForReply({ port, method: "PUT", path, body: value, timeoutMs: 20_000 });
  expect(reply.status, reply.body).toBe(200);
}

async function snapshot(member: Member): Promise<void> {
  const path = `/snapshot?timeoutMs=60000`;
  await put(member, "round", member.id);
  const request = { port: member.httpPort, method: "POST", path } as const;
  const reply = await askForReply({ ...request, timeoutMs: SPAN_MS });
  expect(reply.status, reply.body).toBe(200);
}

/** Where the log of a member begins. */
async function startOf(member: Member): Promise<number> {
  const reply = await askForReply({ port: member.httpPort, method: "GET", path: "/status" });
  const { log } = jsonOf(reply) as { log: { length: number; lastEntry: { index: number } } };
  return log.lastEntry.index - log.length;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
