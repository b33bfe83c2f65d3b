import { describe, expect, test } from "vitest";
import { EntryBatch, EntryKind, packEntries } from "../core/entry.ts";
import { votersOnly } from "../core/configuration.ts";
import type { Envelope, Output } from "../core/output.ts";
import { crc32 } from "../util/checksum.ts";
import { Outbox } from "./outbox.ts";

function batch(firstIndex: number): EntryBatch {
  const packed = packEntries([{ kind: EntryKind.noop, payload: new Uint8Array(0) }]);
  return EntryBatch.seal(packed, { term: 1, firstIndex, timeMs: 0, checksum: crc32 });
}

function message(to: string, after: number, commit = 0): Envelope {
  return { to, after, message: { type: "heartbeat", term: 1, commit, round: 0 } };
}

function output(number: number, part: Partial<Output>): Output {
  return {
    number,
    hardState: undefined,
    reset: undefined,
    entries: [],
    messages: [],
    commit: 0,
    reads: [],
    loads: [],
    snapshots: [],
    events: [],
    ...part,
  };
}

function outbox(): { box: Outbox; sent: string[] } {
  const sent: string[] = [];
  const box = new Outbox(7, ({ to, after }) => sent.push(`${to}:${after}`));
  return { box, sent };
}

describe("the order of leaving", () => {
  test("what waits for nothing leaves at once, what waits leaves with its write", () => {
    const { box, sent } = outbox();
    box.take(output(1, { entries: [batch(1)], messages: [message("a", 1), message("b", 0)] }));
    expect(sent).toEqual(["b:0"]);
    expect(box.takeWrite()).toMatchObject({ group: 7, entries: [{ firstIndex: 1 }] });
    expect(sent).toEqual(["b:0"]);
    expect(box.written()).toBe(1);
    expect(sent).toEqual(["b:0", "a:1"]);
  });

  test("what waits for a directory is not sent to the one that takes its place", () => {
    const { box, sent } = outbox();
    const named = (id: string, incarnation: string) => ({ id, address: `${id}:1`, incarnation });
    box.membersAre(votersOnly([named("a", "1"), named("b", "1")]));
    box.take(output(1, { entries: [batch(1)], messages: [message("a", 1), message("b", 1)] }));
    box.takeWrite();
    box.membersAre(votersOnly([named("a", "2"), named("b", "1")]));
    box.take(output(2, { entries: [batch(2)], messages: [message("a", 2)] }));
    box.written();
    box.takeWrite();
    box.written();
    expect(sent).toEqual(["b:1", "a:2"]);
  });

  test("a write in flight covers what was taken before it, not what came after", () => {
    const { box, sent } = outbox();
    box.take(output(1, { entries: [batch(1)], messages: [message("a", 1)] }));
    box.takeWrite();
    box.take(output(2, { entries: [batch(2)], messages: [message("a", 2)] }));
    box.take(output(3, { messages: [message("a", 2)] }));
    expect(box.takeWrite()).toBeUndefined();
    expect(box.written()).toBe(1);
    expect(sent).toEqual(["a:1"]);
    expect(box.takeWrite()?.entries.map(({ firstIndex }) => firstIndex)).toEqual([2]);
    expect(box.written()).toBe(3);
    expect(sent).toEqual(["a:1", "a:2", "a:2"]);
  });

  test("what gathered in between goes out as one write, with the newest hard state", () => {
    const { box } = outbox();
    const hardState = (term: number): Output["hardState"] => ({ term, vote: undefined, commit: 0 });
    box.take(output(1, { hardState: hardState(1) }));
    box.take(output(2, { hardState: hardState(2), entries: [batch(3)] }));
    box.take(output(3, { entries: [batch(2)], commit: 1 }));
    const write = box.takeWrite();
    expect(write?.hardState?.term).toBe(2);
    expect(write?.entries.map(({ firstIndex }) => firstIndex)).toEqual([3, 2]);
    expect(write?.commit).toBe(1);
    expect(box.written()).toBe(3);
    expect(box.takeWrite()).toBeUndefined();
  });

  test("a reset takes the place of the entries that wait, and goes before those that follow", () => {
    const { box, sent } = outbox();
    const configuration = { index: 1, configuration: votersOnly([]) };
    const reset = { index: 8, term: 1, configuration, timeMs: 0 };
    const hardState = { term: 2, vote: undefined, commit: 0 };
    box.take(output(1, { hardState, entries: [batch(3)] }));
    box.take(output(2, { reset, messages: [message("a", 2)] }));
    box.take(output(3, { entries: [batch(9)] }));
    expect(box.takeWrite()).toMatchObject({ hardState, reset, entries: [{ firstIndex: 9 }] });
    expect(sent).toEqual([]);
    box.written();
    expect(sent).toEqual(["a:2"]);
    expect(box.takeWrite()).toBeUndefined();
    box.take(output(4, { entries: [batch(10)] }));
    expect(box.takeWrite()?.reset).toBeUndefined();
  });

  test("an output with nothing to write needs no write", () => {
    const { box, sent } = outbox();
    box.take(output(1, { messages: [message("a", 1)] }));
    expect(sent).toEqual(["a:1"]);
    expect(box.takeWrite()).toBeUndefined();
    expect(() => box.written()).toThrow("was not in flight");
    expect(() => box.take(output(1, {}))).toThrow("numbered upwards");
  });
});
