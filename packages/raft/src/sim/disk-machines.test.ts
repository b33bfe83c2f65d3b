/**
 * Users' machines on disk in the simulator: `simulate` and `testCluster` with storage that is the
 * simulated disk of the member.
 */
import { describe, expect, test } from "vitest";
import type { DiskBatch, DiskStateMachine, EngineRecord } from "../machine/disk-machine.ts";
import type { MachineStorage } from "../machine/machine-storage.ts";
import type { Returns } from "../machine/state-machine.ts";
import type { StoreMachine, StoreReader, StoreWriter } from "../store/store-machine.ts";
import { fromUtf8, utf8 } from "../util/bytes.ts";
import type { Random } from "../util/random.ts";
import { onSimDisk } from "./on-sim-disk.ts";
import { simulate } from "./simulate.ts";
import type { SimulateOptions } from "./simulate.ts";
import { SimulationFailure } from "./simulation-failure.ts";
import { testCluster } from "./test-cluster.ts";
import type { Call } from "./workload/workload.ts";

type Add = { readonly key: string; readonly amount: number } & Returns<number>;
type Sum = { readonly key: string } & Returns<number>;

const add = (key: string, amount: number): Add => ({ key, amount });
const sum = (key: string): Sum => ({ key });

class Sums implements StoreMachine<Add, Sum> {
  apply({ key, amount }: Add, store: StoreWriter): number {
    const after = sumOf(store, key) + amount;
    store.put(key, utf8(String(after)));
    return after;
  }

  query({ key }: Sum, store: StoreReader): number {
    return sumOf(store, key);
  }
}

function sumOf(store: StoreReader, key: string): number {
  return Number(fromUtf8(store.get(key) ?? utf8("0")));
}

const workload = (random: Random): Call<Add, Sum> => {
  const key = `k${random.below(5)}`;
  return random.below(4) === 0
    ? { kind: "read", query: sum(key) }
    : { kind: "write", command: add(key, 1 + random.below(9)) };
};

type Machine = DiskStateMachine<Add, Sum>;

const SHORT: SimulateOptions<Add, Sum, Machine> = {
  machine: ({ storage }) => onSimDisk(new Sums(), storage),
  workload,
  seeds: 2,
  members: 3,
  shrinkAttempts: 0,
  override: { faultyMs: 500 },
};

async function failureOf(
  options: Partial<SimulateOptions<Add, Sum, Machine>>,
): Promise<SimulationFailure> {
  try {
    await simulate({ ...SHORT, ...options });
  } catch (error) {
    if (error instanceof SimulationFailure) return error;
    throw error;
  }
  throw new Error("want a failure");
}

/** A machine that does something else than the one inside of it. */
function around(inner: Machine, other: Partial<Machine>): Machine {
  return {
    open: () => inner.open(),
    apply: (batch) => inner.apply(batch),
    query: (query) => inner.query(query),
    sync: () => inner.sync(),
    checkpoint: () => inner.checkpoint(),
    restore: (chunks, records) => inner.restore(chunks, records),
    close: () => inner.close(),
    ...other,
  };
}

