import { describe, expect, test } from "vitest";
import type { RaftInputs } from "../core/contract.ts";
import { EntryBatch, EntryKind, packEntries } from "../core/entry.ts";
import type { EntryFields } from "../core/entry.ts";
import type { DiskBatch, EngineRecord } from "../machine/disk-machine.ts";
import { EngineJournal } from "../machine/engine-journal.ts";
import { encodeSessionEntry } from "../machine/session-entry.ts";
import { ManualClock } from "../transport/manual-clock.ts";
import { fromUtf8, utf8 } from "../util/bytes.ts";
import { crc32 } from "../util/checksum.ts";
import { DiskApplier } from "./disk-applier.ts";

type Answer = (batch: DiskBatch<unknown>) => readonly unknown[] | Promise<readonly unknown[]>;

/** Gives each command in capitals, and stores nothing. */
const upper: Answer = (batch) => {
  const results = batch.entries.map(({ command }) => String(command).toUpperCase());
  batch.records(results);
  return results;
};

interface Setting {
  readonly applier: DiskApplier;
  readonly core: { persistedIndex: number };
  readonly applied: string[];
  readonly batches: string[];
  readonly journal: EngineJournal;
  readonly clock: ManualClock;
  wakes: number;
}

function setUp(entries: EntryFields[], answer: Answer = upper): Setting {
  const terms = { term: 3, firstIndex: 1, timeMs: 5, checksum: crc32 };
  const batch = EntryBatch.seal(packEntries(entries), terms);
  const core = {
    persistedIndex: batch.lastIndex,
    batchAt: (index: number) => (index >= 1 && index <= batch.lastIndex ? batch : undefined),
  };
  const applied: string[] = [];
  const batches: string[] = [];
  const journal = new EngineJournal(crc32);
  const clock = new ManualClock();
  const setting = { core, applied, batches, journal, clock, wakes: 0 };
  const applier = new DiskApplier(core as unknown as RaftInputs, 0, {
    clock,
    retryMs: 100,
    journal,
    machine: {
      kind: "disk",
      version: 1,
      isFull: false,
      open: async () => [],
      decode: (payload) => fromUtf8(payload),
      apply: (given) => {
        batches.push(
          given.entries.map(({ index, command }) => `${index}${String(command)}`).join(),
        );
        return answer(given);
      },
      query: () => undefined,
      sync: async () => {},
      snapshot: () => ({ kind: "whole", bytes: new Uint8Array(0) }),
      restore: async () => {},
      close: async () => {},
    },
    load: () => {},
    termStarts: () => {},
    applied: ({ index, verdict, value }) => applied.push(`${index} ${verdict} ${String(value)}`),
    slow: () => {},
    clusterId: () => "00".repeat(16),
    wake: () => setting.wakes++,
  });
  applier.commit = batch.lastIndex;
  return Object.assign(setting, { applier });
}

function raise(error: Error): never {
  throw error;
}

async function rejected(error: Error): Promise<never> {
  throw error;
}

function recordsAndRejects(error: Error): Answer {
  return (batch) => {
    void upper(batch);
    return rejected(error);
  };
}

const command = (text: string, of: Partial<EntryFields> = {}): EntryFields => ({
  kind: EntryKind.command,
  payload: utf8(text),
  ...of,
});
const open: EntryFields = {
  kind: EntryKind.session,
  payload: encodeSessionEntry({ type: "open", timeoutMs: 1_000 }),
  sequence: 7,
};
const of = (session: number, sequence: number, lowestUnanswered = 1): Partial<EntryFields> => ({
  session,
  sequence,
  lowestUnanswered,
});

