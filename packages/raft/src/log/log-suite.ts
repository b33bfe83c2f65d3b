/**
 * What every log does, whatever it stands on: the conformance suite of the log port.
 *
 * What a crash leaves, and what damage looks like, is tested with the simulated disk.
 */
import { EMPTY_GROUP } from "../core/contract.ts";
import type { RecoveredGroup } from "../core/contract.ts";
import { votersOnly } from "../core/configuration.ts";
import { encodeConfiguration } from "../core/configuration-codec.ts";
import { EntryBatch, EntryCursor, EntryKind, packEntries } from "../core/entry.ts";
import { crc32 } from "../util/checksum.ts";
import { QuorateError } from "../util/error.ts";
import type { ErrorCode } from "../util/error.ts";
import type { SuiteCase } from "../util/suite.ts";
import { expectEqual, expectRejects, expectTrue } from "../util/suite.ts";
import type { Log, LogWrite } from "./log.ts";

/** A place for one log, that may be opened again and again. */
export interface LogUnderTest {
  /** Opens the log; the one opened before is closed. Segments of 64 KiB or less make it roll. */
  open(): Promise<Log>;
  dispose(): Promise<void>;
}

/** The cases of the log port. `make` is called once for each of them. */
export function logSuite(make: () => Promise<LogUnderTest>): SuiteCase[] {
  return CASES.map(([name, body]) => ({
    name,
    run: async () => {
      const under = await make();
      try {
        await body(under);
      } finally {
        await under.dispose();
      }
    },
  }));
}

type Body = (under: LogUnderTest) => Promise<void>;

const INCARNATION = "5a".repeat(16);
const ALL = Number.MAX_SAFE_INTEGER;

