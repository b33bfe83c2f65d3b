/**
 * What is written to the log: what the groups append, up to where they need nothing any more, and
 * entries of slow groups on their way to a younger segment. See log-writer.ts for what a job may
 * do.
 */
import type { SnapshotPoint } from "../core/contract.ts";
import type { EntryBatch } from "../core/entry.ts";
import type { Vote } from "../core/output.ts";
import { assert } from "../util/assert.ts";
import type { GroupLog } from "./group-log.ts";
import type { LogWrite } from "./log.ts";
import type { Job, LogWriter } from "./log-writer.ts";
import type { Position } from "./position.ts";

/**
 * What was gathered for any number of groups. A state or a reset goes before the entries of its
 * group; a reset says term and vote as well.
 */
export class AppendJob implements Job {
  readonly #writes: readonly LogWrite[];
  readonly #groupOf: (id: number) => GroupLog;
  #write = 0;
  #stateIsPut = false;
  #batch = 0;

  constructor(writes: readonly LogWrite[], groupOf: (id: number) => GroupLog) {
    this.#writes = writes;
    this.#groupOf = groupOf;
  }

  get done(): boolean {
    return this.#write === this.#writes.length;
  }

  place(writer: LogWriter): void {
    while (this.#write < this.#writes.length) {
      const write = this.#writes[this.#write]!;
      const group = this.#groupOf(write.group);
      group.noteCommit(write.commit);
      if (!this.#putState(writer, group, write)) return;
      while (this.#batch < write.entries.length) {
        const batch = write.entries[this.#batch]!;
        if (!writer.putBatch(group, batch, "entries")) return;
        this.#batch++;
      }
      this.#write++;
      this.#stateIsPut = false;
      this.#batch = 0;
    }
  }

  #putState(writer: LogWriter, group: GroupLog, write: LogWrite): boolean {
    const { hardState, reset } = write;
    if ((hardState === undefined && reset === undefined) || this.#stateIsPut) return true;
    const { term, vote } = hardState ?? group;
    const objection = group.objection(term, vote);
    assert(objection === undefined, () => `group ${group.id}: ${objection}`);
    if (reset === undefined) {
      const commit = Math.max(group.commit, hardState?.commit ?? 0);
      const state = { ...group.state(false), term, vote, commit };
      if (!writer.putState(group, state, "state")) return false;
    } else if (!putReset(writer, group, { term, vote, point: reset })) return false;
    if (hardState !== undefined) group.setHardState(hardState);
    if (reset !== undefined) group.reset(reset);
    this.#stateIsPut = true;
    return true;
  }
}

/** A group's log starts after `index`, which it holds. */
export class ReleaseJob implements Job {
  done = false;
  readonly #group: GroupLog;
  readonly #index: number;

  constructor(group: GroupLog, index: number) {
    this.#group = group;
    this.#index = index;
  }

  place(writer: LogWriter): void {
    const group = this.#group;
    if (this.#index > group.start.index) {
      const start = group.startAfter(this.#index);
      if (!writer.putState(group, group.stateStartingAt(start), "state")) return;
      group.startAt(start);
    }
    this.done = true;
  }
}

/** The log of a group starts anew behind a snapshot that came from elsewhere. */
function putReset(
  writer: LogWriter,
  group: GroupLog,
  to: { readonly term: number; readonly vote: Vote | undefined; readonly point: SnapshotPoint },
): boolean {
  const { term, vote, point } = to;
  const state = {
    ...group.stateStartingAt(point),
    term,
    vote,
    commit: point.index,
    lastIndex: point.index,
    lastTimeMs: point.timeMs,
  };
  return writer.putState(group, state, "reset");
}

/** A batch that was read from an old segment, and where it was. */
export interface OldBatch {
  readonly group: GroupLog;
  readonly batch: EntryBatch;
  readonly at: Position;
}

/** Live batches of an old segment, written again so that it can go. */
export class MoveJob implements Job {
  readonly #batches: readonly OldBatch[];
  #next = 0;

  constructor(batches: readonly OldBatch[]) {
    this.#batches = batches;
  }

  get done(): boolean {
    return this.#next === this.#batches.length;
  }

  place(writer: LogWriter): void {
    for (; this.#next < this.#batches.length; this.#next++) {
      const { group, batch, at } = this.#batches[this.#next]!;
      // While it was being read it may have been released or truncated.
      if (!group.isAt(batch.firstIndex, at)) continue;
      if (!writer.putBatch(group, batch, "moved")) return;
    }
  }
}
