/**
 * Real power cuts under load: nothing that was acknowledged is ever lost. And the control: with the
 * syncs switched off the same rig finds losses at once, so it can find them.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { compileProgram } from "../power-cut/compile.ts";
import { runCuts } from "../power-cut/cut-run.ts";
import { Ext4Volume, powerCutSupport } from "../power-cut/ext4-volume.ts";
import type { PowerCutSupport } from "../power-cut/ext4-volume.ts";

const CUTS = process.env["QUORATE_LONG"] === "1" ? 10_000 : 200;
const PROGRAM = join(import.meta.dirname, "../power-cut/log-program.ts");
const SCRATCH = join(import.meta.dirname, "../.scratch", `power-cut-${process.pid}`);

describe("the log under real power cuts", () => {
  let support: PowerCutSupport;
  let program = "";

  beforeAll(async () => {
    support = await powerCutSupport();
    if (support.ok) program = await compileProgram(PROGRAM, SCRATCH);
  });
  afterAll(() => rmSync(SCRATCH, { recursive: true, force: true }));
  beforeEach((context) => {
    if (!support.ok) context.skip(`no power can be cut here: ${support.reason}`);
  });

  const withVolume = async <T>(body: (volume: Ext4Volume) => Promise<T>): Promise<T> => {
    const volume = await Ext4Volume.create(support.ok ? support.tool : "");
    try {
      return await body(volume);
    } finally {
      await volume.destroy();
    }
  };

  test(`keeps everything acknowledged through ${CUTS} cuts`, { timeout: CUTS * 600 }, async () => {
    await withVolume(async (volume) => {
      const report = await runCuts({ volume, program, args: [], cuts: CUTS, seed: 1 });
      expect(report.losses).toEqual([]);
      expect(report.cuts).toBe(CUTS);
      expect(report.acknowledged).toBeGreaterThan(CUTS * 50);
      await volume.check();
    });
  });

  test("loses what was acknowledged once nothing is synced any more: the control", async () => {
    await withVolume(async (volume) => {
      const args = ["--no-sync"];
      const report = await runCuts({ volume, program, args, cuts: 10, seed: 2, untilLoss: true });
      expect(report.losses.length).toBeGreaterThan(0);
    });
  });
});