const CASES: readonly [string, Body][] = [
  [
    "a new log knows no group",
    async (under) => {
      const log = await under.open();
      expectEqual<RecoveredGroup>(log.recovered(1), EMPTY_GROUP);
      expectEqual(await log.read(1, 1, 10, ALL), []);
      expectEqual(log.status().state, "ok");
      expectEqual(log.recovery.records, 0);
      await log.close();
    },
  ],
  [
    "what was appended is read, and is there after opening again",
    async (under) => {
      let log = await under.open();
      await log.append([entries(1, [commands(1, 1, 3), commands(4, 2, 2)], 2)]);
      expectEqual(await textOf(log, 1, 1, 5), ["1@1", "2@1", "3@1", "4@2", "5@2"]);
      await log.close();
      log = await under.open();
      expectEqual(await textOf(log, 1, 1, 5), ["1@1", "2@1", "3@1", "4@2", "5@2"]);
      const group = log.recovered(1);
      expectEqual(group.lastIndex, 5);
      expectEqual(group.hardState.commit, 2);
      expectEqual(group.lastTimeMs, 40);
      expectEqual(group.termRuns, [
        { index: 1, term: 1 },
        { index: 4, term: 2 },
      ]);
      await log.close();
    },
  ],
  [
    "term, vote and the incarnation voted for survive; the newest one counts",
    async (under) => {
      let log = await under.open();
      await log.append([state(1, 3, "n2"), state(2, 8, undefined)]);
      await log.append([state(1, 4, undefined)]);
      await log.append([state(1, 4, "n3")]);
      await log.close();
      log = await under.open();
      const vote = { id: "n3", incarnation: INCARNATION };
      expectEqual(log.recovered(1).hardState, { term: 4, vote, commit: 0 });
      expectEqual(log.recovered(2).hardState, { term: 8, vote: undefined, commit: 0 });
      await log.close();
    },
  ],
  [
    "a batch ends everything from its first index on, also in the middle of a batch",
    async (under) => {
      let log = await under.open();
      await log.append([entries(1, [commands(1, 1, 10), commands(11, 1, 10)])]);
      await log.append([entries(1, [commands(6, 2, 2)])]);
      const want = ["4@1", "5@1", "6@2", "7@2"];
      expectEqual(await textOf(log, 1, 4, 20), want);
      await log.close();
      log = await under.open();
      expectEqual(await textOf(log, 1, 4, 20), want);
      expectEqual(log.recovered(1).lastIndex, 7);
      await log.close();
    },
  ],
  [
    "a configuration is reported with its index, and goes with a truncation",
    async (under) => {
      let log = await under.open();
      await log.append([entries(1, [configuration(1, 1, 3), commands(2, 1, 1)])]);
      await log.append([entries(1, [configuration(3, 1, 5)])]);
      await log.close();
      log = await under.open();
      expectEqual(
        log
          .recovered(1)
          .configurations.map((known) => [known.index, known.configuration.voters.length]),
        [
          [1, 3],
          [3, 5],
        ],
      );
      await log.append([entries(1, [commands(3, 2, 1)])]);
      await log.close();
      log = await under.open();
      expectEqual(
        log.recovered(1).configurations.map((known) => known.index),
        [1],
      );
      await log.close();
    },
  ],
  [
    "a read is cut to what was asked for, by index and by size",
    async (under) => {
      const log = await under.open();
      const batches = [commands(1, 1, 4), commands(5, 1, 4), commands(9, 1, 4)];
      await log.append([entries(1, batches)]);
      expectEqual(await textOf(log, 1, 3, 6), ["3@1", "4@1", "5@1", "6@1"]);
      const some = await log.read(1, 2, 12, 1);
      expectEqual(some.length, 1, "at least one batch, whatever its size");
      expectEqual([some[0]!.firstIndex, some[0]!.lastIndex], [2, 4]);
      const two = await log.read(1, 1, 12, batches[0]!.byteLength + batches[1]!.byteLength);
      expectEqual(two.length, 2);
      expectEqual(await log.read(1, 13, 20, ALL), [], "behind the end");
      expectEqual((await log.read(1, 12, 20, ALL))[0]!.count, 1, "up to the end");
      await log.close();
    },
  ],
  [
    "groups do not see each other",
    async (under) => {
      let log = await under.open();
      for (let i = 1; i <= 5; i++) {
        await log.append([entries(7, [commands(i, 1, 1)]), entries(9, [commands(i, 2, 1)])]);
      }
      await log.append([entries(9, [commands(2, 3, 1)])]);
      await log.close();
      log = await under.open();
      expectEqual(await textOf(log, 7, 1, 9), ["1@1", "2@1", "3@1", "4@1", "5@1"]);
      expectEqual(await textOf(log, 9, 1, 9), ["1@2", "2@3"]);
      await log.close();
    },
  ],
  [
    "a log of many segments is read from end to end",
    async (under) => {
      let log = await under.open();
      const want: string[] = [];
      for (let i = 1; i <= 200; i++) {
        await log.append([entries(1, [commands(i, 1, 1, 1_000)], i - 1)]);
        want.push(`${i}@1`);
      }
      expectTrue(log.status().segments > 2, "the log has several segments");
      expectEqual(await textOf(log, 1, 1, 200), want);
      await log.close();
      log = await under.open();
      expectEqual(await textOf(log, 1, 1, 200), want);
      await log.close();
    },
  ],
  [
    "one append may need more than a segment",
    async (under) => {
      let log = await under.open();
      const batches: EntryBatch[] = [];
      for (let i = 1; i <= 150; i++) batches.push(commands(i, 1, 1, 1_000));
      await log.append([state(1, 1, "n1"), entries(1, batches), state(2, 5, undefined)]);
      await log.close();
      log = await under.open();
      expectEqual(log.recovered(1).lastIndex, 150);
      expectEqual(log.recovered(2).hardState.term, 5);
      await log.close();
    },
  ],
  [
    "entries are read while their write is on its way",
    async (under) => {
      const log = await under.open();
      const appended = log.append([entries(1, [commands(1, 1, 3)])]);
      expectEqual(await textOf(log, 1, 1, 3), ["1@1", "2@1", "3@1"]);
      await appended;
      await log.close();
    },
  ],
  [
    "what is released is gone, whole segments go, and the start is remembered",
    async (under) => {
      let log = await under.open();
      await log.append([state(1, 1, "n1"), entries(1, [configuration(1, 1, 3)])]);
      for (let i = 2; i <= 200; i++) await log.append([entries(1, [commands(i, 1, 1, 1_000)], i)]);
      const before = log.status().segments;
      await log.release(1, 190);
      expectTrue(log.status().segments < before, "segments were recycled");
      expectEqual(await log.read(1, 190, 190, ALL), []);
      expectEqual(await textOf(log, 1, 191, 192), ["191@1", "192@1"]);
      await log.release(1, 50);
      await log.close();
      log = await under.open();
      const group = log.recovered(1);
      expectEqual([group.startIndex, group.startTerm, group.lastIndex], [190, 1, 200]);
      expectEqual(group.startConfiguration.index, 1);
      expectEqual(group.startConfiguration.configuration.voters, ["n1", "n2", "n3"]);
      expectEqual(group.configurations, []);
      expectEqual(group.hardState.vote?.id, "n1");
      expectEqual((await textOf(log, 1, 191, 200)).length, 10);
      for (let i = 201; i <= 300; i++) await log.append([entries(1, [commands(i, 1, 1, 1_000)])]);
      await log.close();
      log = await under.open();
      expectEqual((await textOf(log, 1, 191, 300)).length, 110);
      await log.close();
    },
  ],
  [
    "a slow group does not keep the segments of a fast one",
    async (under) => {
      let log = await under.open();
      await log.append([entries(2, [commands(1, 1, 2), commands(3, 1, 2)])]);
      for (let i = 1; i <= 300; i++) await log.append([entries(1, [commands(i, 1, 1, 1_000)])]);
      await log.release(1, 299);
      expectTrue(log.status().segments <= 2, "the entries of group 2 were moved");
      expectEqual(await textOf(log, 2, 1, 4), ["1@1", "2@1", "3@1", "4@1"]);
      await log.close();
      log = await under.open();
      expectEqual(await textOf(log, 2, 1, 4), ["1@1", "2@1", "3@1", "4@1"]);
      await log.append([entries(2, [commands(4, 2, 1)])]);
      await log.close();
      log = await under.open();
      expectEqual(await textOf(log, 2, 1, 9), ["1@1", "2@1", "3@1", "4@2"]);
      await log.close();
    },
  ],
  [
    "settling is harmless at any time",
    async (under) => {
      let log = await under.open();
      await log.settle();
      const appended = log.append([entries(1, [commands(1, 1, 1)])]);
      await Promise.all([log.settle(), appended, log.settle()]);
      await log.settle();
      await log.close();
      log = await under.open();
      expectEqual(log.recovery.rewrittenBytes, 0, "all is proven");
      expectEqual(log.recovered(1).lastIndex, 1);
      await log.close();
    },
  ],
  [
    "an append without anything to write needs no write",
    async (under) => {
      const log = await under.open();
      const { writes } = log.status();
      await log.append([]);
      await log.append([{ group: 1, hardState: undefined, entries: [], commit: 3 }]);
      expectEqual(log.status().writes, writes);
      await log.append([state(1, 1, "n1")]);
      expectEqual(log.status().writes, writes + 1, "a vote costs one write");
      await log.close();
    },
  ],
  [
    "closing waits for what is in flight; afterwards everything is refused",
    async (under) => {
      let log = await under.open();
      const appended = log.append([entries(1, [commands(1, 1, 1)])]);
      const closed = log.close();
      await appended;
      await closed;
      await log.close();
      for (const call of [
        () => log.append([]),
        () => log.read(1, 1, 1, ALL),
        () => log.settle(),
        () => log.release(1, 1),
      ]) {
        await expectRejects(call(), hasCode("CLOSED"));
      }
      log = await under.open();
      expectEqual(log.recovered(1).lastIndex, 1);
      await log.close();
    },
  ],
];

