/**
 * The program whose power is cut: it opens a log, says what it found, and appends without end,
 * saying each acknowledged append the moment it has it.
 *
 *   recovered {...}            what the log found, after every entry was read and checked
 *   release <index>            about to give entries up to here away
 *   try <first> <last>         about to append these indexes in its term, ending what was there
 *   ack <first> <last>         the append is durable
 *   vote                       its term is durable
 *   wrong <text>               something that must never happen
 */
import {
  EntryBatch,
  EntryCursor,
  EntryKind,
  packEntries,
} from "../../packages/raft/src/core/entry.ts";
import type { EntryFields } from "../../packages/raft/src/core/entry.ts";
import type { Log } from "../../packages/raft/src/log/log.ts";
import { openLog } from "../../packages/raft/src/log/open-log.ts";
import { nodeChecksum } from "../../packages/raft/src/runtime/node-checksum.ts";
import { nodeClock } from "../../packages/raft/src/runtime/node-clock.ts";
import { nodeRandom } from "../../packages/raft/src/runtime/node-random.ts";
import { begin, chosenDisk, say } from "./program.ts";

const GROUP = 1;
/** Small, so that a run of a second goes through many segments, new and recycled. */
const SEGMENT_BYTES = 65_536;
const KEPT_ENTRIES = 400;

const disk = chosenDisk();
begin(load);

async function load(directory: string, term: number): Promise<void> {
  const log = await openLog({
    disk,
    directory,
    checksum: nodeChecksum,
    clock: nodeClock,
    random: nodeRandom,
    segmentBytes: SEGMENT_BYTES,
  });
  const found = log.recovered(GROUP);
  await check(log, found.startIndex + 1, found.lastIndex);
  const { startIndex, startTerm, lastIndex, termRuns, hardState } = found;
  say(`recovered ${JSON.stringify({ startIndex, startTerm, lastIndex, termRuns, hardState })}`);

  const vote = { id: "n1", incarnation: "00".repeat(16) };
  const commit = found.hardState.commit;
  await log.append([{ group: GROUP, hardState: { term, vote, commit }, entries: [], commit }]);
  say("vote");
  await append(log, { term, last: lastIndex, commit, released: startIndex });
}

async function append(
  log: Log,
  at: { term: number; last: number; commit: number; released: number },
): Promise<never> {
  for (let n = 0; ; n++) {
    // Now and then a conflict: the end of the log that is not committed is replaced.
    const back = n === 0 ? Math.min(5, at.last - at.commit) : 0;
    const first = at.last - back + 1;
    const batch = batchOf(first, at.term, 1 + nodeRandom.below(20));
    const last = first + batch.count - 1;
    say(`try ${first} ${last}`);
    await log.append([{ group: GROUP, hardState: undefined, entries: [batch], commit: at.commit }]);
    say(`ack ${first} ${last}`);
    at.last = last;
    at.commit = Math.max(at.commit, last - 10);
    if (at.commit - at.released > 2 * KEPT_ENTRIES) {
      at.released = at.commit - KEPT_ENTRIES;
      say(`release ${at.released}`);
      await log.release(GROUP, at.released);
    }
    if (n % 16 === 15) await log.settle();
  }
}

/** Reads everything back and compares it with what was written under that index and term. */
async function check(log: Log, from: number, to: number): Promise<void> {
  const cursor = new EntryCursor();
  for (let at = from; at <= to;) {
    for (const batch of await log.read(GROUP, at, to, 1 << 20)) {
      cursor.reset(batch);
      while (cursor.next()) {
        const { index, payload } = cursor.view;
        if (index !== at) say(`wrong entry ${index} read where ${at} was wanted`);
        const want = payloadOf(index, batch.term);
        if (Buffer.compare(payload, want) !== 0) say(`wrong content of entry ${index}`);
        at = index + 1;
      }
    }
  }
}

function batchOf(first: number, term: number, count: number): EntryBatch {
  const entries: EntryFields[] = [];
  for (let i = 0; i < count; i++) {
    entries.push({ kind: EntryKind.command, payload: payloadOf(first + i, term) });
  }
  const seal = { term, firstIndex: first, timeMs: first, checksum: nodeChecksum };
  return EntryBatch.seal(packEntries(entries), seal);
}

function payloadOf(index: number, term: number): Uint8Array {
  const payload = new Uint8Array(40 + ((index * 37) % 400));
  for (let i = 0; i < payload.length; i++) payload[i] = (index * 31 + term * 17 + i * 7) & 0xff;
  return payload;
}
