/**
 * The same options are the same run: within a process, in another one, and under every version of
 * Node. The hashes below were the same under Node 20, 22, 24 and 26; whoever runs the tests under
 * another one compares that as well. A change of what the engine or the simulator does changes
 * them: then look whether it was meant to, and write them anew with QUORATE_UPDATE_GOLDEN=1.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { drawOptions, runSimulation } from "quorate/sim";
import { expect, test } from "vitest";

const FILE = join(import.meta.dirname, "trace-hashes.json");
const SEEDS = [3, 5, 8, 9, 11, 13, 17, 24, 28, 31] as const;

test("a run leaves the trace that it left on every engine so far", async () => {
  const hashes: Record<string, string> = {};
  for (const seed of SEEDS) {
    const result = await runSimulation(drawOptions(seed));
    expect(result.violation).toBeUndefined();
    hashes[`seed ${seed}`] = `${result.traceHash} after ${result.events} events`;
  }
  if (process.env["QUORATE_UPDATE_GOLDEN"] === "1") {
    writeFileSync(FILE, `${JSON.stringify(hashes, undefined, 2)}\n`);
  }
  expect(hashes).toEqual(JSON.parse(readFileSync(FILE, "utf8")));
});

test.each(["streams", "disks", "elections"] as const)(
  "a run of profile %s is the same when it is made again",
  async (profile) => {
    for (const seed of [1, 2, 3]) {
      const options = drawOptions(seed, profile);
      const first = await runSimulation(options);
      const second = await runSimulation(options);
      expect(second.traceHash).toBe(first.traceHash);
      expect(second.events).toBe(first.events);
    }
  },
);
