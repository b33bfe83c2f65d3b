/** Holds a recorded history to what a linearizable store may answer, and keeps it if it fails. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import {
  checkLinearizable,
  formatHistory,
  keyValueModel,
  refusedValuesSeen,
  revisionOrderViolations,
} from "../../packages/raft/src/testing/index.ts";
import type { KeyValueOperation } from "../../packages/raft/src/testing/index.ts";

const BUDGET_MS = 60_000;

/** Fails unless the history is linearizable and no refused write was ever seen. */
export function expectLinearizable(history: readonly KeyValueOperation[], directory: string): void {
  const path = join(directory, "history.jsonl");
  writeFileSync(path, formatHistory(history));
  expect(refusedValuesSeen(history), `refused values were read (${path})`).toEqual([]);
  expect(revisionOrderViolations(history), `revisions out of order (${path})`).toEqual([]);
  const result = checkLinearizable(keyValueModel, history, { budgetMs: BUDGET_MS });
  const why = result.verdict === "violated" ? result.violation.report : result.verdict;
  expect(result.verdict, `${why}\n(${path})`).toBe("ok");
}
