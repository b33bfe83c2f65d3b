/**
 * What the log knows about one group: its newest state and where its batches are. The same object
 * is kept up by appends and rebuilt by recovery, so that both mean the same.
 *
 * Invariants, asserted
 * - the term never falls, and the vote of a term is never changed or withdrawn;
 * - startIndex and commit never fall, except that a reset says both anew;
 * - entries are added directly behind the last index or before it, never before the start.
 */
import type { IndexedConfiguration } from "../core/configuration.ts";
import { EMPTY_CONFIGURATION } from "../core/configuration.ts";
import { decodeConfiguration } from "../core/configuration-codec.ts";
import type { LogStart, RecoveredGroup, SnapshotPoint, TermRun } from "../core/contract.ts";
import { EntryCursor, EntryKind } from "../core/entry.ts";
import type { EntryBatch } from "../core/entry.ts";
import type { HardState, Vote } from "../core/output.ts";
import { assert } from "../util/assert.ts";
import { LocationIndex } from "./location-index.ts";
import type { LiveBytes, Location } from "./location-index.ts";
import type { Position } from "./position.ts";
import type { GroupState } from "./state-record.ts";

/** The log of one group, in memory. */
export class GroupLog {
  readonly id: number;
  readonly locations: LocationIndex;
  term = 0;
  vote: Vote | undefined = undefined;
  commit = 0;
  start: LogStart = {
    index: 0,
    term: 0,
    configuration: { index: 0, configuration: EMPTY_CONFIGURATION },
  };
  lastIndex = 0;
  lastTimeMs = 0;
  /** Those behind the start, by index. */
  readonly #configurations: IndexedConfiguration[] = [];

  constructor(id: number, live: LiveBytes) {
    this.id = id;
    this.locations = new LocationIndex(live);
  }

  /** The state as it is now, as a record would hold it. */
  state(withConfiguration: boolean): GroupState {
    return {
      term: this.term,
      vote: this.vote,
      commit: this.commit,
      startIndex: this.start.index,
      startTerm: this.start.term,
      lastIndex: this.lastIndex,
      lastTimeMs: this.lastTimeMs,
      startConfiguration: withConfiguration ? this.start.configuration : undefined,
    };
  }

  /** Why a hard state must not follow the one that is there; undefined where it may. */
  objection(term: number, vote: Vote | undefined): string | undefined {
    if (term < this.term) return `term ${term} after term ${this.term}`;
    if (term > this.term || this.vote === undefined) return undefined;
    const same = vote?.id === this.vote.id && vote.incarnation === this.vote.incarnation;
    return same ? undefined : `a second vote in term ${term}`;
  }

  setHardState(hardState: HardState): void {
    const { term, vote } = hardState;
    const objection = this.objection(term, vote);
    assert(objection === undefined, () => `group ${this.id}: ${objection}`);
    this.term = term;
    this.vote = vote;
    this.noteCommit(hardState.commit);
  }

  /** A newer commit index, if it is one. */
  noteCommit(commit: number): void {
    if (commit > this.commit) this.commit = commit;
  }

  /** Whether the entries from `firstIndex` on can be put where they want to be. */
  accepts(firstIndex: number): boolean {
    return firstIndex > this.start.index && firstIndex <= this.lastIndex + 1;
  }

  /** A batch was put at `at`; it ends everything from its first index on. */
  append(batch: EntryBatch, at: Position): void {
    const { firstIndex } = batch;
    assert(
      this.accepts(firstIndex),
      () => `group ${this.id}: ${batch.toString()} behind ${this.start.index}..${this.lastIndex}`,
    );
    const { locations, start } = this;
    locations.cutFrom(firstIndex);
    // Of a batch that spans the start, what was behind it may be what was just cut off.
    if (locations.rows > 0 && locations.firstIndex(0) <= start.index) {
      locations.dropThrough(start.index, firstIndex - 1);
    }
    this.#cutConfigurations(firstIndex);
    this.locations.push(locationOf(batch, at));
    this.lastIndex = batch.lastIndex;
    this.lastTimeMs = batch.timeMs;
    if (batch.hasConfiguration) this.#noteConfigurations(batch);
  }

  /** A batch that counts already is now at `at`. */
  move(batch: EntryBatch, at: Position): void {
    this.locations.place(locationOf(batch, at));
    if (batch.hasConfiguration) this.#noteConfigurations(batch);
  }