describe("simulate, with machines on disk", () => {
  test("goes through crashes, power cuts and snapshots, and hands the machines to the check", async () => {
    let checks = 0;
    const found: number[] = [];
    const summary = await simulate({
      ...SHORT,
      seeds: 3,
      profile: "snapshots",
      override: { faultyMs: 800, onDisk: 1 },
      machine: ({ storage, life }) => {
        const inner = onSimDisk<Add, Sum>(new Sums(), storage);
        const open = async (): Promise<readonly EngineRecord[]> => {
          const records = await inner.open();
          if (life > 1) found.push(records.length);
          return records;
        };
        return around(inner, { open });
      },
      check: async ({ machines, applied }) => {
        checks++;
        const wanted = applied
          .filter(({ input }) => (input as Add).key === "k1")
          .reduce((all, { input }) => all + (input as Add).amount, 0);
        // One may have lost its disk for good.
        expect(machines.length).toBeGreaterThanOrEqual(2);
        for (const machine of machines) expect(await machine.query(sum("k1"))).toBe(wanted);
      },
    });
    expect(checks).toBe(3);
    expect(summary.answered).toBeGreaterThan(20);
    expect(summary.faults).toBeGreaterThan(0);
    // Later lives go on with what earlier ones have left.
    expect(found.some((records) => records > 0)).toBe(true);
  });

  test("finds a commit that is not synced and said to be", async () => {
    const failure = await failureOf({
      seeds: 40,
      profile: "snapshots",
      machine: ({ storage }) => onSimDisk(new Sums(), unsynced(storage)),
    });
    expect(failure.violation.invariant).toBe("starts-again");
    expect(failure.message).toMatch(/what stands for the entries before is lost/);
  });

  test("finds effects that are stored without their records", async () => {
    // What is kept says that nothing was ever applied: so it is applied again.
    const failure = await failureOf({
      seeds: 20,
      faults: ["crash"],
      override: { faultyMs: 1_000, onDisk: 1 },
      machine: ({ storage }) => {
        const inner = onSimDisk<Add, Sum>(new Sums(), storage);
        let first: ReturnType<DiskBatch<Add>["records"]> | undefined;
        return around(inner, {
          apply: (batch) =>
            inner.apply({
              entries: batch.entries,
              records: (results) => {
                const records = batch.records(results);
                return (first ??= records);
              },
            }),
        });
      },
    });
    expect(failure.violation.invariant).toBe("state-machine-safety");
  });

  test("finds a state that depends on the life it is in", async () => {
    const failure = await failureOf({
      machine: ({ storage, id }) => {
        const inner = onSimDisk<Add, Sum>(new Sums(), storage);
        return around(inner, {
          checkpoint: () => {
            const checkpoint = inner.checkpoint();
            return {
              async *stream() {
                yield utf8(id);
                yield* checkpoint.stream();
              },
              release: () => checkpoint.release(),
            };
          },
        });
      },
      profile: "calm",
    });
    expect(failure.violation.invariant).toBe("same-state");
    expect(failure.message).toContain("is in another state than a new machine");
  });

  test("reports what a check rejects with", async () => {
    const failure = await failureOf({
      seeds: 1,
      check: async ({ machines }) => {
        await machines[0]!.query(sum("k1"));
        throw new Error("not as it should be");
      },
    });
    expect(failure.violation.invariant).toBe("check");
    expect(failure.message).toContain("not as it should be");
  });
});

/** A disk on which nothing of the machine is ever synced. */
function unsynced(storage: MachineStorage): MachineStorage {
  const { disk } = storage;
  return {
    ...storage,
    disk: {
      open: async (path, options) => {
        const file = await disk.open(path, options);
        return {
          path,
          write: (bytes, position) => file.write(bytes, position),
          read: (into, position) => file.read(into, position),
          sync: async () => {},
          truncate: (size) => file.truncate(size),
          size: () => file.size(),
          close: () => file.close(),
        };
      },
      list: (path) => disk.list(path),
      makeDirectory: (path) => disk.makeDirectory(path),
      rename: (from, to) => disk.rename(from, to),
      remove: (path) => disk.remove(path),
      exists: (path) => disk.exists(path),
      syncDirectory: (path) => disk.syncDirectory(path),
      lock: (path) => disk.lock(path),
      lockHolder: (path) => disk.lockHolder(path),
    },
  };
}

describe("testCluster, with machines on disk", () => {
  const machine = ({ storage }: { storage: MachineStorage }): Machine =>
    onSimDisk(new Sums(), storage);

  test("goes on with what its disks hold, after a power cut of all", async () => {
    await using cluster = await testCluster({ machine });
    const leader = await cluster.leader();
    for (let i = 1; i <= 30; i++) await leader.replica.write(add("a", i));
    for (const member of cluster.members) member.crash();
    for (const member of cluster.members) await member.start();
    const next = await cluster.leader();
    expect(await next.replica.read(sum("a"))).toBe(465);
    expect(await next.replica.write(add("a", 1))).toBe(466);
    expect(await next.machine?.query(sum("a"))).toBe(466);
  });
});
