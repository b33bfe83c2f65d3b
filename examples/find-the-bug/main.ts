/**
 * Simulates the bank with its bug, then without, and prints what came of it.
 */
import { SimulationFailure } from "quorate/sim";
import { simulateBank } from "./simulation.ts";

try {
  await simulateBank();
} catch (error) {
  if (!(error instanceof SimulationFailure)) throw error;
  process.stdout.write(`The bank, as it is:\n\n${error.message}\n\n`);
}
const summary = await simulateBank(true);
process.stdout.write(`The bank, repaired: ${JSON.stringify(summary)}\n`);
