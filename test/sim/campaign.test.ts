/**
 * A campaign of simulated clusters, always of the same seeds: at least thirty minutes of cluster
 * time (QUORATE_LONG=1: two hours, a million calls and ten thousand faults), a share of them run
 * twice, without any violation.
 */
import { execFile } from "node:child_process";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "../..");
const IS_LONG = process.env["QUORATE_LONG"] === "1";
const FIRST_SEED = 1;
/** About 17 s of cluster time each; the long campaign goes on until it has done enough. */
const SEEDS = IS_LONG ? 1_200 : 150;
const SIMULATED_SECONDS = IS_LONG ? 7_200 : 1_800;
const HOUR_MS = 3_600_000;

interface Campaign {
  readonly failures: readonly { readonly seed: number; readonly invariant: string }[];
  readonly compared: number;
  readonly simulatedSeconds: number;
  readonly statistics: Readonly<Record<string, number>>;
}

test(
  `no promise breaks in ${SIMULATED_SECONDS / 60} minutes of cluster time`,
  async () => {
    const campaign = await run(["--from", String(FIRST_SEED), "--seeds", String(SEEDS)]);
    expect(campaign.failures).toEqual([]);
    const { simulatedSeconds, compared, statistics } = campaign;
    expect(simulatedSeconds).toBeGreaterThanOrEqual(SIMULATED_SECONDS);
    expect(compared).toBeGreaterThanOrEqual(SEEDS / 50);
    expect(statistics["faults"]).toBeGreaterThan(IS_LONG ? 10_000 : 1_000);
    expect(statistics["operations"]).toBeGreaterThan(IS_LONG ? 1_000_000 : 50_000);
    expect(statistics["elections"]).toBeGreaterThan(SEEDS);
  },
  HOUR_MS,
);

test.each(["elections", "disks", "network", "reads", "streams", "pauses"])(
  "no promise breaks in runs of profile %s",
  async (profile) => {
    const seeds = IS_LONG ? 300 : 12;
    const campaign = await run([
      ...["--from", String(FIRST_SEED), "--seeds", String(seeds), "--profile", profile],
    ]);
    expect(campaign.failures).toEqual([]);
  },
  HOUR_MS,
);

/** The built command, as `npm run sim` calls it. */
function run(args: readonly string[]): Promise<Campaign> {
  const command = [join(ROOT, "sim/dist/main.js"), ...args, "--json"];
  const options = { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 };
  return new Promise((resolved, rejected) => {
    execFile(process.execPath, command, options, (error, stdout, stderr) => {
      try {
        resolved(JSON.parse(stdout) as Campaign);
      } catch {
        rejected(new Error(`no JSON came out: ${error?.message ?? ""}\n${stdout}\n${stderr}`));
      }
    });
  });
}
