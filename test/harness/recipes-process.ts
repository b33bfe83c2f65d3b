/**
 * A member of a cluster that uses every recipe all the time, and says what it does, one line each,
 * with the time of the machine's monotonic clock, which all processes share:
 *
 *   <ns> enter <fence>      begins to work under the lock
 *   <ns> leave <fence>      ends, and still had it
 *   <ns> lost <fence>       ends, and was told meanwhile that it had lost it
 *   <ns> run <n> <fence>    does run n of the job
 *   <ns> added | unknown    added one to the counter, or may have
 *   <ns> stopped            after the first SIGUSR2: does nothing any more
 *   <ns> count <n>          after the second: what the counter shows
 *
 * Arguments: id, data directory, and the members as JSON.
 */
import { writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { openReplica, QuorateError } from "../../packages/raft/src/index.ts";
import type { StaticMember } from "../../packages/raft/src/index.ts";
import {
  ComposedMachine,
  everyWhileLeader,
  LockMachine,
  MapMachine,
  ReplicatedLock,
  ReplicatedMap,
  ScheduleMachine,
} from "../../packages/raft/src/recipes/index.ts";

const LOCK_MS = 1_500;
const WORK_MS = 10;
const EVERY_MS = 100;
const PATIENCE_MS = 60_000;

const [id = "", dataDir = "", list = "[]"] = process.argv.slice(2);
const members = JSON.parse(list) as readonly StaticMember[];
const listen = members.find((member) => member.id === id)?.address ?? "";

const machine = new ComposedMachine({
  counters: new MapMachine<string, number>(),
  locks: new LockMachine(),
  jobs: new ScheduleMachine(),
});
const node = await openReplica({
  id,
  listen,
  dataDir,
  machine,
  start: { members },
  electionTimeoutMs: 300,
});
const counters = new ReplicatedMap(machine.part("counters", node));
const locks = new ReplicatedLock(machine.part("locks", node), { owner: id });
const jobs = machine.part("jobs", node);

const stopping = new AbortController();
process.on("SIGUSR2", () => {
  if (!stopping.signal.aborted) stopping.abort();
  else void counters.get("n").then((n) => say(`count ${n ?? 0}`));
});
// A defect ends the process; what ends a call for a while does not.
await Promise.all([again(underLock), again(add), runs()]);
say("stopped");

async function underLock(): Promise<void> {
  await locks.withLock(
    "l",
    async ({ fence, signal }) => {
      say(`enter ${fence}`);
      await sleep(WORK_MS);
      say(`${signal.aborted ? "lost" : "leave"} ${fence}`);
    },
    { ttlMs: LOCK_MS, timeoutMs: PATIENCE_MS },
  );
  await sleep(WORK_MS);
}

async function add(): Promise<void> {
  try {
    await counters.update("n", (n) => (n ?? 0) + 1);
    say("added");
  } catch (error) {
    if (QuorateError.is(error) && error.outcome === "unknown") say("unknown");
    throw error;
  }
  await sleep(WORK_MS);
}

async function runs(): Promise<void> {
  const { leadership } = node;
  const { signal } = stopping;
  await everyWhileLeader(
    { leadership, schedule: jobs, job: "j", everyMs: EVERY_MS, signal },
    async ({ run, fence }) => say(`run ${run} ${fence}`),
  );
}

async function again(step: () => Promise<void>): Promise<void> {
  while (!stopping.signal.aborted) {
    try {
      await step();
    } catch (error) {
      if (!QuorateError.is(error)) throw error;
      await sleep(50);
    }
  }
}

function say(text: string): void {
  writeSync(1, `${process.hrtime.bigint()} ${text}\n`);
}
