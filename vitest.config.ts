import { defineConfig } from "vitest/config";

/**
 * Three projects. `unit` is everything that needs no other process: it stays under a minute or two.
 * `sim` runs the built simulator, which uses all cores by itself, one file at a time. `cluster`
 * starts real processes and runs one file at a time, so that the machine's cores are the only thing
 * its members compete for.
 */
export default defineConfig({
  resolve: { conditions: ["quorate-source"] },
  ssr: { resolve: { conditions: ["quorate-source"] } },
  test: {
    passWithNoTests: false,
    // By default one core is left to a watcher that is not there.
    maxWorkers: "100%",
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          // Tests share nothing but modules without state: one load of them per worker is enough.
          isolate: false,
          // Against hanging only, wide enough for a busy machine; no test relies on it.
          testTimeout: 60_000,
          include: ["packages/*/src/**/*.test.ts", "test/unit/**/*.test.ts"],
        },
      },
      {
        extends: true,
        test: {
          name: "sim",
          include: ["test/sim/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 300_000,
        },
      },
      {
        extends: true,
        test: {
          name: "cluster",
          include: ["test/cluster/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
