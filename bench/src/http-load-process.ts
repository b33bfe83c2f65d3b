/**
 * The load generator, in a process of its own: warms up, measures one window of a load together
 * with what the members used meanwhile, and prints what it found as JSON.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { HttpLoad } from "./http-load.ts";
import type { LoadRequest } from "./http-load.ts";
import { keyNamed, loadRequest } from "./http-request.ts";
import { BEGUN } from "./http-window.ts";
import type { LoadRun, LoadWindow } from "./http-window.ts";
import { systemNamed } from "./kv-systems.ts";
import { machineTime, shareOfOthers } from "./machine-load.ts";
import { cpuUsOf, peakBytesOf } from "./process-times.ts";

const run = JSON.parse(process.argv[2]!) as LoadRun;
process.stdout.write(`${JSON.stringify(await measure(run))}\n`);

async function measure(run: LoadRun): Promise<LoadWindow> {
  const { ports, connections, ratePerSecond } = run;
  const { protocol } = systemNamed(run.system);
  const load = new HttpLoad({
    protocol,
    ports,
    connections,
    ratePerSecond,
    requests: requestsOf(run),
  });
  await load.start();
  await sleep(run.warmUpMs);
  // A store is filled by a warm-up that reaches every key.
  while (run.reachesEveryKey && !load.reachedAll && load.running) await sleep(10);
  load.histogram.clear();
  const machineBefore = machineTime();
  const before = usage(run.pids);
  await (run.windowMs === undefined ? inputEnds(load) : sleep(run.windowMs));
  const after = usage(run.pids);
  const requests = load.histogram.count;
  const machineAfter = machineTime();
  await load.stop();
  if (requests === 0) throw new Error("nothing was answered in the whole window");
  const elapsedMs = after.atMs - before.atMs;
  const cpuUs = after.cpuUs.map((us, i) => us - before.cpuUs[i]!);
  const generatorUs = after.generatorUs - before.generatorUs;
  const ownUs = cpuUs.reduce((sum, us) => sum + us, generatorUs);
  return {
    requestsPerSecond: (requests / elapsedMs) * 1_000,
    p50Ms: load.histogram.quantileMs(0.5),
    p99Ms: load.histogram.quantileMs(0.99),
    maxMs: load.histogram.maxMs,
    cpuUs: cpuUs.map((us) => us / requests),
    generatorCpuUs: generatorUs / requests,
    peakBytes: run.pids.map(peakBytesOf),
    othersShare: shareOfOthers(machineBefore, machineAfter, ownUs),
  };
}

/** Until whoever started this process says so, or the load fails. */
async function inputEnds(load: HttpLoad): Promise<void> {
  process.stdin.resume();
  process.stdout.write(`${BEGUN}\n`);
  while (!process.stdin.readableEnded && load.running) await sleep(10);
}

function requestsOf(run: LoadRun): readonly LoadRequest[] {
  const kv = systemNamed(run.system);
  return Array.from({ length: run.keys }, (_, i) => {
    const number = run.keyFrom + i * run.keyStride;
    const value = Buffer.alloc(run.valueBytes, `${number}.`);
    return loadRequest(kv.protocol, kv.request(run.operation, keyNamed(number), value));
  });
}

function usage(pids: readonly number[]) {
  const { user, system } = process.cpuUsage();
  const atMs = performance.now();
  return { atMs, cpuUs: pids.map(cpuUsOf), generatorUs: user + system };
}
