import { describe, expect, test } from "vitest";
import { SimDisk } from "../disk/sim-disk.ts";
import type { DiskBatch, DiskStateMachine } from "../machine/disk-machine.ts";
import { FileBackend } from "../store/file-backend.ts";
import { onStore } from "../store/store-machine.ts";
import type { StoreMachine } from "../store/store-machine.ts";
import { fromUtf8, utf8 } from "../util/bytes.ts";
import { crc32 } from "../util/checksum.ts";
import { checkDiskMachine } from "./disk-machine-check.ts";

type Add = { key: string; amount: number };
type Machine = DiskStateMachine<Add, string>;

const SUMS: StoreMachine<Add, string> = {
  apply: ({ key, amount }, store) => {
    const sum = amount + Number(fromUtf8(store.get(key) ?? utf8("0")));
    if (sum % 5 === 0) store.delete(key);
    else store.put(key, utf8(String(sum)));
    return sum;
  },
  query: (key, store) => fromUtf8(store.get(key) ?? utf8("")),
};

const commands = Array.from({ length: 50 }, (_, i): Add => ({ key: `k${i % 7}`, amount: i }));

/** A machine around another one, which does something else. */
function around(machine: Machine, other: Partial<Machine>): Machine {
  return {
    open: () => machine.open(),
    apply: (batch) => machine.apply(batch),
    query: (query) => machine.query(query),
    sync: () => machine.sync(),
    checkpoint: () => machine.checkpoint(),
    restore: (chunks, records) => machine.restore(chunks, records),
    close: () => machine.close(),
    ...other,
  };
}

function check(wrap: (machine: Machine) => Machine = (machine) => machine): Promise<void> {
  const queries = ["k1", "k5"];
  const place = async (): Promise<() => Machine> => {
    const disk = new SimDisk();
    return () => wrap(onStore(SUMS, new FileBackend({ disk, directory: "/m", checksum: crc32 })));
  };
  return checkDiskMachine({ place, commands, queries });
}

describe("checkDiskMachine", () => {
  test("finds nothing wrong with a machine of keys and values", () => check());

  test("finds records that are not stored with their batch", async () => {
    const kept = (batch: DiskBatch<Add>): DiskBatch<Add> => ({
      entries: batch.entries,
      records: (results) => batch.records(results).slice(0, 1),
    });
    const wrap = (machine: Machine): Machine =>
      around(machine, { apply: (batch) => machine.apply(kept(batch)) });
    await expect(check(wrap)).rejects.toMatchObject({ rule: "records" });
  });

  test("finds a sync that does nothing", async () => {
    const wrap = (machine: Machine): Machine => {
      let late: (() => void)[] = [];
      // What is applied stays in this object until it is too late.
      return around(machine, {
        apply: (batch) => {
          late.push(() => void machine.apply(batch));
          const results = batch.entries.map(() => 0);
          batch.records(results);
          return results;
        },
        sync: async () => {
          late = [];
        },
      });
    };
    await expect(check(wrap)).rejects.toMatchObject({
      rule: expect.stringMatching(/durable|throws/),
    });
  });

  test("finds a checkpoint that shows what comes later", async () => {
    const wrap = (machine: Machine): Machine =>
      around(machine, {
        checkpoint: () => ({
          async *stream() {
            yield new Uint8Array(0);
            yield* machine.checkpoint().stream();
          },
          release: () => {},
        }),
      });
    await expect(check(wrap)).rejects.toMatchObject({ rule: "point-in-time" });
  });

  test("finds a machine that takes a stream which breaks off", async () => {
    const wrap = (machine: Machine): Machine =>
      around(machine, {
        restore: (chunks, records) => machine.restore(swallowing(chunks), records),
      });
    await expect(check(wrap)).rejects.toMatchObject({ rule: "restored" });
  });

  test("finds a restore without its records, and what the machine throws", async () => {
    const forgets = (machine: Machine): Machine =>
      around(machine, { restore: (chunks) => machine.restore(chunks, []) });
    await expect(check(forgets)).rejects.toMatchObject({ rule: expect.stringMatching(/rest|rec/) });
    const throws = (machine: Machine): Machine =>
      around(machine, {
        query: () => {
          throw new Error("no answer");
        },
      });
    await expect(check(throws)).rejects.toMatchObject({ rule: "throws" });
  });
});

async function* swallowing(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
  } catch {
    // As if that was all.
  }
}