  /** What the start would be after a release of everything up to `index`. */
  startAfter(index: number): LogStart {
    assert(
      index > this.start.index && index <= this.lastIndex,
      () => `no entry ${index} to release`,
    );
    let configuration = this.start.configuration;
    for (const candidate of this.#configurations) {
      if (candidate.index <= index) configuration = candidate;
    }
    return { index, term: this.locations.term(this.locations.find(index)), configuration };
  }

  /** The state with another start. */
  stateStartingAt(start: LogStart): GroupState {
    return {
      ...this.state(false),
      commit: Math.max(this.commit, start.index),
      startIndex: start.index,
      startTerm: start.term,
      startConfiguration: start.configuration,
    };
  }

  /** Whether the batch that begins at `firstIndex` counts, and is there. */
  isAt(firstIndex: number, at: Position): boolean {
    const { locations } = this;
    const row = locations.find(firstIndex);
    return (
      row >= 0 &&
      locations.firstIndex(row) === firstIndex &&
      locations.segment(row) === at.segment &&
      locations.offset(row) === at.offset
    );
  }

  /** Entries up to and including the start are gone. */
  startAt(start: LogStart): void {
    this.start = start;
    this.locations.dropThrough(start.index, this.lastIndex);
    const kept = this.#configurations.findIndex((known) => known.index > start.index);
    this.#configurations.splice(0, kept < 0 ? this.#configurations.length : kept);
    this.noteCommit(start.index);
  }

  /** The log starts anew, without entries. */
  reset({ index, term, configuration, timeMs }: SnapshotPoint): void {
    this.locations.clear();
    this.#configurations.length = 0;
    this.start = { index, term, configuration };
    this.lastIndex = index;
    this.lastTimeMs = timeMs;
    this.commit = index;
  }

  /** Takes over a state as it is found in the first segment there is: all else is gone. */
  adopt(state: GroupState): void {
    this.term = state.term;
    this.vote = state.vote;
    this.commit = state.commit;
    this.lastIndex = state.lastIndex;
    this.lastTimeMs = state.lastTimeMs;
    const configuration = state.startConfiguration ?? this.start.configuration;
    this.start = { index: state.startIndex, term: state.startTerm, configuration };
  }

  /** The first index that should be in the log and is not; undefined where all are there. */
  firstMissing(): number | undefined {
    let next = this.start.index + 1;
    const { locations } = this;
    for (let row = 0; row < locations.rows; row++) {
      if (locations.firstIndex(row) > next) return next;
      const behind = row + 1 < locations.rows ? locations.firstIndex(row + 1) : this.lastIndex + 1;
      next = Math.max(next, Math.min(locations.bodyLastIndex(row) + 1, behind));
    }
    return next <= this.lastIndex ? next : undefined;
  }

  recovered(): RecoveredGroup {
    const commit = Math.min(this.commit, this.lastIndex);
    return {
      hardState: { term: this.term, vote: this.vote, commit },
      startIndex: this.start.index,
      startTerm: this.start.term,
      startConfiguration: this.start.configuration,
      lastIndex: this.lastIndex,
      termRuns: this.#termRuns(),
      configurations: [...this.#configurations],
      lastTimeMs: this.lastTimeMs,
    };
  }

  #termRuns(): TermRun[] {
    const runs: TermRun[] = [];
    const { locations } = this;
    let term = -1;
    for (let row = 0; row < locations.rows; row++) {
      if (locations.term(row) === term) continue;
      term = locations.term(row);
      runs.push({ index: Math.max(locations.firstIndex(row), this.start.index + 1), term });
    }
    return runs;
  }

  #cutConfigurations(from: number): void {
    const known = this.#configurations;
    while (known.length > 0 && known[known.length - 1]!.index >= from) known.pop();
  }

  /** Keeps the list sorted: a moved batch may bring back one that lies before others. */
  #noteConfigurations(batch: EntryBatch): void {
    const cursor = new EntryCursor().reset(batch);
    while (cursor.next()) {
      const { kind, index, payload } = cursor.view;
      if (kind !== EntryKind.configuration || index <= this.start.index) continue;
      if (index > this.lastIndex) continue;
      const known = { index, configuration: decodeConfiguration(payload) };
      const at = this.#configurations.findIndex((other) => other.index >= index);
      if (at < 0) this.#configurations.push(known);
      else
        this.#configurations.splice(at, this.#configurations[at]!.index === index ? 1 : 0, known);
    }
  }
}

function locationOf(batch: EntryBatch, at: Position): Location {
  return {
    firstIndex: batch.firstIndex,
    count: batch.count,
    term: batch.term,
    segment: at.segment,
    offset: at.offset,
    bytes: batch.byteLength,
  };
}
