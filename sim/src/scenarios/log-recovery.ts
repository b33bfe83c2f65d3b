/**
 * Old bytes that look like new ones: what recovery must not take for a part of the log.
 */
import { Director } from "quorate/sim";
import type { Scenario } from "../scenario.ts";

/** Scenarios about recovery. */
export const scenarios: readonly Scenario[] = [
  {
    name: "recycled-segment",
    text:
      "The newest segment was used before and is full of whole old records: the log ends behind " +
      "the last new one.",
    run: recycledSegment,
  },
  {
    name: "leftover-of-a-torn-write",
    text:
      "Of a torn write the second record is on the medium and the first is not; a later write ends " +
      "exactly where it stands: it must not follow that.",
    run: leftoverOfTornWrite,
  },
  {
    name: "two-votes-in-one-write",
    text: "A disk stands still over two elections; then one write holds both votes: the newer stays.",
    run: twoVotesInOneWrite,
  },
];

/** Small, so that a few writes fill several: about six of the writes below. */
const SEGMENT_BYTES = 4_096;
const SECTOR_BYTES = 512;
/** Where the first record of a segment stands, and what stands before its body. */
const FIRST_RECORD = 3 * SECTOR_BYTES;
const HEADER_BYTES = 64;

async function recycledSegment(): Promise<void> {
  // Each time the log ends somewhere else, also in the midst of segments that were used before.
  for (let writes = 2; writes <= 24; writes += 4) await endsIn(writes);
}

async function endsIn(writes: number): Promise<void> {
  const d = await Director.begin({ members: 1, segmentBytes: SEGMENT_BYTES });
  const n1 = d.of("n1");
  await d.elect("n1");
  // Twice: what stands at the head of a segment is longer from the first release on.
  for (let i = 0; i < 2; i++) {
    await puts(d, 18);
    await release(d);
  }
  await puts(d, writes);
  const { lastIndex } = n1.durable.log;
  d.power("n1");
  n1.start();
  await d.until(() => n1.core !== undefined, "n1 starts");
  d.expect(n1.core?.log.lastIndex === lastIndex, "the log ends with the last write");
}

/** Full segments become spares: the log lets go of what the older of two snapshots holds. */
async function release(d: Director): Promise<void> {
  const n1 = d.of("n1");
  for (let i = 0; i < 2; i++) {
    await d.done(d.put("n1", "y", String(i)));
    let isTaken = false;
    void n1.replica!.snapshot().then(() => {
      isTaken = true;
    });
    await d.until(() => isTaken, "a snapshot is taken");
  }
  const { log } = n1.engine!;
  await d.until(() => log.status().segments < 3, "full segments become spares");
}

/** Writes of one size, so that old and new records stand at the same places. */
async function puts(d: Director, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await d.done(d.put("n1", "x", "|".padEnd(100, "old")));
}

async function leftoverOfTornWrite(): Promise<void> {
  // The same story up to the write twice: once it gets through, to see what it would have written.
  const whole = await untilTheWrite();
  await whole.d.ms(1);
  const [first, second] = recordsOf(imageOf(whole.d)).slice(-2) as [Place, Place];
  const { d } = await untilTheWrite();
  const n1 = d.of("n1");
  const torn = imageOf(d).slice();
  d.power("n1");
  const from = Math.floor(second.at / SECTOR_BYTES) * SECTOR_BYTES;
  torn.set(imageOf(whole.d).subarray(from, second.at + second.bytes), from);
  n1.disk.disk.place(SEGMENT, torn);
  await d.start("n1");
  await d.elect("n1");
  await d.open("n1");
  const end = recordsOf(imageOf(d)).at(-1)!;
  d.expect(end.at >= first.at && end.at + end.bytes < second.at, "the log was cut at the tear");
  // Records are as much longer as their values are: this one fills the place up to the leftover.
  const gap = second.at - (end.at + end.bytes);
  await d.done(d.put("n1", "x", "|".padEnd(FIRST_VALUE + gap - first.bytes, "new")));
  const { lastIndex, lastTerm } = n1.durable.log;
  d.power("n1");
  await d.start("n1");
  const { log } = n1.core!;
  d.expect(log.termAt(lastIndex) === lastTerm, "the log holds the last write, not the leftover");
  await d.end();
}

async function twoVotesInOneWrite(): Promise<void> {
  const d = await Director.begin();
  const n3 = d.of("n3");
  await d.elect("n1");
  await d.ms(50);
  // A write of n3 is under way and does not end; whatever n3 decides gathers behind it.
  n3.disk.stall(60_000_000);
  await d.done(d.put("n1", "x", "|written"));
  await d.ms(5);
  for (const id of ["n2", "n1"] as const) {
    // The leader falls silent until the other one has asked n3, too, for its vote.
    const silent = d.lose((from) => from !== id && from !== "n3");
    const asks = d.lose((from, _to, { type }) => from === "n3" && type === "pre-vote");
    await d.until(() => n3.core?.vote?.id === id, `n3 votes for ${id}, in memory`);
    silent.end();
    asks.end();
    await d.ms(5);
  }
  const { term, vote } = n3.core!;
  n3.disk.healAll();
  await d.until(() => n3.durable.term === term, "the disk of n3 has ended its writes");
  d.power("n3");
  await d.start("n3");
  d.expect(n3.core?.term === term && n3.core.vote?.id === vote?.id, "n3 knows its last vote");
  await d.end();
}

const FIRST_VALUE = 2_000;
const SEGMENT = "/data/n1/log/00000000000000000001.log";

/** A write of two records is under way. */
async function untilTheWrite(): Promise<{ readonly d: Director }> {
  const d = await Director.begin({ members: 1 });
  const n1 = d.of("n1");
  await d.elect("n1");
  await d.open("n1");
  await d.ms(2);
  // While one write is under way, two turns bring one record each: the next write has both.
  d.put("n1", "x", "|before");
  await d.us(100);
  const { lastIndex } = n1.core!.log;
  d.put("n1", "x", "|".padEnd(FIRST_VALUE, "first"));
  await d.us(100);
  // Two, as many as are under way: so they are not held back.
  d.put("n1", "x", "|second");
  d.put("n1", "y", "|second");
  await d.until(() => n1.durable.log.lastIndex === lastIndex, "the write before has ended");
  await d.us(100);
  d.expect(n1.core!.log.lastIndex === lastIndex + 3, "all are in the log of the core");
  return { d };
}

/** Where a record stands and how long it is. */
interface Place {
  readonly at: number;
  readonly bytes: number;
}

function imageOf(d: Director): Uint8Array {
  return d.of("n1").disk.disk.image(SEGMENT);
}

/** The records of a segment, one behind the other, up to the first place without one. */
function recordsOf(image: Uint8Array): Place[] {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const places: Place[] = [];
  let at = FIRST_RECORD;
  while (at + HEADER_BYTES <= image.length && view.getUint32(at, true) === 0x43_45_52_51) {
    const bytes = HEADER_BYTES + ((view.getUint32(at + 12, true) + 7) & ~7);
    places.push({ at, bytes });
    at += bytes;
  }
  return places;
}
