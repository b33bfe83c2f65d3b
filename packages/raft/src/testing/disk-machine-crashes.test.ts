import { describe, expect, test } from "vitest";
import type { Disk, DiskFile } from "../disk/disk.ts";
import type { DiskBatch, DiskStateMachine } from "../machine/disk-machine.ts";
import type { MachineStorage } from "../machine/machine-storage.ts";
import { onSimDisk } from "../sim/on-sim-disk.ts";
import type { StoreMachine } from "../store/store-machine.ts";
import { fromUtf8, utf8 } from "../util/bytes.ts";
import { checkDiskMachineCrashes } from "./disk-machine-crashes.ts";

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

const commands = Array.from({ length: 40 }, (_, i): Add => ({ key: `k${i % 7}`, amount: i }));

function check(
  wrap: (storage: MachineStorage) => Machine = (storage) => onSimDisk(SUMS, storage),
  changesPerCommit?: number,
): Promise<number> {
  return checkDiskMachineCrashes({
    machine: wrap,
    commands,
    queries: ["k1", "k5"],
    ...(changesPerCommit === undefined ? {} : { changesPerCommit }),
  });
}

/** A disk that does something else with files, or with names. */
function withDisk(
  storage: MachineStorage,
  wrap: (file: DiskFile) => Partial<DiskFile>,
  other: Partial<Disk> = {},
): MachineStorage {
  const { disk } = storage;
  const open: Disk["open"] = async (path, options) => {
    const file = await disk.open(path, options);
    return {
      path: file.path,
      write: (bytes, position) => file.write(bytes, position),
      read: (into, position) => file.read(into, position),
      sync: () => file.sync(),
      truncate: (size) => file.truncate(size),
      size: () => file.size(),
      close: () => file.close(),
      ...wrap(file),
    };
  };
  return {
    ...storage,
    disk: {
      open,
      list: (path) => disk.list(path),
      makeDirectory: (path) => disk.makeDirectory(path),
      rename: (from, to) => disk.rename(from, to),
      remove: (path) => disk.remove(path),
      exists: (path) => disk.exists(path),
      syncDirectory: (path) => disk.syncDirectory(path),
      lock: (path) => disk.lock(path),
      lockHolder: (path) => disk.lockHolder(path),
      ...other,
    },
  };
}

describe("checkDiskMachineCrashes", () => {
  test.each([1, 3, 1_000])(
    "finds nothing wrong with a machine of keys and values, at %i changes per commit",
    async (changes) => {
      expect(await check(undefined, changes)).toBeGreaterThan(30);
    },
  );

  test("finds files that are not synced", async () => {
    const checked = check((storage) =>
      onSimDisk(
        SUMS,
        withDisk(storage, () => ({ sync: async () => {} })),
      ),
    );
    await expect(checked).rejects.toMatchObject({
      rule: expect.stringMatching(/durable|restored/),
      message: expect.stringMatching(/the power was cut in operation \d+ of the disk/),
    });
  });

  test("finds names that are not synced", async () => {
    const checked = check((storage) =>
      onSimDisk(
        SUMS,
        withDisk(storage, () => ({}), { syncDirectory: async () => {} }),
      ),
    );
    await expect(checked).rejects.toMatchObject({
      rule: expect.stringMatching(/durable|restored/),
    });
  });

  test("finds records that are stored by themselves", async () => {
    const checked = check((storage) => {
      const inner = onSimDisk<Add, string>(SUMS, storage);
      const apply = async (batch: DiskBatch<Add>): Promise<readonly unknown[]> => {
        const results = await inner.apply({ entries: batch.entries, records: () => [] });
        await inner.sync();
        await inner.apply({ entries: [], records: () => batch.records(results) });
        return results;
      };
      return {
        open: () => inner.open(),
        apply,
        query: (query) => inner.query(query),
        sync: () => inner.sync(),
        checkpoint: () => inner.checkpoint(),
        restore: (chunks, own) => inner.restore(chunks, own),
        close: () => inner.close(),
      };
    });
    await expect(checked).rejects.toMatchObject({ rule: "records" });
  });
});
