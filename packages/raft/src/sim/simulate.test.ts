import { describe, expect, test } from "vitest";
import { readJson } from "../machine/read-json.ts";
import type { Applied, Returns, StateMachine } from "../machine/state-machine.ts";
import { QuorateError } from "../util/error.ts";
import type { Random } from "../util/random.ts";
import { simulate } from "./simulate.ts";
import type { SimulateOptions } from "./simulate.ts";
import { SimulationFailure } from "./simulation-failure.ts";
import type { Call } from "./workload/workload.ts";

type Add = { readonly type: "add"; readonly amount: number } & Returns<number>;
type Total = { readonly type: "total" } & Returns<number>;

class Counter implements StateMachine<Add, Total> {
  total = 0;

  apply(command: Add, _at: Applied): number {
    return (this.total += command.amount);
  }

  query(): number {
    return this.total;
  }

  snapshot(): unknown {
    return { total: this.total };
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.total = (await readJson<{ total: number }>(chunks)).total;
  }
}

const workload = (random: Random): Call<Add, Total> =>
  random.below(4) === 0
    ? { kind: "read", query: { type: "total" } }
    : { kind: "write", command: { type: "add", amount: 1 + random.below(9) } };

/** Short runs: what is planted here shows at once. */
const SHORT: SimulateOptions<Add, Total> = {
  machine: () => new Counter(),
  workload,
  seeds: 2,
  members: 3,
  shrinkAttempts: 0,
  override: { faultyMs: 500 },
};

async function failureOf(
  options: Partial<SimulateOptions<Add, Total>>,
): Promise<SimulationFailure> {
  try {
    await simulate({ ...SHORT, ...options });
  } catch (error) {
    if (error instanceof SimulationFailure) return error;
    throw error;
  }
  throw new Error("want a failure");
}

