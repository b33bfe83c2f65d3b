/**
 * The power-cut rig proves itself: a volume that is cut loses what was not synced and keeps what
 * was. Without this the tests that rely on it could pass because nothing was ever lost.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { DiskError, DiskReason } from "../../packages/raft/src/disk/disk.ts";
import { NodeDisk } from "../../packages/raft/src/disk/node-disk.ts";
import { skipLoudly } from "../harness/skip-loudly.ts";
import { Ext4Volume, powerCutSupport } from "../power-cut/ext4-volume.ts";

describe("a volume whose power is cut", () => {
  let volume: Ext4Volume | undefined;
  let missing = "";

  beforeAll(async () => {
    const support = await powerCutSupport();
    if (support.ok) volume = await Ext4Volume.create(support.tool);
    else missing = support.reason;
  });
  afterAll(async () => {
    await volume?.destroy();
  });
  beforeEach((context) => {
    if (volume === undefined) skipLoudly(context, `no power can be cut here: ${missing}`);
  });

  const at = (name: string): string => join(volume?.mountPoint ?? "", name);
  const cut = async (mode: "nologflush" | "logflush"): Promise<void> => {
    await volume?.cut(mode);
    await volume?.restore();
  };
  const syncDirectory = (): void => {
    const fd = fs.openSync(at(""), "r");
    fs.fsyncSync(fd);
    fs.closeSync(fd);
  };
  const writeSynced = (name: string, text: string): void => {
    const fd = fs.openSync(at(name), "w");
    fs.writeSync(fd, text);
    fs.fsyncSync(fd);
    fs.closeSync(fd);
    syncDirectory();
  };

  test("loses an append that was not synced and keeps one that was", async () => {
    writeSynced("a", "kept");
    const fd = fs.openSync(at("a"), "a");
    fs.writeSync(fd, " lost");
    expect(fs.readFileSync(at("a"), "utf8")).toBe("kept lost");
    await volume?.cut("nologflush");
    fs.closeSync(fd);
    await volume?.restore();
    expect(fs.readFileSync(at("a"), "utf8")).toBe("kept");
  });

  test("keeps a data-synced write without any other sync", async () => {
    writeSynced("b", "0000");
    const fd = fs.openSync(at("b"), fs.constants.O_RDWR | fs.constants.O_DSYNC);
    fs.writeSync(fd, "1111", 0);
    fs.closeSync(fd);
    const plain = fs.openSync(at("b"), "r+");
    fs.writeSync(plain, "2", 3);
    fs.closeSync(plain);
    await cut("nologflush");
    expect(fs.readFileSync(at("b"), "utf8")).toBe("1111");
  });

  test("undoes a rename whose directory was not synced and keeps one whose was", async () => {
    writeSynced("target", "old");
    writeSynced("c", "new");
    fs.renameSync(at("c"), at("target"));
    expect(fs.readFileSync(at("target"), "utf8")).toBe("new");
    await cut("nologflush");
    expect(fs.readFileSync(at("target"), "utf8")).toBe("old");
    fs.renameSync(at("c"), at("target"));
    syncDirectory();
    await cut("nologflush");
    expect(fs.readFileSync(at("target"), "utf8")).toBe("new");
    expect(fs.existsSync(at("c"))).toBe(false);
  });

  test("keeps, with the journal flushed, a name whose data is lost", async () => {
    fs.writeFileSync(at("d"), "never synced");
    await cut("logflush");
    expect(fs.readFileSync(at("d"), "utf8")).toBe("");
  });

  test("lets nothing through after the cut", async () => {
    const fd = fs.openSync(at("e"), "w");
    await volume?.cut("nologflush");
    expect(() => {
      fs.writeSync(fd, "x");
      fs.fsyncSync(fd);
    }).toThrow();
    fs.closeSync(fd);
    await volume?.restore();
    expect(fs.existsSync(at("e"))).toBe(false);
  });

  test("is what the disk port says it is: failed after the cut, full when it is full", async () => {
    const disk = new NodeDisk();
    const reasonOf = (promise: Promise<unknown>): Promise<DiskReason | undefined> =>
      promise.then(
        () => undefined,
        (error: DiskError) => error.reason,
      );
    const file = await disk.open(at("big"), { mode: "create" });
    const megabyte = new Uint8Array(1 << 20).fill(1);
    let reason: DiskReason | undefined;
    for (let i = 0; i < 100 && reason === undefined; i++) {
      reason = await reasonOf(file.write(megabyte, i << 20));
    }
    expect(reason).toBe("full");
    await file.truncate(0);
    await file.write(megabyte, 0);

    const options = { mode: "write", dataSync: true, urgent: true } as const;
    const log = await disk.open(at("big"), options);
    await volume?.cut("nologflush");
    expect(await reasonOf(log.write(megabyte, 0))).toBe("io");
    expect(await reasonOf(file.sync())).toBe("io");
    await Promise.allSettled([file.close(), log.close()]);
    await volume?.restore();
  });

  test("is cut and restored a hundred times and stays sound", async () => {
    for (let i = 0; i < 100; i++) {
      writeSynced(`f${i % 7}`, `round ${i}`);
      fs.writeFileSync(at("g"), `${i}`);
      await cut(i % 2 === 0 ? "nologflush" : "logflush");
      expect(fs.readFileSync(at(`f${i % 7}`), "utf8")).toBe(`round ${i}`);
    }
    await volume?.check();
  });
});
