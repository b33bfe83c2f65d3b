/** Harm ends as it should: what was before it is there again, and nothing of it stays. */
import { expect, test } from "vitest";
import { Director } from "./stage-director.ts";
import { MemberClock } from "./member-clock.ts";
import { SimProcess } from "./process.ts";
import { Schedule } from "./schedule.ts";
import { SeededRandom } from "../util/random.ts";

const S = 1_000_000;

test("after a skew a clock runs at its own rate again", () => {
  const schedule = new Schedule(new SeededRandom(1));
  const clock = new MemberClock({
    schedule,
    process: new SimProcess(() => {}),
    options: { driftBoundPpm: 0, rateSpreadPpm: 500, lateShare: 0, lateMaxUs: 0, turnUs: 1 },
    random: new SeededRandom(2),
    ppm: 500,
  });
  const secondMs = (): number => {
    const before = clock.nowMs();
    schedule.skipTo(schedule.nowUs + S);
    return clock.nowMs() - before;
  };
  expect(secondMs()).toBeCloseTo(1_000.5, 3);
  clock.runAt(-10_000);
  expect(secondMs()).toBeCloseTo(990, 3);
  clock.runAtOwnRate();
  expect(secondMs()).toBeCloseTo(1_000.5, 3);
});

test("a long pause or skew of an earlier life does not make one of the next life last", async () => {
  const director = await Director.begin();
  const { stage } = director;
  const member = director.of("n1");
  stage.pause(member, 5 * S);
  stage.skew(member, 100_000, 5 * S);
  director.power("n1");
  await director.start("n1");
  stage.pause(member, 50_000);
  stage.skew(member, 100_000, 50_000);
  expect(member.state).toBe("paused");
  await director.ms(60);
  expect(member.state).toBe("up");
  const before = member.clock!.nowMs();
  await director.ms(100);
  expect(member.clock!.nowMs() - before).toBeCloseTo(100, 2);
});
