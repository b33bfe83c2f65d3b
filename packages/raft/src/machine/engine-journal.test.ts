import { describe, expect, test } from "vitest";
import { EntryKind } from "../core/entry.ts";
import { BytesError } from "../util/bytes.ts";
import { crc32 } from "../util/checksum.ts";
import { SeededRandom } from "../util/random.ts";
import type { EngineRecord } from "./disk-machine.ts";
import { EngineJournal } from "./engine-journal.ts";
import type { PlannedEntry } from "./engine-journal.ts";
import { EngineState } from "./engine-state.ts";
import { Foreseen } from "./foreseen.ts";
import { encodeSessionEntry } from "./session-entry.ts";

const CLUSTER = "0123456789abcdef0123456789abcdef";
const NO_BYTES = new Uint8Array(0);

/** An engine's state that lives through random entries, with a store beside it. */
class Life {
  readonly state = new EngineState();
  readonly journal = new EngineJournal(crc32);
  readonly stored = new Map<string, Uint8Array>();
  readonly random: SeededRandom;
  readonly foreseen = new Foreseen();
  index = 0;
  term = 1;
  timeMs = 0;
  #sessions: number[] = [];
  cuts = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  records(): EngineRecord[] {
    return [...this.stored].map(([key, value]) => ({ key, value }));
  }

  /** One batch, stored or only skipped. */
  batch(): void {
    const { random, state, journal } = this;
    const planned: PlannedEntry[] = [];
    const results: unknown[] = [];
    const at = { index: this.index, term: this.term, state, clusterId: CLUSTER };
    this.foreseen.clear();
    const count = 1 + random.below(12);
    while (planned.length < count) {
      const before = { term: this.term, timeMs: this.timeMs };
      const entry = this.#draw();
      if (entry.kind === EntryKind.command && entry.session !== 0) {
        const { session, sequence, lowestUnanswered: lowest, timeMs } = entry;
        const verdict = this.foreseen.verdict(state.sessions, session, sequence, lowest, timeMs);
        if (verdict === undefined) {
          // What cannot be told begins the next batch; here it is drawn anew.
          this.cuts++;
          this.index--;
          Object.assign(this, before);
          break;
        }
        entry.verdict = verdict;
        if (verdict === "new") entry.place = results.push(this.#result()) - 1;
      }
      planned.push(entry);
      if (entry.kind === EntryKind.session || entry.kind === EntryKind.version) break;
    }
    if (planned.length === 0) return;
    if (results.length === 0 && random.below(2) === 0) journal.skip(planned, planned.length);
    else {
      for (const { key, value } of journal.stage(at, planned, planned.length, results)) {
        this.stored.set(key, value.slice());
      }
      journal.confirm();
      expect(journal.confirmed.index).toBe(this.index);
    }
    for (const entry of planned) this.#take(entry, results);
  }

  #draw(): PlannedEntry {
    const { random } = this;
    if (random.below(9) === 0) this.term += random.below(3);
    if (random.below(3) === 0) this.timeMs += random.below(500);
    const entry: PlannedEntry = {
      index: ++this.index,
      term: this.term,
      timeMs: this.timeMs,
      kind: EntryKind.command,
      session: 0,
      sequence: 0,
      lowestUnanswered: 0,
      verdict: "new",
      payload: NO_BYTES,
      place: -1,
    };
    const kind = random.below(20);
    if (kind === 0 || this.#sessions.length === 0) {
      entry.kind = EntryKind.session;
      entry.payload = encodeSessionEntry({ type: "open", timeoutMs: 200 + random.below(9_000) });
      this.#sessions = [...this.#sessions, entry.index].slice(-4);
    } else if (kind === 1) {
      entry.kind = EntryKind.session;
      entry.session = this.#sessions[random.below(this.#sessions.length)]!;
      entry.payload = encodeSessionEntry({ type: "close" });
    } else if (kind === 2) {
      entry.kind = EntryKind.version;
      entry.payload = Uint8Array.of(random.below(5), 0, 0, 0);
    } else if (kind === 3) entry.kind = EntryKind.noop;
    else if (kind > 4) {
      entry.session = this.#sessions[random.below(this.#sessions.length)]!;
      entry.sequence = 1 + random.below(40);
      entry.lowestUnanswered = 1 + random.below(entry.sequence);
    }
    return entry;
  }

