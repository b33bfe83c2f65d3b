/**
 * Appending as the leader: proposals, and the entry that opens a term.
 *
 * A proposal is sealed into one batch: it gets its place, its term and its cluster time. Cluster
 * time continues from the last entry of the log by the leader's own clock; it never goes back and
 * is no wall time. The batch counts for commitment once the leader's own disk has it, like on any
 * member.
 */
import type { Configuration } from "./configuration.ts";
import { encodeConfiguration } from "./configuration-codec.ts";
import type { ProposeResult } from "./contract.ts";
import type { PackedEntries } from "./entry.ts";
import { EntryBatch, EntryKind, packEntries } from "./entry.ts";
import { hasSpace, isAboutToYield } from "./health.ts";
import { violated } from "./invariants.ts";
import { checkSuccession } from "./membership-rules.ts";
import { Progress } from "./progress.ts";
import type { RaftState } from "./state.ts";
import { emit, refreshConfiguration } from "./state.ts";

/** Appends entries, or says why not. Figure 2, Leaders 2. */
export function propose(state: RaftState, entries: PackedEntries): ProposeResult {
  const { leader, uncommitted, options } = state;
  if (state.role !== "leader") return { ok: false, reason: "not-leader", leader };
  if (state.transfer !== undefined) return { ok: false, reason: "transferring", leader };
  if (!hasSpace(state)) {
    return { ok: false, reason: isAboutToYield(state) ? "transferring" : "full", leader };
  }
  const waiting = uncommitted.bytes;
  // An empty pipe takes anything: otherwise a large proposal could never be made.
  if (waiting > 0 && waiting + entries.bytes.length > options.uncommittedBytesMax) {
    return { ok: false, reason: "overloaded", leader };
  }
  return { ok: true, firstIndex: appendOwn(state, entries), term: state.term };
}

/** Opens a term: an entry of its own is what a new leader can commit. Section 8. */
export function appendNoop(state: RaftState): void {
  state.timeBaseMs = state.log.lastTimeMs;
  state.noopIndex = appendOwn(
    state,
    packEntries([{ kind: EntryKind.noop, payload: new Uint8Array(0) }]),
  );
}

/** Appends a configuration as the leader, which puts it in force, and returns its index. */
export function appendConfiguration(state: RaftState, configuration: Configuration): number {
  const payload = encodeConfiguration(configuration);
  return appendOwn(state, packEntries([{ kind: EntryKind.configuration, payload }]));
}

/** Cluster time now, by this leader's clock. */
export function clusterTimeMs(state: RaftState): number {
  const elapsed = Math.floor(state.nowMs - state.leaderSinceMs);
  return Math.max(state.log.lastTimeMs, state.timeBaseMs + elapsed);
}

/** Appends as the leader and returns the first index. */
function appendOwn(state: RaftState, entries: PackedEntries): number {
  const firstIndex = state.log.lastIndex + 1;
  if (state.transfer !== undefined) {
    violated("transfer-appends-nothing", `Entry ${firstIndex}, target ${state.transfer.target}.`);
  }
  const batch = EntryBatch.seal(entries, {
    term: state.term,
    firstIndex,
    timeMs: clusterTimeMs(state),
    checksum: state.options.checksum,
  });
  const { configurationIndex } = state.log;
  if (batch.hasConfiguration && configurationIndex > state.commit) {
    violated(
      "one-configuration-uncommitted",
      `Entry ${firstIndex}, while entry ${configurationIndex} is not committed.`,
    );
  }
  appendBatch(state, batch);
  state.uncommitted.add(batch.lastIndex, batch.byteLength);
  return firstIndex;
}

/** Appends a batch to log and output, and puts a configuration in it in force. Thesis, 4.1. */
export function appendBatch(state: RaftState, batch: EntryBatch): void {
  if (batch.term > state.term) {
    violated("log-terms-ordered", `Batch ${batch.toString()} in term ${state.term}.`);
  }
  const { configurations } = state.log;
  const held = configurations.length;
  const changed = state.log.append(batch);
  state.persistence.append(batch);
  if (!changed) return;
  for (let i = held; i < configurations.length; i++) {
    const { index, configuration } = configurations[i]!;
    checkSuccession(configurations[i - 1]!.configuration, configuration, index);
  }
  configurationChanged(state);
}

/** The configuration in force is another one, by an append or by a truncation. */
export function configurationChanged(state: RaftState): void {
  refreshConfiguration(state);
  emit(state, {
    type: "configuration",
    index: state.log.configurationIndex,
    configuration: state.configuration,
  });
  if (state.role === "leader") syncProgress(state);
}

/** Gives every other member a progress, and takes it from those who are none any more. */
export function syncProgress(state: RaftState): void {
  const { members, learners } = state.configuration;
  const { progress } = state;
  for (const { id, incarnation } of members) {
    if (id === state.id) continue;
    const role = learners.includes(id) ? "learner" : "voter";
    const known = progress.get(id);
    // What another directory under that id has acknowledged, this one does not hold.
    if (known?.incarnation === incarnation) known.role = role;
    else progress.set(id, new Progress({ id, role, incarnation }, state.log.lastIndex + 1));
  }
  for (const id of progress.keys()) {
    if (!members.some((member) => member.id === id)) progress.delete(id);
  }
}
