/**
 * Cheap checks of a key-value history beside the search, each linear or nearly so.
 *
 * They say in one line what the search would say as "no order fits", and they see what it cannot: a
 * refused write is left out of the search, and revisions are global while the search looks at one
 * key.
 */
import type { KeyValueOperation } from "./key-value-model.ts";
import { valueWritten } from "./key-value-model.ts";

/**
 * Reads that returned the value of a write that was refused as certainly not done, one line each.
 * A value that any other write of that key may have written proves nothing and is passed over: let
 * every write of a workload have a value of its own.
 *
 * @example
 * ```ts
 * expect(refusedValuesSeen(history)).toEqual([]);
 * ```
 */
export function refusedValuesSeen(history: readonly KeyValueOperation[]): string[] {
  const possible = new Set<string>();
  const refused = new Map<string, KeyValueOperation>();
  for (const operation of history) {
    const value = valueWritten(operation.input);
    if (value === undefined) continue;
    const place = placeOf(operation.key, value);
    if (operation.outcome === "not-done") refused.set(place, operation);
    else if (operation.outcome === "unknown" || operation.output.type === "ok") possible.add(place);
  }
  const seen: string[] = [];
  for (const read of history) {
    if (read.outcome !== "done" || read.output.type !== "value") continue;
    const place = placeOf(read.key, read.output.value);
    const write = refused.get(place);
    if (write === undefined || possible.has(place)) continue;
    seen.push(
      `${read.client} read ${place} (call ${read.callAt}, return ${read.returnAt}), ` +
        `but the write by ${write.client} (call ${write.callAt}) was refused`,
    );
  }
  return seen;
}

/**
 * Pairs of answers whose revisions contradict real time across keys, one line each: a write that
 * began after an answer with revision r had arrived must get a revision above r, and no two writes
 * share one.
 */
export function revisionOrderViolations(history: readonly KeyValueOperation[]): string[] {
  const shown = history.flatMap((operation) =>
    operation.outcome === "done" && revisionOf(operation) !== undefined ? [operation] : [],
  );
  const writes = shown.filter((operation) => operation.output.type === "ok");
  const violations: string[] = [];
  const owners = new Map<number, KeyValueOperation>();
  for (const write of writes) {
    const owner = owners.get(revisionOf(write)!);
    if (owner !== undefined) {
      violations.push(`two writes with one revision: ${line(owner)} and ${line(write)}`);
    }
    owners.set(revisionOf(write)!, write);
  }
  // Sweep by time: the highest revision heard before each write began.
  const returned = shown.toSorted((a, b) => a.returnAt - b.returnAt);
  let heard = 0;
  let highest: KeyValueOperation | undefined;
  for (const write of writes.toSorted((a, b) => a.callAt - b.callAt)) {
    for (; heard < returned.length && returned[heard]!.returnAt < write.callAt; heard++) {
      const operation = returned[heard]!;
      if (highest === undefined || revisionOf(operation)! > revisionOf(highest)!) {
        highest = operation;
      }
    }
    if (highest !== undefined && revisionOf(highest)! >= revisionOf(write)!) {
      violations.push(`${line(write)} began after ${line(highest)} was answered`);
    }
  }
  return violations;
}

function revisionOf(operation: KeyValueOperation): number | undefined {
  if (operation.outcome !== "done") return undefined;
  return "revision" in operation.output ? operation.output.revision : undefined;
}

function line(operation: KeyValueOperation): string {
  const what = `${operation.input.type} of ${JSON.stringify(operation.key)}`;
  return `${what} by ${operation.client} (revision ${revisionOf(operation)})`;
}

function placeOf(key: string, value: string): string {
  return `${JSON.stringify(key)} = ${JSON.stringify(value)}`;
}