  #result(): unknown {
    const { random } = this;
    const results = [7, "short", "long ".repeat(40), { a: [1, null] }, undefined, () => 1];
    return results[random.below(results.length)];
  }

  #take(entry: PlannedEntry, results: readonly unknown[]): void {
    const { state } = this;
    state.timeMs = entry.timeMs;
    const { kind, index, session, sequence, lowestUnanswered, payload } = entry;
    if (kind === EntryKind.session) state.takeSession(index, session, payload);
    else if (kind === EntryKind.version) state.raiseVersion(payload[0]!);
    else if (kind === EntryKind.command && session !== 0) {
      const verdict = state.sessions.judge(session, sequence, lowestUnanswered, entry.timeMs);
      expect(verdict).toBe(entry.verdict);
      if (verdict === "new") state.sessions.keep(sequence, results[entry.place]);
      else state.history.ineffective(index);
    }
  }
}

describe("the engine's records", () => {
  test("lead to the state that was applied, after any batch", () => {
    let cuts = 0;
    for (let seed = 1; seed <= 8; seed++) {
      const life = new Life(seed);
      for (let i = 0; i < 100; i++) {
        life.batch();
        const again = new EngineJournal(crc32);
        again.open(life.records());
        const { index, term, state, clusterId } = again.opened;
        expect(index).toBe(life.journal.confirmed.index);
        if (index === 0) continue;
        expect(clusterId).toBe(CLUSTER);
        // What was only skipped is not stored: it comes again from the log.
        if (index !== life.index) continue;
        expect(term).toBe(life.term);
        expect(state.encode()).toEqual(life.state.encode());
      }
      cuts += life.cuts;
      expect(life.stored.size).toBeGreaterThan(3);
    }
    expect(cuts).toBeGreaterThan(5);
  });

  test("are gone on with in another life, and a base begins the slots anew", () => {
    const life = new Life(99);
    for (let i = 0; i < 2_000; i++) life.batch();
    const slots = life.stored.size;
    for (let i = 0; i < 2_000; i++) life.batch();
    // Bounded by the size of a base, not by how long it goes on.
    expect(life.stored.size).toBeLessThan(2 * slots + 20);
    const again = new EngineJournal(crc32);
    again.open(life.records());
    const { index, term, state } = again.opened;
    const entry = { ...blank(index + 1, term, state.timeMs) };
    const records = again.stage({ index, term, state, clusterId: CLUSTER }, [entry], 1, [1]);
    expect(records.map(({ key }) => key)).toEqual(["base", "steps/0"]);
  });

  test("that are damaged, or incomplete, are refused", () => {
    const life = new Life(5);
    for (let i = 0; i < 40; i++) life.batch();
    const records = life.records();
    for (const [i, { key, value }] of records.entries()) {
      const bad = value.slice();
      bad[bad.length >> 1]! ^= 4;
      const some = records.with(i, { key, value: bad });
      expect(() => new EngineJournal(crc32).open(some), key).toThrow(BytesError);
    }
    const withoutBase = records.filter(({ key }) => key !== "base");
    expect(() => new EngineJournal(crc32).open(withoutBase)).toThrow("without a base");
  });

  test("of a machine that begins with a snapshot say where it is", () => {
    const life = new Life(6);
    for (let i = 0; i < 50; i++) life.batch();
    const { state, index, term, journal } = life;
    const records = journal.begin({ index, term, clusterId: CLUSTER, state });
    const again = new EngineJournal(crc32);
    again.open(records);
    expect(again.opened.index).toBe(index);
    expect(again.opened.state.encode()).toEqual(state.encode());
  });
});

function blank(index: number, term: number, timeMs: number): PlannedEntry {
  return {
    index,
    term,
    timeMs,
    kind: EntryKind.command,
    session: 0,
    sequence: 0,
    lowestUnanswered: 0,
    verdict: "new",
    payload: NO_BYTES,
    place: 0,
  };
}
