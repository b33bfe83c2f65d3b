/**
 * Old bytes that look like new ones: what recovery must not take for the end of the log.
 *
 * Both stories end when the core has begun: what it recovered is what they are about.
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
];

/** Small, so that a few writes fill several: about six of the writes below. */
const SEGMENT_BYTES = 4_096;
/** The only group of a host. */
const GROUP = 1;

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

/** Full segments become spares. No snapshot holds what goes: the story ends before it is missed. */
async function release(d: Director): Promise<void> {
  const n1 = d.of("n1");
  let isReleased = false;
  void n1.engine!.log.release(GROUP, n1.durable.log.lastIndex).then(() => {
    isReleased = true;
  });
  await d.until(() => isReleased, "full segments become spares");
}

/** Writes of one size, so that old and new records stand at the same places. */
async function puts(d: Director, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await d.done(d.put("n1", "x", "|".padEnd(100, "old")));
}