describe("applying to a machine on disk", () => {
  test("hands over only what the own log has durable", () => {
    const { applier, core, batches } = setUp([command("a"), command("b"), command("c")]);
    core.persistedIndex = 2;
    applier.run(1_000);
    expect(batches).toEqual(["1a,2b"]);
    core.persistedIndex = 3;
    applier.run(1_000);
    expect(batches).toEqual(["1a,2b", "3c"]);
    expect(applier.applied).toBe(3);
  });

  test("gives a repetition within one batch the first answer, and applies it once", () => {
    const { applier, applied, batches } = setUp([
      open,
      command("a", of(1, 1)),
      command("b", of(1, 2)),
      command("a", of(1, 1)),
      command("c", of(1, 3, 3)),
      command("b", of(1, 2, 3)),
      command("x", of(9, 1)),
    ]);
    applier.run(1_000);
    expect(batches).toEqual(["2a,3b", "5c"]);
    expect(applied).toEqual([
      "1 new 1",
      "2 new A",
      "3 new B",
      "4 duplicate A",
      "5 new C",
      "6 dropped undefined",
      "7 expired undefined",
    ]);
    expect(applier.state.history.isEffective(4)).toBe(false);
  });

  test("nothing is applied, as far as anybody sees, before the transaction is done", async () => {
    let finish: () => void = () => {};
    const { applier, applied, ...setting } = setUp([command("a"), command("b")], (batch) => {
      const results = upper(batch);
      return new Promise((resolve) => (finish = () => resolve(results)));
    });
    expect(applier.run(1_000)).toBe(false);
    expect([applier.applied, applier.isBusy, applied.length]).toEqual([0, true, 0]);
    expect(setting.journal.confirmed.index).toBe(0);
    applier.run(1_000);
    expect(setting.batches).toHaveLength(1);
    finish();
    await applier.idle();
    applier.hold("checkpoint");
    applier.run(1_000);
    expect([applier.applied, applier.isBusy]).toEqual([2, false]);
    expect(applied).toEqual(["1 new A", "2 new B"]);
    expect(setting.journal.confirmed.index).toBe(2);
  });

  test("a machine that forgets the records, or gives too few results, stops the replica", () => {
    const forgets = setUp([command("a")], () => ["A"]);
    expect(() => forgets.applier.run(1_000)).toThrow("did not ask for the records");
    const few = setUp([command("a")], (batch) => {
      batch.records([]);
      return [];
    });
    expect(() => few.applier.run(1_000)).toThrow("a list of 1 results");
    const rejects = setUp([command("a")], () => {
      throw new Error("no luck");
    });
    expect(() => rejects.applier.run(1_000)).toThrow("no luck");
    expect(rejects.applied).toEqual([]);
  });

  test.each([
    ["throws", (error: Error) => () => raise(error)],
    ["rejects", (error: Error) => () => rejected(error)],
    ["asks for the records and rejects", (error: Error) => recordsAndRejects(error)],
  ])("a machine that %s for want of space gets the same batch again", async (_how, failing) => {
    const cause = Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    let answer: Answer = failing(new Error("not committed", { cause }));
    const setting = setUp([open, command("a", of(1, 1)), command("b")], (batch) => answer(batch));
    const { applier, batches, clock, journal } = setting;
    const settled = async (): Promise<void> => {
      applier.run(1_000_000);
      await applier.idle();
      applier.run(1_000_000);
    };
    await settled();
    expect([applier.isFull, applier.applied, journal.confirmed.index]).toEqual([true, 1, 0]);
    const { bytes } = applier;
    clock.advance(99);
    await settled();
    expect(batches).toEqual(["2a,3b"]);
    clock.advance(1);
    await settled();
    expect(batches).toHaveLength(2);
    expect([applier.isFull, applier.isBusy, applier.bytes]).toEqual([true, false, bytes]);
    let records: readonly EngineRecord[] = [];
    answer = (batch) => {
      records = batch.records(["A", "B"]);
      return ["A", "B"];
    };
    expect(applier.nextMs).toBe(clock.nowMs() + 100);
    clock.advance(100);
    await settled();
    expect([applier.isFull, applier.applied, applier.nextMs]).toEqual([false, 3, Infinity]);
    expect(setting.applied).toEqual(["1 new 1", "2 new A", "3 new B"]);
    // A machine that has stored only this is whole: sessions and all.
    const opened = new EngineJournal(crc32);
    opened.open(records);
    expect([opened.opened.index, opened.opened.term]).toEqual([3, 3]);
    expect(opened.opened.state.encode()).toEqual(applier.state.encode());
  });

  test("entries without a command for the machine go with the next transaction", () => {
    const noop = { kind: EntryKind.noop, payload: new Uint8Array(0) };
    const { applier, batches, journal } = setUp([noop, open, noop, command("a", of(2, 1))]);
    applier.commit = 3;
    applier.run(1_000);
    expect([applier.applied, journal.confirmed.index, batches.length]).toEqual([3, 0, 0]);
    applier.commit = 4;
    applier.run(1_000);
    expect([applier.applied, journal.confirmed.index, batches]).toEqual([4, 4, ["4a"]]);
  });
});
