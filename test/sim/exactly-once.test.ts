/**
 * Exactly once, counted: of forwards and their answers a third is lost and a third comes twice,
 * leadership moves, and after so many increments a counter says exactly that.
 */
import { expect, test } from "vitest";
import { Director } from "quorate/sim";
import type { RunSubject } from "quorate/sim";

const IS_LONG = process.env["QUORATE_LONG"] === "1";
const INCREMENTS = IS_LONG ? 1_000_000 : 20_000;
/** Of each member at a time: what is forwarded together is lost together. */
const OUTSTANDING = 20;
/** Leadership moves so often, in increments. */
const PER_LEADER = IS_LONG ? 20_000 : 2_000;
const MEMBERS = ["n1", "n2", "n3"] as const;

class Counter {
  total = 0;

  apply(): number {
    return ++this.total;
  }

  query(): number {
    return this.total;
  }

  snapshot(): number {
    return this.total;
  }

  async restore(): Promise<void> {}
}

const SUBJECT: RunSubject = {
  machine: () => new Counter() as never,
  codec: { encode: () => new Uint8Array(1), decode: () => "increment" },
  workload: { next: () => ({ kind: "write", command: "increment" }) },
  checks: () => [],
};

test(
  `after ${INCREMENTS} increments a counter is exact, though forwards are lost and come twice`,
  async () => {
    const d = await Director.begin({ subject: SUBJECT });
    await d.elect("n1");
    let lots = 7;
    const lotOfTen = (): number => {
      lots = (Math.imul(lots, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((lots / 2 ** 32) * 10);
    };
    let [lost, doubled] = [0, 0];
    d.world.network.rule = (_from, _to, { type }) => {
      if (type !== "forward" && type !== "forward-response") return "pass";
      const lot = lotOfTen();
      if (lot < 3) lost++;
      else if (lot < 6) doubled++;
      if (lot < 3) return "drop";
      return lot < 6 ? "twice" : "pass";
    };
    const totals = new Uint8Array(INCREMENTS + 1);
    const failures: string[] = [];
    let ended = 0;
    // Each member makes its share: the leader, whose writes are not forwarded, is done long before.
    const left = MEMBERS.map((_, i) => Math.floor((INCREMENTS + i) / MEMBERS.length));
    const terms = { timeoutMs: 600_000, client: "counter" };
    const call = { kind: "write", command: "increment" } as const;
    const next = (member: number): void => {
      if ((left[member] ?? 0) === 0) return;
      left[member]!--;
      d.world.call(d.of(MEMBERS[member]!), call, terms, ({ outcome, result, error }) => {
        ended++;
        // Each increment is told another total: none was answered in another's place.
        if (outcome === "done" && totals[result as number] === 0) totals[result as number] = 1;
        else failures.push(`${outcome} ${error ?? String(result)}`);
        next(member);
      });
    };
    for (let i = 0; i < OUTSTANDING * MEMBERS.length; i++) next(i % MEMBERS.length);
    for (let target = PER_LEADER; target < INCREMENTS; target += PER_LEADER) {
      await d.until(() => ended >= target, `${target} increments are done`, 10_000_000);
      const leader = d.leader();
      leader?.process?.enter(() => void leader.replica?.leadership.transfer().catch(() => {}));
    }
    await d.until(() => ended === INCREMENTS, "all increments are done", 10_000_000);
    expect(failures).toEqual([]);
    const totalsOf = (): number[] => MEMBERS.map((id) => (d.of(id).machine as Counter).total);
    await d.until(() => totalsOf().every((total) => total >= INCREMENTS), "all have applied all");
    expect(totalsOf()).toEqual([INCREMENTS, INCREMENTS, INCREMENTS]);
    await d.end();
    expect(Math.min(lost, doubled)).toBeGreaterThan(INCREMENTS / 1_000);
  },
  IS_LONG ? 3_600_000 : 120_000,
);
