/**
 * The simulator is made of the language alone: bundled for a browser it needs no module of Node,
 * and it lives the same runs in a world that has no process, timer, clock or console of a host.
 *
 * Beside what ECMAScript defines, that world has one thing of the web platform: the encoder and
 * decoder of UTF-8, which every browser has.
 */
import { resolve } from "node:path";
import { createContext, runInContext } from "node:vm";
import type { StateMachine } from "quorate";
import { drawOptions, runSimulation } from "quorate/sim";
import type { SimOptions, SimResult, testCluster } from "quorate/sim";
import { rolldown } from "rolldown";
import { beforeAll, expect, test } from "vitest";

const ENTRY = resolve(import.meta.dirname, "../../packages/raft/src/sim/index.ts");
const SEEDS = [1, 2, 3, 5];
/** What hosts add to the language. */
const OF_HOSTS = [
  "process",
  "require",
  "Buffer",
  "setTimeout",
  "setImmediate",
  "queueMicrotask",
  "performance",
  "crypto",
  "structuredClone",
  "AbortController",
  "fetch",
];

/** The part of `quorate/sim` that is used here. */
interface Simulator {
  readonly drawOptions: typeof drawOptions;
  readonly runSimulation: typeof runSimulation;
  readonly testCluster: typeof testCluster;
}

let code = "";
let imports: readonly string[] = [];
const warnings: string[] = [];

beforeAll(async () => {
  const bundle = await rolldown({
    input: ENTRY,
    platform: "browser",
    onLog: (_level, { message }) => {
      warnings.push(message);
    },
  });
  const { output } = await bundle.generate({ format: "iife", name: "simulator" });
  await bundle.close();
  expect(output).toHaveLength(1);
  code = output[0].code;
  imports = [...output[0].imports, ...output[0].dynamicImports];
});

test("the bundle for a browser imports nothing", () => {
  expect(warnings).toEqual([]);
  expect(imports).toEqual([]);
  expect(code.match(/^\s*import\b|\b(?:import|require)\s*\(|["']node:[a-z]/gm)).toBeNull();
});

test("the bundle lives the same runs where there is nothing but the language", async () => {
  const { simulator, found } = inBareWorld();
  expect(found).toEqual([]);
  for (const seed of SEEDS) {
    const here = await runSimulation(short(drawOptions(seed)));
    const options = simulator.drawOptions(seed);
    expect(JSON.stringify(options)).toBe(JSON.stringify(drawOptions(seed)));
    const there = await simulator.runSimulation(short(options));
    expect(told(there)).toEqual(told(here));
    expect(there.violation).toBeUndefined();
  }
});

test("a test cluster lives there as well", async () => {
  const cluster = await inBareWorld().simulator.testCluster({ machine: () => new Last() });
  const leader = await cluster.leader();
  await leader.replica.write("first");
  leader.crash();
  const next = await cluster.leader();
  expect(await next.replica.read(undefined)).toBe("first");
  await cluster.close();
});

/** Remembers the last command. */
class Last implements StateMachine<string, undefined> {
  #last = "";

  apply(command: string): void {
    this.#last = command;
  }

  query(): string {
    return this.#last;
  }

  snapshot(): unknown {
    return this.#last;
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    let text = "";
    for await (const chunk of chunks) text += new TextDecoder().decode(chunk);
    this.#last = JSON.parse(text) as string;
  }
}

/** Evaluates the bundle in a new world; says which things of hosts that world has. */
function inBareWorld(): { readonly simulator: Simulator; readonly found: readonly string[] } {
  const world = createContext({ TextEncoder, TextDecoder });
  const found = OF_HOSTS.filter((name) => runInContext(`typeof ${name}`, world) !== "undefined");
  const simulator = runInContext(`${code}\n;simulator;`, world) as Simulator;
  return { simulator, found };
}

function short(options: SimOptions): SimOptions {
  return { ...options, faultyMs: 800 };
}

/** What two runs that are the same agree in. */
function told(result: SimResult): unknown {
  const { traceHash, steps, events, simulatedUs } = result;
  return { traceHash, steps, events, simulatedUs };
}
