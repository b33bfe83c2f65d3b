/**
 * The records of version 1, for ever: today's code writes these bytes, and reads them. A change of
 * the format raises the version; the golden file then stays, for reading.
 */
import * as fs from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { EntryKind } from "../core/entry.ts";
import { fromHex, toHex } from "../util/bytes.ts";
import { crc32 } from "../util/checksum.ts";
import type { EngineRecord } from "./disk-machine.ts";
import { EngineJournal } from "./engine-journal.ts";
import type { PlannedEntry } from "./engine-journal.ts";
import { EngineState } from "./engine-state.ts";
import { encodeSessionEntry } from "./session-entry.ts";

const GOLDEN = fileURLToPath(new URL("golden/journal-1.txt", import.meta.url));
const CLUSTER = "0123456789abcdef0123456789abcdef";

function entryOf(change: Partial<PlannedEntry>): PlannedEntry {
  return {
    index: 0,
    term: 3,
    timeMs: 5_000,
    kind: EntryKind.command,
    session: 0,
    sequence: 0,
    lowestUnanswered: 0,
    verdict: "new",
    payload: new Uint8Array(0),
    place: -1,
    ...change,
  };
}

/** Every kind of step behind a base: a transaction each where it is one of its own. */
function write(): EngineRecord[] {
  const stored = new Map<string, Uint8Array>();
  const journal = new EngineJournal(crc32);
  const opened = new EngineState();
  opened.timeMs = 4_000;
  opened.takeSession(7, 0, encodeSessionEntry({ type: "open", timeoutMs: 60_000 }));
  const at = { index: 7, term: 2, state: opened, clusterId: CLUSTER };
  const take = (entries: readonly PlannedEntry[], results: readonly unknown[]): void => {
    for (const { key, value } of journal.stage(at, entries, entries.length, results)) {
      stored.set(key, value.slice());
    }
    journal.confirm();
  };
  const command = { session: 7, sequence: 1, lowestUnanswered: 1 };
  take(
    [
      entryOf({ index: 8, term: 2, timeMs: 4_100, kind: EntryKind.noop }),
      entryOf({ index: 9, ...command, place: 0 }),
      entryOf({ index: 10, ...command, verdict: "duplicate" }),
      entryOf({ index: 11, ...command, sequence: 2, place: 1 }),
      entryOf({ index: 12 }),
    ],
    [{ done: true }, () => "no result that can be kept"],
  );
  const payload = encodeSessionEntry({ type: "open", timeoutMs: 1_000 });
  take([entryOf({ index: 13, kind: EntryKind.session, payload })], []);
  take([entryOf({ index: 14, kind: EntryKind.version, payload: Uint8Array.of(2, 0, 0, 0) })], []);
  return [...stored].map(([key, value]) => ({ key, value }));
}

function textOf(records: readonly EngineRecord[]): string {
  return records.map(({ key, value }) => `${key} ${toHex(value)}\n`).join("");
}

test("the engine's records of version 1 are written byte for byte as ever", () => {
  const written = textOf(write());
  if (process.env["QUORATE_UPDATE_GOLDEN"] === "1") {
    fs.mkdirSync(fileURLToPath(new URL("golden/", import.meta.url)), { recursive: true });
    fs.writeFileSync(GOLDEN, written);
  }
  expect(written).toBe(fs.readFileSync(GOLDEN, "utf8"));
});

test("the engine's records of version 1 are read", () => {
  const records = fs
    .readFileSync(GOLDEN, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => line.split(" ") as [string, string])
    .map(([key, hex]) => ({ key, value: fromHex(hex) }));
  expect(records.map(({ key }) => key)).toEqual(["base", "steps/0"]);
  const journal = new EngineJournal(crc32);
  journal.open(records);
  const { index, term, clusterId, state } = journal.opened;
  expect({ index, term, clusterId }).toEqual({ index: 14, term: 3, clusterId: CLUSTER });
  expect([state.timeMs, state.machineVersion]).toEqual([5_000, 2]);
  expect(state.history.isEffective(9)).toBe(true);
  expect(state.history.isEffective(10)).toBe(false);
  expect(state.sessions.judge(7, 1, 1, 5_000)).toBe("duplicate");
  expect(state.sessions.result).toEqual({ done: true });
  expect(state.sessions.judge(13, 1, 1, 5_000)).toBe("new");
});
