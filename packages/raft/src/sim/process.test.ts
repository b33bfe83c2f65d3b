/** What waits for a process that stands still, and how it goes on. */
import { describe, expect, test } from "vitest";
import { SeededRandom } from "../util/random.ts";
import type { EntryOf } from "./process.ts";
import { SimProcess } from "./process.ts";
import { Schedule } from "./schedule.ts";
import { Director } from "./stage-director.ts";

class Bench {
  readonly schedule: Schedule = new Schedule(new SeededRandom(1));
  readonly entered: string[] = [];
  events = 0;
  readonly process: SimProcess = new SimProcess(() => this.events++);

  enter(name: string, kind: EntryOf = "message"): void {
    this.process.enter(() => this.entered.push(name), kind);
  }

  goOn(timersFirst = false): void {
    this.process.resume({ schedule: this.schedule, timersFirst });
  }

  step(): boolean {
    const due = this.schedule.next();
    due?.run();
    return due !== undefined;
  }
}

describe("a process that goes on", () => {
  test("takes what has waited in its order, each as a step, and what comes meanwhile behind", () => {
    const bench = new Bench();
    bench.process.pause();
    for (const name of ["a", "b", "c"]) bench.enter(name);
    bench.goOn();
    expect(bench.process.isPaused).toBe(false);
    expect(bench.entered).toEqual([]);
    bench.step();
    expect(bench.entered).toEqual(["a"]);
    bench.enter("d", "timer");
    while (bench.step());
    expect(bench.entered).toEqual(["a", "b", "c", "d"]);
    expect(bench.schedule.nowUs).toBe(0);
    expect(bench.events).toBe(4);
    bench.enter("e");
    expect(bench.entered.at(-1)).toBe("e");
  });

  test("takes timers first where it is to, in their order", () => {
    const bench = new Bench();
    bench.process.pause();
    bench.enter("a");
    bench.enter("t1", "timer");
    bench.enter("b", "disk");
    bench.enter("t2", "timer");
    bench.goOn(true);
    while (bench.step());
    expect(bench.entered).toEqual(["t1", "t2", "a", "b"]);
  });

  test("keeps the rest when it stands still again, loses and doubles nothing", () => {
    const bench = new Bench();
    bench.process.pause();
    for (const name of ["a", "b", "c"]) bench.enter(name);
    bench.goOn();
    bench.step();
    bench.process.pause();
    bench.process.pause();
    bench.enter("d");
    bench.goOn();
    bench.goOn();
    while (bench.step());
    expect(bench.entered).toEqual(["a", "b", "c", "d"]);
  });

  test("takes nothing any more when it dies", () => {
    const bench = new Bench();
    bench.process.pause();
    for (const name of ["a", "b"]) bench.enter(name);
    bench.goOn();
    bench.step();
    bench.process.die();
    while (bench.step());
    expect(bench.entered).toEqual(["a"]);
  });
});

test("an expired election timer before waiting heartbeats starts no election", async () => {
  // The timers come first for about half of these seeds.
  let lateTurns = 0;
  for (let seed = 1; seed <= 8; seed++) {
    const director = await Director.begin({ seed });
    await director.elect("n1");
    const terms = director.world.members.map(({ core }) => core!.term);
    const follower = director.of("n2");
    let isOver = false;
    director.world.audience.add({
      event: (_member, { type }) => {
        if (type === "late-turn" && !isOver) lateTurns++;
      },
      sent: (_member, _to, { type }) =>
        director.claim(isOver || type !== "pre-vote", "nobody asks for votes"),
    });
    follower.pause();
    await director.ms(3_000);
    follower.resume();
    await director.ms(1_000);
    expect(director.world.members.map(({ core }) => core!.term)).toEqual(terms);
    isOver = true;
    await director.end();
  }
  // Where messages come first there is none.
  expect(lateTurns).toBeGreaterThan(0);
  expect(lateTurns).toBeLessThan(8);
});
