/**
 * Makes a failing run smaller, as long as it goes on failing in the same way.
 *
 * Each attempt changes one thing towards "less": a nemesis left out, fewer clients, a network
 * without loss, a shorter time of trouble. What keeps the violation is kept. It ends when nothing
 * more can go, or after `attemptsMax` runs. The result are options, never a seed alone.
 */
import type { RunHow, SimResult } from "./run.ts";
import { runSimulation } from "./run.ts";
import type { DelayOptions, SimOptions } from "./options.ts";

/** How to shrink. */
export interface ShrinkHow {
  /** How many runs at most. Default 200. */
  readonly attemptsMax?: number;
  /** The subject of the runs, as for `runSimulation`. */
  readonly subject?: (options: SimOptions) => NonNullable<RunHow["subject"]>;
  /** Told after each attempt. */
  readonly onAttempt?: (attempt: ShrinkAttempt) => void;
}

/** One attempt. */
export interface ShrinkAttempt {
  readonly number: number;
  readonly what: string;
  readonly isKept: boolean;
  /** The smallest failing run so far. */
  readonly smallest: SimResult;
}

/** Finds smaller options that break the same invariant; the result of their run. */
export async function shrink(failed: SimResult, how: ShrinkHow = {}): Promise<SimResult> {
  const wanted = failed.violation?.invariant;
  let smallest = failed;
  if (wanted === undefined) return failed;
  const attemptsMax = how.attemptsMax ?? 200;
  let number = 0;
  for (let hasShrunk = true; hasShrunk;) {
    hasShrunk = false;
    for (const { what, options } of smaller(smallest)) {
      if (++number > attemptsMax) return smallest;
      const subject = how.subject?.(options);
      const result = await runSimulation(options, subject === undefined ? {} : { subject });
      const isKept = result.violation?.invariant === wanted;
      if (isKept) smallest = result;
      how.onAttempt?.({ number, what, isKept, smallest });
      if (!isKept) continue;
      hasShrunk = true;
      break;
    }
  }
  return smallest;
}

interface Candidate {
  readonly what: string;
  readonly options: SimOptions;
}

/** All that could be left out next, the largest first. */
function* smaller({ options, violation }: SimResult): Generator<Candidate> {
  yield* shorter(options, violation?.atUs ?? 0);
  for (const [i, { kind }] of options.nemeses.entries()) {
    const nemeses = options.nemeses.filter((_, j) => j !== i);
    yield { what: `no ${kind}`, options: { ...options, nemeses } };
  }
  yield* fewerClients(options);
  yield* calmerNetwork(options);
  yield* calmerMembers(options);
}

function* shorter(options: SimOptions, atUs: number): Generator<Candidate> {
  const { faultyMs } = options;
  const atMs = Math.ceil(atUs / 1_000);
  const lengths = [atMs + 1, Math.floor(faultyMs / 2), Math.floor((faultyMs * 3) / 4)];
  for (const ms of lengths) {
    if (ms > 0 && ms < faultyMs && faultyMs - ms > 5) {
      yield { what: `trouble for ${ms} ms`, options: { ...options, faultyMs: ms } };
    }
  }
}

function* fewerClients(options: SimOptions): Generator<Candidate> {
  const { clients } = options;
  const changes: Partial<SimOptions["clients"]>[] = [];
  if (clients.open > 0) changes.push({ open: 0 });
  if (clients.closed > 1) changes.push({ closed: 1 }, { closed: Math.ceil(clients.closed / 2) });
  if (clients.keys > 1) changes.push({ keys: 1 });
  if (clients.readShare > 0) changes.push({ readShare: 0 });
  if (clients.localReadShare > 0) changes.push({ localReadShare: 0 });
  if (clients.leaseReadShare > 0) changes.push({ leaseReadShare: 0 });
  if (clients.staleReadShare > 0) changes.push({ staleReadShare: 0 });
  if (clients.valueBytesMax > 8) changes.push({ valueBytesMax: 8 });
  for (const change of changes) {
    const what = JSON.stringify(change);
    yield { what: `clients ${what}`, options: { ...options, clients: { ...clients, ...change } } };
  }
}

function* calmerNetwork(options: SimOptions): Generator<Candidate> {
  const { network } = options;
  const changes: Partial<SimOptions["network"]>[] = [];
  if (network.lossShare > 0) changes.push({ lossShare: 0 });
  if (network.duplicateShare > 0) changes.push({ duplicateShare: 0 });
  if (network.bytesPerSecond > 0) changes.push({ bytesPerSecond: 0 });
  if (network.delay.tailShare > 0) changes.push({ delay: withoutTail(network.delay) });
  if (network.mode === "streams") changes.push({ mode: "messages" });
  for (const change of changes) {
    const what = Object.keys(change).join(", ");
    yield { what: `calmer ${what}`, options: { ...options, network: { ...network, ...change } } };
  }
}

function* calmerMembers(options: SimOptions): Generator<Candidate> {
  const { disk, clock, limits, leaseReads } = options;
  if (options.onDisk !== undefined) {
    const { onDisk: _, ...rest } = options;
    yield { what: "machines in memory", options: rest };
  }
  if (options.snapshots !== undefined) {
    yield { what: "no snapshots", options: { ...options, snapshots: undefined } };
  }
  if (leaseReads) yield { what: "no leases", options: { ...options, leaseReads: false } };
  if (disk.write.tailShare > 0 || disk.other.tailShare > 0) {
    const calm = { write: withoutTail(disk.write), other: withoutTail(disk.other) };
    yield { what: "disks without tails", options: { ...options, disk: calm } };
  }
  if (clock.rateSpreadPpm > 0 || clock.lateShare > 0) {
    const calm = { ...clock, rateSpreadPpm: 0, lateShare: 0 };
    yield { what: "true clocks", options: { ...options, clock: calm } };
  }
  if (Object.keys(limits).length > 0) {
    yield { what: "usual limits", options: { ...options, limits: {} } };
  }
  for (const members of [1, 2, 3]) {
    if (members < options.members)
      yield { what: `${members} members`, options: { ...options, members } };
  }
}

function withoutTail(delay: DelayOptions): DelayOptions {
  return { ...delay, tailShare: 0 };
}
