import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { backendSuite } from "../store/backend-suite.ts";
import type { StoreMachine } from "../store/store-machine.ts";
import { checkDiskMachine } from "../testing/disk-machine-check.ts";
import { lmdbBackend, onLmdb } from "./node-lmdb-backend.ts";

const COUNTS: StoreMachine<{ key: string; value: number }, string> = {
  apply: ({ key, value }, store) => {
    if (value % 7 === 0) store.delete(key);
    else store.put(key, Uint8Array.of(value));
    return value;
  },
  query: (key, store) => String(store.get(key)),
};

const made: string[] = [];
async function scratch(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "quorate-lmdb-"));
  made.push(path);
  return join(path, "store");
}

afterAll(async () => {
  for (const path of made) await rm(path, { recursive: true, force: true });
});

describe("a backend on LMDB", () => {
  const cases = backendSuite(async () => {
    const path = await scratch();
    return () => lmdbBackend({ path });
  });
  for (const one of cases) test(one.name, () => one.run());

  test("a machine on it keeps the contract of machines on disk", () =>
    checkDiskMachine<{ key: string; value: number }, string>({
      place: async () => {
        const path = await scratch();
        return () => onLmdb(COUNTS, { path });
      },
      commands: Array.from({ length: 60 }, (_, i) => ({ key: `k${i % 9}`, value: i })),
      queries: ["k1", "k8"],
    }));

  test("a replacement larger than what is synced at once is there whole", async () => {
    const path = await scratch();
    const first = lmdbBackend({ path });
    await first.open();
    const replacement = await first.replace();
    const value = (i: number): Uint8Array => new Uint8Array(1_048_576).fill(i);
    for (let i = 0; i < 20; i++) await replacement.put([[`k${10 + i}`, value(i)]]);
    expect(first.get("k10")).toBeUndefined();
    await replacement.take();
    await first.close();
    const second = lmdbBackend({ path });
    await second.open();
    for (let i = 0; i < 20; i++) {
      expect(Buffer.compare(second.get(`k${10 + i}`)!, value(i)), String(i)).toBe(0);
    }
    await second.close();
  });

  test("a replacement that could not be named leaves what was there", async () => {
    const path = await scratch();
    const first = lmdbBackend({ path });
    await first.open();
    await first.commit([["a", Uint8Array.of(1)]]);
    const replacement = await first.replace();
    await replacement.put([["b", Uint8Array.of(2)]]);
    await mkdir(join(path, "CURRENT.new"));
    await expect(replacement.take()).rejects.toThrow("EISDIR");
    await replacement.abandon();
    expect(first.get("a")).toEqual(Uint8Array.of(1));
    await first.close();
    const second = lmdbBackend({ path });
    await second.open();
    expect(second.get("a")).toEqual(Uint8Array.of(1));
    expect(second.get("b")).toBeUndefined();
    await second.close();
    expect((await readdir(path)).toSorted()).toEqual(["CURRENT", "env-1"]);
  });

  test("what is not named by CURRENT goes, and a named one that is missing is refused", async () => {
    const path = await scratch();
    const first = lmdbBackend({ path });
    await first.open();
    await first.commit([["a", Uint8Array.of(1)]]);
    const view = first.view();
    const replacement = await first.replace();
    await replacement.put([["b", Uint8Array.of(2)]]);
    await replacement.take();
    // Somebody reads the old one.
    expect((await readdir(path)).toSorted()).toEqual(["CURRENT", "env-1", "env-2"]);
    view.release();
    await first.close();
    await writeFile(join(path, "CURRENT.new"), "env-9\n");
    const second = lmdbBackend({ path });
    await second.open();
    expect(second.get("b")).toEqual(Uint8Array.of(2));
    await second.close();
    expect((await readdir(path)).toSorted()).toEqual(["CURRENT", "env-2"]);
    await rm(join(path, "env-2"), { recursive: true });
    await expect(lmdbBackend({ path }).open()).rejects.toThrow("env-2");
  });
});
