import { describe, expect, test } from "vitest";
import { ByteWriter } from "../util/bytes.ts";
import { crc32 } from "../util/checksum.ts";
import { batchOf, configurationOf } from "./log-harness.ts";
import { RecordFlag, RecordKind, emptyHeader } from "./record.ts";
import type { RecordHeader } from "./record.ts";
import { Replay } from "./replay.ts";
import { encodeState } from "./state-record.ts";
import type { GroupState } from "./state-record.ts";

const CONFIGURATION = { index: 4, configuration: configurationOf(3) };

const STATE: GroupState = {
  term: 5,
  vote: undefined,
  commit: 0,
  startIndex: 0,
  startTerm: 0,
  lastIndex: 0,
  lastTimeMs: 0,
  startConfiguration: undefined,
};

function header(fields: Partial<RecordHeader>): RecordHeader {
  return { ...emptyHeader(), segment: 3, group: 1, ...fields };
}

function state(replay: Replay, fields: Partial<GroupState>, more: Partial<RecordHeader> = {}) {
  const writer = new ByteWriter();
  encodeState(writer, { ...STATE, ...fields });
  const body = writer.copy();
  return replay.apply(header({ kind: RecordKind.state, bodyCrc: crc32(body), ...more }), body);
}

function entries(replay: Replay, from: number, count = 1, kind: RecordKind = RecordKind.entries) {
  const batch = batchOf(from, 5, { count });
  return replay.apply(header({ kind, bodyCrc: batch.crc, offset: 8 * from }), batch.body);
}

describe("records that contradict what came before them", () => {
  test("a gap in the entries, or entries before the start", () => {
    const replay = new Replay(1);
    expect(entries(replay, 2)).toMatch("does not follow");
    expect(entries(replay, 1, 3)).toBeUndefined();
    expect(state(replay, { startIndex: 2, lastIndex: 3, startConfiguration: CONFIGURATION })).toBe(
      undefined,
    );
    expect(entries(replay, 2)).toMatch("does not follow");
    expect(entries(replay, 3)).toBeUndefined();
  });

  test("a state that speaks of another end, or goes back", () => {
    const replay = new Replay(1);
    entries(replay, 1, 3);
    expect(state(replay, { lastIndex: 4 })).toMatch("last index 4 where the log ends at 3");
    expect(state(replay, { lastIndex: 3, startIndex: 2 })).toMatch("without a configuration");
    const fields = { lastIndex: 3, startIndex: 2, startConfiguration: CONFIGURATION };
    expect(state(replay, fields)).toBeUndefined();
    expect(state(replay, { ...fields, startIndex: 1 })).toMatch("a start at 1 after one at 2");
    expect(state(replay, { ...fields, term: 4 })).toMatch("term 4 after term 5");
  });

  test("a second vote in a term", () => {
    const replay = new Replay(1);
    const incarnation = "ab".repeat(16);
    expect(state(replay, { vote: { id: "n1", incarnation } })).toBeUndefined();
    expect(state(replay, { vote: { id: "n1", incarnation } })).toBeUndefined();
    expect(state(replay, { vote: { id: "n1", incarnation: "cd".repeat(16) } })).toMatch("second");
    expect(state(replay, {})).toMatch("second vote");
  });

  test("a reset without a configuration, or that keeps entries", () => {
    const replay = new Replay(1);
    const kind = { kind: RecordKind.reset };
    expect(state(replay, { startIndex: 9, lastIndex: 9 }, kind)).toMatch("without a configuration");
    const fields = { startIndex: 9, lastIndex: 12, startConfiguration: CONFIGURATION };
    expect(state(replay, fields, kind)).toMatch("keeps entries");
    expect(state(replay, { ...fields, lastIndex: 9 }, kind)).toBeUndefined();
  });

  test("a moved batch from nowhere, a group twice in the first head, an unknown kind", () => {
    const replay = new Replay(3);
    expect(entries(replay, 1, 1, RecordKind.moved)).toMatch("was moved and is not in the log");
    const flags = { flags: RecordFlag.head, group: 8 };
    expect(state(replay, {}, flags)).toBeUndefined();
    expect(state(replay, {}, flags)).toMatch("two first states");
    expect(replay.apply(header({ kind: 9 as RecordKind }), new Uint8Array(0))).toMatch("kind 9");
  });

  test("a body that is not what its kind says", () => {
    const replay = new Replay(1);
    expect(replay.apply(header({ kind: RecordKind.entries }), new Uint8Array(3))).toMatch("cut");
    expect(replay.apply(header({ kind: RecordKind.state }), new Uint8Array(3))).toMatch("want 8");
  });
});

describe("what the first segment there is speaks of", () => {
  test("is missing until moved batches bring it back", () => {
    const replay = new Replay(3);
    const flags = { flags: RecordFlag.head | RecordFlag.headEnd };
    state(replay, { startIndex: 2, lastIndex: 9, startConfiguration: CONFIGURATION }, flags);
    const group = replay.groups.get(1)!;
    expect(replay.headIsComplete).toBe(true);
    expect(group.firstMissing()).toBe(3);
    entries(replay, 2, 4, RecordKind.moved);
    expect(group.firstMissing()).toBe(6);
    entries(replay, 8, 2);
    expect(group.firstMissing()).toBe(6);
    entries(replay, 6, 4, RecordKind.moved);
    expect(group.firstMissing()).toBeUndefined();
    expect(group.lastIndex).toBe(9);
  });
});
