/**
 * How the bank is simulated: what its clients do, and what must hold when all is over.
 */
import { simulate } from "quorate/sim";
import type { SimulateOptions, SimulationSummary } from "quorate/sim";
import { ACCOUNTS, Bank, OPENING_BALANCE } from "./bank.ts";
import type { Balance, Transfer } from "./bank.ts";

/** The options; those given here come on top. */
export function simulationOf(
  machine: () => Bank,
  given: Partial<SimulateOptions<Transfer, Balance>> = {},
): SimulateOptions<Transfer, Balance> {
  return {
    machine,
    members: 3,
    seeds: 4,
    override: { faultyMs: 2_000 },
    shrinkAttempts: 15,
    workload: (random) => {
      const account = (): string => ACCOUNTS[random.below(ACCOUNTS.length)] ?? "";
      if (random.below(3) === 0) {
        return { kind: "read", query: { type: "balance", account: account() } };
      }
      const amount = 1 + random.below(OPENING_BALANCE);
      const command = { type: "transfer", from: account(), to: account(), amount } as const;
      return { kind: "write", command };
    },
    // Money moves; it neither comes nor goes.
    check: ({ machines }) => {
      for (const bank of machines) {
        let sum = 0;
        for (const account of ACCOUNTS) sum += bank.query({ type: "balance", account }) as number;
        const wanted = ACCOUNTS.length * OPENING_BALANCE;
        if (sum !== wanted) throw new Error(`a bank of ${wanted} holds ${sum}`);
      }
    },
    ...given,
  };
}

/** Runs the bank with its bug, or without. */
export function simulateBank(isRepaired = false): Promise<SimulationSummary> {
  return simulate(simulationOf(() => new Bank(isRepaired)));
}
