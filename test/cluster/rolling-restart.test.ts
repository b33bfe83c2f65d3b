/**
 * An upgrade as operators do it: every member gets SIGTERM, ends, and is started again, one after
 * the other, while clients write.
 *
 * Each member leads when its turn comes (leadership is moved to it first), so leadership has to
 * move three times while it stops. Shown: no write fails and none is in doubt; leadership has moved
 * before the process is gone; and the 99th percentile of what a write takes, over the *windows*
 * of the restarts (from the signal until the member is back and all follow one leader), fail-over
 * of the client included, is at most 100 ms above that of the quiet times between, with an election
 * timeout of 1,000 ms. (Quiet times are a few ms, unless the machine is busy with others.)
 *
 * The clients do what any sensible one does: they go round the members, ask the next one where one
 * answers that certainly nothing was done or cannot be reached, and leave that one alone a while.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { Cluster } from "../harness/cluster.ts";
import type { Member } from "../harness/cluster.ts";
import { askForReply, jsonOf } from "../harness/http.ts";
import { perform } from "../harness/kv-client.ts";

const ELECTION_TIMEOUT_MS = 1_000;
const CLIENTS = 4;
/** Between two writes of a client: the wait is measured, not how much the machine can do. */
const THINK_MS = 4;
const TIMEOUT_MS = 5_000;
/** How long a client leaves a member alone that would not or could not serve it. */
const REST_MS = 300;
const P99_MAX_MS = 100;
/** Load between two restarts. */
const BETWEEN_MS = 300;

interface Write {
  readonly beganMs: number;
  readonly tookMs: number;
}

/** Clients that write until they are stopped, each to a key of its own. */
class Writers {
  readonly writes: Write[] = [];
  readonly failures: string[] = [];
  /** The last acknowledged value of each client. */
  readonly last: Map<string, string> = new Map();
  readonly #ports: readonly number[];
  readonly #restingUntilMs: Map<number, number> = new Map();
  readonly #all: Promise<void>[];
  #isOver = false;

  constructor(context: TestContext, ports: readonly number[]) {
    context.onTestFinished(() => {
      this.#isOver = true;
    });
    this.#ports = ports;
    this.#all = Array.from({ length: CLIENTS }, (_, i) => this.#run(i));
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#all);
  }

  async #run(client: number): Promise<void> {
    const key = `client-${client}`;
    for (let turn = client; !this.#isOver; turn++) {
      const beganMs = performance.now();
      await this.#write(key, turn);
      this.writes.push({ beganMs, tookMs: performance.now() - beganMs });
      await sleep(THINK_MS);
    }
  }

  async #write(key: string, turn: number): Promise<void> {
    const value = String(turn);
    const endMs = performance.now() + TIMEOUT_MS;
    for (let at = turn; performance.now() < endMs; at++) {
      const port = this.#ports[at % this.#ports.length]!;
      if ((this.#restingUntilMs.get(port) ?? 0) > performance.now()) {
        if (this.#allRest()) await sleep(1);
        continue;
      }
      const answer = await perform(port, key, { type: "put", value }, { timeoutMs: TIMEOUT_MS });
      if (answer.outcome === "done") {
        this.last.set(key, value);
        return;
      }
      if (answer.outcome === "unknown") {
        this.failures.push(answer.reason);
        return;
      }
      this.#restingUntilMs.set(port, performance.now() + REST_MS);
    }
    this.failures.push(`${key} was not written within ${TIMEOUT_MS} ms`);
  }

  #allRest(): boolean {
    return this.#ports.every((port) => (this.#restingUntilMs.get(port) ?? 0) > performance.now());
  }
}

test("a rolling restart under load fails no write", { timeout: 120_000 }, async (context) => {
  const cluster = await Cluster.make(context, {
    members: 3,
    electionTimeoutMs: ELECTION_TIMEOUT_MS,
    // All members share a disk here: preparing large segments at a start would slow the others.
    args: ["--segment-bytes", "1048576", "--value-bytes-max", "65536"],
  });
  await cluster.start();
  const writers = new Writers(context, cluster.httpPorts);
  const windows: { readonly fromMs: number; readonly toMs: number }[] = [];
  const stopsMs: number[] = [];
  for (const member of cluster.members) {
    await sleep(BETWEEN_MS);
    await leads(member);
    await sleep(BETWEEN_MS);
    const { term } = await member.status();
    const fromMs = performance.now();
    const ending = await member.end();
    stopsMs.push(performance.now() - fromMs);
    expect(ending.code, `${member.id} ends well`).toBe(0);
    const others = await Promise.all(cluster.others(member).map((other) => other.status()));
    expect(
      others.filter(({ isLeader }) => isLeader),
      `another leads when ${member.id} is gone`,
    ).toHaveLength(1);
    expect(others[0]!.term, "by one election").toBe(term + 1);
    member.start();
    await cluster.settled(20_000);
    windows.push({ fromMs, toMs: performance.now() });
  }
  await sleep(BETWEEN_MS);
  await writers.stop();
  const isInWindow = ({ beganMs }: Write): boolean =>
    windows.some((w) => beganMs >= w.fromMs && beganMs <= w.toMs);
  const inWindows = sortedTimes(writers.writes.filter(isInWindow));
  const quiet = sortedTimes(writers.writes.filter((write) => !isInWindow(write)));
  const p99 = at(inWindows, 0.99);
  const quietP99 = at(quiet, 0.99);
  await context.annotate(
    `${inWindows.length} writes in the restart windows: p50 ` +
      `${at(inWindows, 0.5).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, longest ` +
      `${at(inWindows, 1).toFixed(1)} ms; quiet p99 ${quietP99.toFixed(1)} ms; members stopped within ` +
      `${stopsMs.map((ms) => Math.round(ms)).join(", ")} ms`,
  );
  expect(writers.failures).toEqual([]);
  expect(inWindows.length).toBeGreaterThan(200);
  expect(p99 - quietP99).toBeLessThanOrEqual(P99_MAX_MS);
  for (const [key, value] of writers.last) {
    for (const { httpPort } of cluster.members) {
      const read = await perform(httpPort, key, { type: "read" }, { timeoutMs: TIMEOUT_MS });
      expect(read).toMatchObject({ outcome: "done", output: { value } });
    }
  }
});

function sortedTimes(writes: readonly Write[]): number[] {
  return writes.map(({ tookMs }) => tookMs).toSorted((a, b) => a - b);
}

/** The quantile of sorted times. */
function at(times: readonly number[], share: number): number {
  return times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Infinity;
}

/** Has leadership moved to a member, asked of that very member. */
async function leads(member: Member): Promise<void> {
  const reply = await askForReply({
    port: member.httpPort,
    method: "POST",
    path: `/leader/transfer?to=${member.id}`,
  });
  expect(jsonOf(reply)).toEqual({ leader: member.id });
}
