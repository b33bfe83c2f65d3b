/**
 * The clock of one process: the clock port over virtual time, with a rate and an offset of its own.
 *
 * Its zero is not the world's, so that nobody can compare the clocks of two members by accident.
 * The rate may change while the process runs; time never goes back. A timer that would fire early
 * because of that is set again. `soon` keeps the order of the calls; what it costs is a turn.
 */
import type { Clock, Timer } from "../util/clock.ts";
import type { Random } from "../util/random.ts";
import type { ClockOptions } from "./options.ts";
import type { SimProcess } from "./process.ts";
import { between, chance } from "./random-streams.ts";
import type { Schedule } from "./schedule.ts";

const MILLION = 1_000_000;
/** Everything a process does soon has this tie: so it stays in the order of the calls. */
const SOON_TIE = 0x8000_0000;

/** What a clock is made of. */
export interface MemberClockOptions {
  readonly schedule: Schedule;
  readonly process: SimProcess;
  readonly options: ClockOptions;
  readonly random: Random;
  /** How much faster than the world it runs, in parts per million. */
  readonly ppm: number;
}

/** One process's idea of time. */
export class MemberClock implements Clock {
  readonly #from: MemberClockOptions;
  #ppm: number;
  #baseUs: number;
  #baseLocalUs: number;

  constructor(from: MemberClockOptions) {
    this.#from = from;
    this.#ppm = from.ppm;
    this.#baseUs = from.schedule.nowUs;
    this.#baseLocalUs = between(from.random, 0, 1_000 * MILLION);
  }

  nowMs(): number {
    return this.#localUs() / 1_000;
  }

  soon(task: () => void): void {
    const { schedule, process, options } = this.#from;
    schedule.after(options.turnUs, () => process.enter(task), SOON_TIE);
  }

  setTimer(delayMs: number, task: () => void): Timer {
    const timer = { cancelled: false };
    const dueLocalUs = this.#localUs() + Math.max(0, Math.ceil(delayMs * 1_000));
    const { random, options } = this.#from;
    const lateUs = chance(random, options.lateShare) ? between(random, 0, options.lateMaxUs) : 0;
    this.#wait(dueLocalUs + lateUs, timer, task);
    return {
      cancel: () => {
        timer.cancelled = true;
      },
    };
  }

  /** Runs at the rate that it was made with from now on. */
  runAtOwnRate(): void {
    this.runAt(this.#from.ppm);
  }

  /** Runs at another rate from now on. */
  runAt(ppm: number): void {
    this.#baseLocalUs = this.#localUs();
    this.#baseUs = this.#from.schedule.nowUs;
    this.#ppm = ppm;
  }

  #wait(dueLocalUs: number, timer: { readonly cancelled: boolean }, task: () => void): void {
    const { schedule, process } = this.#from;
    const leftUs = dueLocalUs - this.#localUs();
    schedule.after(Math.max(0, Math.ceil((leftUs * MILLION) / (MILLION + this.#ppm))), () => {
      if (timer.cancelled || process.isDead) return;
      if (this.#localUs() < dueLocalUs) {
        this.#wait(dueLocalUs, timer, task);
        return;
      }
      process.enter(() => {
        if (!timer.cancelled) task();
      }, "timer");
    });
  }

  #localUs(): number {
    const passedUs = this.#from.schedule.nowUs - this.#baseUs;
    return this.#baseLocalUs + passedUs + Math.floor((passedUs * this.#ppm) / MILLION);
  }
}
