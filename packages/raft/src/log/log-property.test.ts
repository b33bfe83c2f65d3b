/**
 * Random work on several groups against the naive model: whatever is read agrees with it, at any
 * time, and after opening again.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { LogModel, batchOf, contentOf, emptyDisk, hard, open, textOf } from "./log-harness.ts";
import type { Step } from "./log-harness.ts";
import type { SegmentedLog } from "./segmented-log.ts";

const GROUPS = [0, 1, 2];

const anyWork = fc.record({
  kind: fc.constantFrom(
    "append",
    "append",
    "append",
    "cut",
    "vote",
    "release",
    "settle",
    "read",
    "reopen",
  ),
  group: fc.constantFrom(...GROUPS),
  draw: fc.nat(10_000),
});

type Work = { kind: string; group: number; draw: number };

/** What a piece of work comes to, as things are. */
function stepOf(model: LogModel, { kind, group, draw }: Work): Step | undefined {
  const { term, start } = model.group(group);
  const last = model.lastIndex(group);
  switch (kind) {
    case "append":
    case "cut": {
      const from = kind === "cut" ? start + 1 + (draw % (last - start + 1)) : last + 1;
      const options = { count: 1 + (draw % 5), text: "p".repeat((draw % 7) * 20) };
      return { kind: "batch", group, batch: batchOf(from, Math.max(1, term), options) };
    }
    case "vote":
      return { kind: "state", group, hardState: hard(term + 1, draw % 3 === 0 ? undefined : "n1") };
    case "release":
      return last > start
        ? { kind: "release", group, index: start + 1 + (draw % (last - start)) }
        : undefined;
    default:
      return undefined;
  }
}

async function perform(log: SegmentedLog, step: Step): Promise<void> {
  const { group } = step;
  if (step.kind === "release") await log.release(group, step.index);
  else if (step.kind === "state") {
    await log.append([{ group, hardState: step.hardState, entries: [], commit: 0 }]);
  } else {
    await log.append([{ group, hardState: undefined, entries: [step.batch], commit: 0 }]);
  }
}

async function compareRead(log: SegmentedLog, model: LogModel, work: Work): Promise<void> {
  const { group, draw } = work;
  const { start, entries } = model.group(group);
  if (entries.length === 0) return;
  const from = start + 1 + (draw % entries.length);
  const to = from + (draw % 13);
  const batches = await log.read(group, from, to, draw);
  const wanted = entries.slice(from - 1 - start, to - start);
  const read = textOf(batches);
  expect(read.length).toBeGreaterThan(0);
  expect(read).toEqual(wanted.slice(0, read.length));
}

test("random work with random reopenings agrees with a naive model", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyWork, { minLength: 20, maxLength: 150 }), async (works) => {
      const disk = await emptyDisk();
      const model = new LogModel();
      let log = await open(disk);
      for (const work of works) {
        const step = stepOf(model, work);
        if (step !== undefined) {
          model.apply(step);
          await perform(log, step);
        } else if (work.kind === "settle") await log.settle();
        else if (work.kind === "read") await compareRead(log, model, work);
        else if (work.kind === "reopen") {
          await log.close();
          log = await open(disk);
          expect(log.recovery).toMatchObject({ tornBytes: 0, rewrittenBytes: 0 });
          expect(await contentOf(log, GROUPS)).toEqual(model.content());
        }
      }
      await log.close();
      log = await open(disk);
      expect(await contentOf(log, GROUPS)).toEqual(model.content());
      await log.close();
    }),
    { numRuns: 40, seed: 1 },
  );
});
