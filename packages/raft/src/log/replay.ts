/**
 * Rebuilding the groups from records, in the order of the log.
 *
 * Every record is checked against what came before it. One whose CRCs are right and that
 * nevertheless contradicts the log cannot come from a torn write: it is damage, or a defect of
 * ours, and in both cases the log is not opened.
 */
import { EntryBatch } from "../core/entry.ts";
import { BytesError } from "../util/bytes.ts";
import { GroupLog } from "./group-log.ts";
import { LiveBytes } from "./location-index.ts";
import type { Position } from "./position.ts";
import { RecordFlag, RecordKind } from "./record.ts";
import type { RecordHeader } from "./record.ts";
import { decodeState } from "./state-record.ts";
import type { GroupState } from "./state-record.ts";

/** The groups as far as the log was read. */
export class Replay {
  readonly groups: Map<number, GroupLog> = new Map();
  readonly live: LiveBytes = new LiveBytes();
  records = 0;
  /** Whether the states that the first segment begins with have all been read. */
  headIsComplete = false;
  readonly #firstSegment: number;

  constructor(firstSegment: number) {
    this.#firstSegment = firstSegment;
  }

  /** Takes a record in; says why it cannot be, where it cannot. */
  apply(header: Readonly<RecordHeader>, body: Uint8Array): string | undefined {
    this.records++;
    if (header.kind === RecordKind.end) return undefined;
    try {
      switch (header.kind) {
        case RecordKind.entries:
        case RecordKind.moved:
          return this.#applyBatch(
            header,
            EntryBatch.read(body, header.bodyCrc, () => header.bodyCrc),
          );
        case RecordKind.state:
        case RecordKind.reset:
          return this.#applyState(header, decodeState(body));
        default:
          return `a record of unknown kind ${header.kind as number}`;
      }
    } catch (error) {
      if (error instanceof BytesError) return error.message;
      throw error;
    }
  }

  #applyBatch(header: Readonly<RecordHeader>, batch: EntryBatch): string | undefined {
    const group = this.#group(header.group);
    const at: Position = { segment: header.segment, offset: header.offset };
    if (header.kind === RecordKind.moved) {
      if (batch.firstIndex > group.lastIndex)
        return `${batch.toString()} was moved and is not in the log`;
      group.move(batch, at);
      return undefined;
    }
    if (!group.accepts(batch.firstIndex)) {
      const { start, lastIndex } = group;
      return `${batch.toString()} does not follow entries ${start.index + 1} to ${lastIndex}`;
    }
    group.append(batch, at);
    group.noteCommit(header.commit);
    return undefined;
  }

  #applyState(header: Readonly<RecordHeader>, state: GroupState): string | undefined {
    const isKnown = this.groups.has(header.group);
    const group = this.#group(header.group);
    const isFirstHead =
      header.segment === this.#firstSegment && (header.flags & RecordFlag.head) !== 0;
    if ((header.flags & RecordFlag.headEnd) !== 0) this.headIsComplete = true;
    if (isFirstHead) {
      if (isKnown) return `two first states of group ${group.id}`;
      group.adopt(state);
      return undefined;
    }
    const objection = group.objection(state.term, state.vote);
    if (objection !== undefined) return `group ${group.id}: ${objection}`;
    if (header.kind === RecordKind.reset) return reset(group, state);
    const why = contradiction(group, state);
    // The head of a segment repeats what is known; it may be cut, so it must not change anything.
    if (why !== undefined || (header.flags & RecordFlag.head) !== 0) return why;
    return update(group, state);
  }

  #group(id: number): GroupLog {
    let group = this.groups.get(id);
    if (group === undefined) {
      group = new GroupLog(id, this.live);
      this.groups.set(id, group);
    }
    return group;
  }
}

function reset(group: GroupLog, state: GroupState): string | undefined {
  const { startConfiguration: configuration, startIndex: index, startTerm, lastTimeMs } = state;
  if (configuration === undefined) return "a reset without a configuration";
  if (state.lastIndex !== index) return "a reset that keeps entries";
  group.setHardState({ term: state.term, vote: state.vote, commit: 0 });
  group.reset({ index, term: startTerm, configuration, timeMs: lastTimeMs });
  return undefined;
}

/** Why a state cannot stand behind what was read of its group. */
function contradiction(group: GroupLog, state: GroupState): string | undefined {
  const { startIndex, lastIndex } = state;
  if (lastIndex !== group.lastIndex) {
    return `a state with last index ${lastIndex} where the log ends at ${group.lastIndex}`;
  }
  if (startIndex < group.start.index) {
    return `a start at ${startIndex} after one at ${group.start.index}`;
  }
  return undefined;
}

function update(group: GroupLog, state: GroupState): string | undefined {
  const { startConfiguration, startIndex, startTerm } = state;
  group.setHardState({ term: state.term, vote: state.vote, commit: state.commit });
  if (startIndex === group.start.index) return undefined;
  if (startConfiguration === undefined) return "a new start without a configuration";
  group.startAt({ index: startIndex, term: startTerm, configuration: startConfiguration });
  return undefined;
}
