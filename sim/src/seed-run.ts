/** One seed: drawn, run, and sometimes run again to see that it was the same run. */
import { drawOptions, runSimulation } from "quorate/sim";
import type { Profile, SimResult } from "quorate/sim";

/** The invariant that is broken when the same options give another run. */
export const DETERMINISTIC = "deterministic";

/** Runs a seed. With `twice`, another second run is a violation. */
export async function runSeed(
  seed: number,
  profile: Profile | undefined,
  twice: boolean = false,
): Promise<SimResult> {
  const options = drawOptions(seed, profile);
  const first = await runSimulation(options);
  if (!twice || first.violation !== undefined) return first;
  const second = await runSimulation(options);
  if (second.traceHash === first.traceHash && second.events === first.events) return first;
  const message =
    `the same options gave two runs: ${first.events} events with trace ${first.traceHash}, ` +
    `then ${second.events} with ${second.traceHash}`;
  const { steps: step, simulatedUs: atUs } = first;
  const violation = { invariant: DETERMINISTIC, message, step, atUs, stack: undefined };
  return { ...first, violation };
}