function hasCode(code: ErrorCode): (error: unknown) => boolean {
  return (error) => QuorateError.is(error) && error.code === code;
}

function entries(group: number, batches: readonly EntryBatch[], commit = 0): LogWrite {
  return { group, hardState: undefined, entries: batches, commit };
}

function state(group: number, term: number, votedFor: string | undefined): LogWrite {
  const vote = votedFor === undefined ? undefined : { id: votedFor, incarnation: INCARNATION };
  return { group, hardState: { term, vote, commit: 0 }, entries: [], commit: 0 };
}

function commands(firstIndex: number, term: number, count: number, bytes = 5): EntryBatch {
  const payload = new Uint8Array(bytes).fill(firstIndex);
  const packed = packEntries(
    Array.from({ length: count }, () => ({ kind: EntryKind.command, payload })),
  );
  const timeMs = firstIndex * 10;
  return EntryBatch.seal(packed, { term, firstIndex, timeMs, checksum: crc32 });
}

function configuration(index: number, term: number, voters: number): EntryBatch {
  const members = Array.from({ length: voters }, (_, i) => ({
    id: `n${i + 1}`,
    address: `127.0.0.1:${9091 + i}`,
    incarnation: INCARNATION,
  }));
  const payload = encodeConfiguration(votersOnly(members));
  const packed = packEntries([{ kind: EntryKind.configuration, payload }]);
  return EntryBatch.seal(packed, { term, firstIndex: index, timeMs: 0, checksum: crc32 });
}

/** Entries `from` to `to` as `index@term`. */
async function textOf(log: Log, group: number, from: number, to: number): Promise<string[]> {
  const texts: string[] = [];
  const cursor = new EntryCursor();
  for (const batch of await log.read(group, from, to, ALL)) {
    cursor.reset(batch);
    while (cursor.next()) texts.push(`${cursor.view.index}@${batch.term}`);
  }
  return texts;
}