describe("simulate", () => {
  test("sums up runs in which all went well", async () => {
    const seen: number[] = [];
    const summary = await simulate({
      ...SHORT,
      seeds: [4, 9],
      onRun: ({ options }) => {
        seen.push(options.seed);
      },
    });
    expect(seen).toEqual([4, 9]);
    expect(summary.runs).toBe(2);
    expect(summary.operations).toBeGreaterThanOrEqual(summary.answered);
    expect(summary.answered).toBeGreaterThan(0);
    expect(summary.simulatedMs).toBeGreaterThan(1_000);
    expect(summary.events).toBeGreaterThan(100);
  });

  test("hands machines, calls and log to the check of each run", async () => {
    let checks = 0;
    await simulate({
      ...SHORT,
      check: ({ machines, history, applied }) => {
        checks++;
        expect(machines).toHaveLength(3);
        const sum = applied.reduce((all, { input }) => all + (input as Add).amount, 0);
        for (const counter of machines) expect((counter as Counter).total).toBe(sum);
        expect(history.length).toBeGreaterThanOrEqual(applied.length);
      },
    });
    expect(checks).toBe(2);
  });

  test("reports what a check throws, with the way to see it again", async () => {
    const failure = await failureOf({
      check: ({ applied }) => {
        if (applied.length > 3) throw new Error("more than three");
      },
    });
    expect(failure.violation.invariant).toBe("check");
    expect(failure.message).toContain("check: more than three");
    expect(failure.message).toMatch(/Run 1, seed 1: at step \d+, after [\d.]+ ms/);
    expect(failure.message).toMatch(
      /The last \d+ events, less heartbeats and the like:\n +step +ms +who/,
    );
    expect(failure.message).toContain(`replay: ${JSON.stringify(failure.options)}`);
    const again = await failureOf({
      replay: failure.options,
      check: () => {
        throw new Error("once more");
      },
    });
    expect(again.options).toEqual(failure.options);
    expect(again.message).toContain("once more");
  });

  test("traces a replay", async () => {
    const lines: string[] = [];
    const { options } = await failureOf({
      check: () => {
        throw new Error("no");
      },
    });
    await simulate({ ...SHORT, replay: options, trace: (line) => lines.push(line) });
    expect(lines.length).toBeGreaterThan(100);
    expect(lines[0]).toMatch(/n1 +start, life 1/);
  });

  test("finds a machine that keeps its state where others see it", async () => {
    let shared = 0;
    class Sharing extends Counter {
      override apply(command: Add): number {
        return (shared += command.amount);
      }
    }
    const failure = await failureOf({ machine: () => new Sharing() });
    expect(["same-answers", "state-machine-safety"]).toContain(failure.violation.invariant);
  });

  test("finds a state that depends on how often a process was started", async () => {
    let made = 0;
    class Marked extends Counter {
      readonly mark: number = made++;
      override snapshot(): unknown {
        return { total: this.total, mark: this.mark };
      }
    }
    const { violation } = await failureOf({ machine: () => new Marked() });
    expect(violation.invariant).toBe("same-state");
    expect(violation.message).toMatch(/n1 is in another state than a new machine/);
    expect(violation.message).toMatch(/"mark":0\} against .*"mark":\d\}/);
  });

  test.each([
    ["Math.random", (): number => Math.random()],
    [
      // Written so that nobody who looks for wall time in this code base finds it here.
      ["Date", "now"].join("."),
      (): number => {
        const { Date: clock } = globalThis;
        return clock.now();
      },
    ],
    ["performance.now", (): number => performance.now()],
  ])("finds a machine that uses %s, even where the error is swallowed", async (name, touch) => {
    class Touching extends Counter {
      override apply(command: Add): number {
        try {
          touch();
        } catch {
          // As a careless machine would.
        }
        return (this.total += command.amount);
      }
    }
    const failure = await failureOf({ machine: () => new Touching() });
    expect(failure.violation.invariant).toBe("nothing-outside");
    expect(failure.message).toContain(`${name} was touched`);
    expect(touch()).toBeTypeOf("number");
  });

  test("finds a machine that throws", async () => {
    class Throwing extends Counter {
      override apply(command: Add): number {
        if (this.total > 20) throw new Error("too much");
        return super.apply(command, { index: 0, term: 0, timeMs: 0, version: 1 });
      }
    }
    const failure = await failureOf({ machine: () => new Throwing() });
    expect(failure.message).toContain("too much");
  });

  test("makes a failing run smaller", async () => {
    const failure = await failureOf({
      shrinkAttempts: 20,
      override: { faultyMs: 2_000 },
      check: ({ applied }) => {
        if (applied.length > 0) throw new Error("something was applied");
      },
    });
    expect(failure.options.nemeses).toEqual([]);
    expect(failure.options.faultyMs).toBeLessThan(2_000);
    expect(failure.first.options.faultyMs).toBe(2_000);
  });

  test("notices a machine whose restore does nothing", async () => {
    class Forgetful extends Counter {
      override restore(): Promise<void> {
        return Promise.resolve();
      }
    }
    const failing = simulate({
      ...SHORT,
      machine: () => new Forgetful(),
      seeds: 4,
      profile: "snapshots",
    });
    await expect(failing).rejects.toThrow(/state-machine-safety|same-state|same-answers/);
  });

  test("draws only the faults that are asked for", async () => {
    const kinds = new Set<string>();
    const note = ({ options }: { options: { nemeses: readonly { kind: string }[] } }): void => {
      for (const { kind } of options.nemeses) kinds.add(kind);
    };
    await simulate({ ...SHORT, seeds: 4, faults: ["crash", "after-ack"], onRun: note });
    expect(kinds).toEqual(new Set(["crash", "after-ack"]));
    kinds.clear();
    const summary = await simulate({ ...SHORT, seeds: 1, faults: "none", onRun: note });
    expect(kinds.size).toBe(0);
    expect(summary.faults).toBe(0);
  });

  test.each([
    [{ members: 0 }, /members must be/],
    [{ seeds: 0 }, /seeds must be/],
    [{ profile: "wild" as never }, /profile must be one of swarm, calm/],
    [{ faults: ["kraken"] }, /there is no fault called "kraken"; there are crash,/],
  ])("refuses options that make no sense: %j", async (options, message) => {
    const refused = simulate({ ...SHORT, ...options });
    await expect(refused).rejects.toThrow(QuorateError);
    await expect(refused).rejects.toThrow(message);
  });
});
