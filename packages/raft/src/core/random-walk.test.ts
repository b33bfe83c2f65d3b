/**
 * Random walks: many short lives of small networks under faults that aim, with every promise of
 * Raft watched at every step. `QUORATE_WALKS` and `QUORATE_WALK_FIRST` choose how many and which
 * seeds.
 */
import { expect, test } from "vitest";
import type { EntryLog } from "./entry-log.ts";
import type { Envelope } from "./output.ts";
import type { Sabotage, WalkStatistics } from "./random-walk-harness.ts";
import { RandomWalk } from "./random-walk-harness.ts";
import type { RaftState } from "./state.ts";

const WALKS = Number(process.env["QUORATE_WALKS"] ?? 200);
const FIRST = Number(process.env["QUORATE_WALK_FIRST"] ?? 1);

test(`${WALKS} random walks keep every promise and heal`, { timeout: 60_000 + WALKS * 500 }, () => {
  const statistics: WalkStatistics = new Map();
  for (let seed = FIRST; seed < FIRST + WALKS; seed++) {
    try {
      new RandomWalk(seed, statistics).run();
    } catch (cause) {
      throw new Error(`seed=${seed}: ${String(cause)}`, { cause });
    }
  }
  if (process.env["QUORATE_WALK_REPORT"] !== undefined) {
    process.stdout.write(`${JSON.stringify([...statistics])}\n`);
  }
  // A walk that meets nothing proves nothing.
  for (const name of [
    "crashes",
    "pauses",
    "strikes",
    "late",
    "loads",
    "transfers",
    "truncated",
    "ok",
    "no-leader",
    "leadership-lost",
    "peer-state",
    "committed",
    "compactions",
    "snapshot reset",
  ]) {
    expect(statistics.get(name) ?? 0, name).toBeGreaterThan(WALKS / 4);
  }
  // Races: what it lacked came by another way before the snapshot did.
  for (const name of ["snapshot old", "snapshot in-log"]) {
    expect(statistics.get(name) ?? 0, name).toBeGreaterThan(WALKS / 50);
  }
});

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function afterNothing(isMeant: (envelope: Envelope) => boolean): Sabotage {
  return (_core, output) => {
    for (const envelope of output.messages) {
      if (isMeant(envelope)) (envelope as Mutable<Envelope>).after = 0;
    }
  };
}

/** What a core must not do, and what the watch says of it. */
const SABOTAGES: ReadonlyArray<readonly [string, Sabotage, RegExp]> = [
  [
    "votes that leave before they are durable",
    afterNothing(({ message }) => message.type === "request-vote-response"),
    /promises in term/,
  ],
  [
    "vote requests that leave before the own vote is durable",
    afterNothing(({ message }) => message.type === "request-vote"),
    /promises in term/,
  ],
  [
    "acknowledgements that leave before the entries are durable",
    afterNothing(({ message }) => message.type === "append-entries-response"),
    /acknowledges|promises in term/,
  ],
  [
    "a leader that counts what its own disk has not confirmed",
    ({ state }) => {
      const match = (id: string): number =>
        id === state.id ? state.log.lastIndex : (state.progress.get(id)?.match ?? 0);
      (state as Mutable<RaftState>).matchOf = match;
    },
    /only on the disks of/,
  ],
  [
    "votes for candidates whose log is behind",
    ({ state }) => void ((state.log as Mutable<EntryLog>).isUpToDate = () => true),
    /leader completeness|committed/,
  ],
  [
    "reads that nobody has confirmed",
    ({ state }) => void ((state as Mutable<RaftState>).roundOf = () => Infinity),
    /stale read/,
  ],
];

test.each(SABOTAGES)("noticed: %s", (_, sabotage, message) => {
  const live = (): void => {
    for (let seed = 1; seed <= 100; seed++) new RandomWalk(seed, new Map(), sabotage).run();
  };
  expect(live).toThrow(message);
});
