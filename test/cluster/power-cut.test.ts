/**
 * Real power cuts under load: nothing that was acknowledged is ever lost. And the controls: with
 * the syncs switched off the same rig finds losses at once, so it can find them.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { TestContext } from "vitest";
import { Progress } from "../harness/progress.ts";
import { skipLoudly } from "../harness/skip-loudly.ts";
import { compileProgram } from "../power-cut/compile.ts";
import { runCuts } from "../power-cut/cut-run.ts";
import type { CutOptions } from "../power-cut/cut-run.ts";
import { Ext4Volume, powerCutSupport } from "../power-cut/ext4-volume.ts";
import type { PowerCutSupport } from "../power-cut/ext4-volume.ts";
import { LogJudge } from "../power-cut/log-judge.ts";
import { ReplicaJudge } from "../power-cut/replica-judge.ts";

const LONG = process.env["QUORATE_LONG"] === "1";
const PROGRAMS = join(import.meta.dirname, "../power-cut");
const SCRATCH = join(import.meta.dirname, "../.scratch", `power-cut-${process.pid}`);

let support: PowerCutSupport;

beforeAll(async () => {
  support = await powerCutSupport();
});
beforeEach((context) => {
  if (!support.ok) skipLoudly(context, `no power can be cut here: ${support.reason}`);
});
afterAll(() => rmSync(SCRATCH, { recursive: true, force: true }));

async function cutPower(
  context: TestContext,
  options: Omit<CutOptions, "volume" | "seed">,
): Promise<void> {
  const volume = await Ext4Volume.create(support.ok ? support.tool : "");
  context.onTestFinished(() => volume.destroy());
  const cuts = await runCuts({ ...options, volume, seed: 1 });
  const { losses, acknowledged } = options.judge;
  await context.annotate(`${cuts} cuts, ${acknowledged} acknowledged, ${losses.length} losses`);
  // The file system is not what lost or kept it.
  await volume.check();
}

describe.each([
  // The replica is what users have; the log alone goes through many more segments in the same time.
  { what: "replica", cuts: LONG ? 10_000 : 200, roundsPerDirectory: 25, Judge: ReplicaJudge },
  { what: "log", cuts: LONG ? 2_000 : 60, roundsPerDirectory: 30, Judge: LogJudge },
])("a $what under real power cuts", ({ what, cuts, roundsPerDirectory, Judge }) => {
  let program = "";
  beforeAll(async () => {
    const entry = join(PROGRAMS, `${what}-process.ts`);
    if (support.ok) program = await compileProgram(entry, join(SCRATCH, what));
  });

  test(
    `keeps everything acknowledged through ${cuts} cuts`,
    { timeout: 60_000 + cuts * 2_000 },
    async (context) => {
      const judge = new Judge();
      const bar = new Progress(context, "power cuts", cuts);
      const progress = (done: number): void => bar.show(done, `${judge.acknowledged} acknowledged`);
      await cutPower(context, { program, judge, cuts, roundsPerDirectory, progress });
      expect(judge.losses).toEqual([]);
      expect(judge.acknowledged).toBeGreaterThan(cuts * 20);
    },
  );

  test("loses what was acknowledged once nothing is synced: the control", async (context) => {
    const judge = new Judge();
    const options = { cuts: 20, roundsPerDirectory: 20, untilLoss: true };
    await cutPower(context, { program, judge, args: ["--no-sync"], ...options });
    expect(judge.losses.length).toBeGreaterThan(0);
  });
});
