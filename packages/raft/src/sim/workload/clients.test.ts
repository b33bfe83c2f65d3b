/**
 * Clients: how they call, where, and what they do after a failure.
 */
import { describe, expect, test } from "vitest";
import type { SimOperation } from "../observer.ts";
import type { ClientOptions } from "../options.ts";
import { startClients } from "./clients.ts";
import type { FakeOptions } from "./fake-harbour-harness.ts";
import { FakeHarbour } from "./fake-harbour-harness.ts";
import { KvWorkload } from "./kv-workload.ts";

const OPTIONS: ClientOptions = {
  closed: 3,
  open: 0,
  openPerSecond: 0,
  thinkMaxMs: 5,
  timeoutMaxMs: 400,
  keys: 20,
  readShare: 300,
  localReadShare: 200,
  leaseReadShare: 0,
  staleReadShare: 0,
  stalenessMaxMs: 0,
  valueBytesMax: 200,
};

/** A harbour with clients at work; nothing has happened yet. */
function harbourWith(fake: FakeOptions, options: Partial<ClientOptions> = {}): FakeHarbour {
  const harbour = new FakeHarbour(fake);
  const chosen = { ...OPTIONS, ...options };
  startClients(harbour, new KvWorkload(chosen), chosen, harbour.streams.stream("clients"));
  return harbour;
}

function byClient(harbour: FakeHarbour): Map<string, SimOperation[]> {
  const clients = new Map<string, SimOperation[]>();
  for (const operation of harbour.operations) {
    clients.set(operation.client, [...(clients.get(operation.client) ?? []), operation]);
  }
  return clients;
}

/** What an operation asks for, whichever attempt it is; undefined for none. */
function callOf(operation: SimOperation | undefined): string | undefined {
  if (operation === undefined) return undefined;
  return JSON.stringify(operation.input).replace(/\|c1\.\d+:/, "|");
}

describe("closed clients", () => {
  test("wait for each answer", () => {
    const harbour = harbourWith({ seed: 1 });
    harbour.runFor(2_000_000);
    const clients = byClient(harbour);
    expect([...clients.keys()].sort()).toEqual(["c1", "c2", "c3"]);
    for (const operations of clients.values()) {
      expect(operations.length).toBeGreaterThan(100);
      operations.forEach((operation, i) => {
        if (i > 0) expect(operation.calledUs).toBeGreaterThanOrEqual(operations[i - 1]!.returnedUs);
      });
    }
  });

  test("try again elsewhere after a refusal, as a new operation, a bounded number of times", () => {
    const harbour = harbourWith({ seed: 2, refusedShare: 1_000 }, { localReadShare: 0, closed: 1 });
    harbour.runFor(2_000_000);
    const { operations } = harbour;
    const attempts: SimOperation[][] = [];
    for (const operation of operations) {
      const last = attempts.at(-1) ?? [];
      if (callOf(last[0]) === callOf(operation)) last.push(operation);
      else attempts.push([operation]);
    }
    attempts.pop(); // the end of the run cut it short
    expect(attempts.length).toBeGreaterThan(10);
    for (const tries of attempts) {
      expect(tries.length).toBe(4);
      expect(new Set(tries.map(({ number }) => number)).size).toBe(4);
    }
    const moved = operations.filter((o, i) => i > 0 && o.member !== operations[i - 1]!.member);
    expect(moved.length / operations.length).toBeGreaterThan(0.5);
  });

  test("go on after an unknown outcome, and sometimes try again", () => {
    const harbour = harbourWith({ seed: 3, unknownShare: 1_000 }, { readShare: 0, closed: 1 });
    harbour.runFor(10_000_000);
    const { operations } = harbour;
    const again = operations.filter((o, i) => i > 0 && callOf(o) === callOf(operations[i - 1]));
    expect(operations.every(({ outcome }) => outcome === "unknown")).toBe(true);
    expect(again.length).toBeGreaterThan(0);
    expect(again.length / operations.length).toBeLessThan(0.25);
  });

  test("prefer members that listen, and stay with one for some calls", () => {
    const harbour = harbourWith({ seed: 4, members: 3 });
    harbour.members[0]!.state = "down";
    harbour.runFor(3_000_000);
    const { operations } = harbour;
    const atDown = operations.filter(({ member }) => member === harbour.members[0]);
    expect(atDown.length).toBeGreaterThan(0);
    expect(atDown.length / operations.length).toBeLessThan(0.05);
    for (const own of byClient(harbour).values()) {
      const moved = own.filter((o, i) => i > 0 && o.member !== own[i - 1]!.member).length;
      expect(moved).toBeGreaterThan(2);
      expect(moved / own.length).toBeLessThan(0.4);
    }
  });

  test("live on where no member listens at all", () => {
    const harbour = harbourWith({ seed: 5 });
    for (const member of harbour.members) member.state = "down";
    harbour.after(500_000, () => {
      for (const member of harbour.members) member.state = "up";
    });
    harbour.runFor(1_000_000);
    expect(harbour.operations.some(({ outcome }) => outcome === "done")).toBe(true);
  });

  test("draw deadlines up to the longest that is allowed", () => {
    const harbour = harbourWith({ seed: 6 });
    harbour.runFor(2_000_000);
    const { timeoutsMs } = harbour;
    expect(Math.min(...timeoutsMs)).toBeGreaterThanOrEqual(15);
    expect(Math.max(...timeoutsMs)).toBeLessThanOrEqual(400);
    expect(Math.max(...timeoutsMs)).toBeGreaterThan(300);
    expect(timeoutsMs.filter((ms) => ms <= 40).length).toBeGreaterThan(timeoutsMs.length / 10);
  });
});

describe("open clients", () => {
  const open = { closed: 0, open: 2, openPerSecond: 500, localReadShare: 0 };

  test("call at their rate, whatever comes back", () => {
    const harbour = harbourWith({ seed: 7, answerUs: 50_000 }, open);
    harbour.runFor(2_000_000);
    expect(harbour.operations.length).toBeGreaterThan(1_990);
    expect(harbour.operations.length).toBeLessThanOrEqual(2_000);
    expect(harbour.openMax).toBeGreaterThan(20);
  });

  test("have a bounded number of calls outstanding", () => {
    const harbour = harbourWith({ seed: 8, answerUs: 60_000_000 }, open);
    harbour.runFor(20_000_000);
    expect(harbour.openMax).toBe(512);
  });
});

describe("a run", () => {
  const shares = { refusedShare: 100, unknownShare: 100 };

  test("has the same calls with the same seed, and others with another", () => {
    const run = (seed: number): string => {
      const harbour = harbourWith({ seed, ...shares }, { open: 2, openPerSecond: 50 });
      harbour.runFor(1_000_000);
      return JSON.stringify(
        harbour.operations.map((o) => [o.number, o.client, o.member.id, o.input, o.calledUs]),
      );
    };
    expect(run(9)).toBe(run(9));
    expect(run(9)).not.toBe(run(10));
  });

  test("ends: no call begins once it is over", () => {
    const harbour = harbourWith({ seed: 11, ...shares }, { open: 2, openPerSecond: 50 });
    harbour.runFor(1_000_000);
    expect(harbour.open).toBe(0);
    expect(Math.max(...harbour.operations.map(({ calledUs }) => calledUs))).toBeLessThan(1_000_001);
  });
});

describe("the workload", () => {
  test("asks all kinds of things, of hot and of hostile keys, with values of their own", () => {
    const harbour = harbourWith({ seed: 12 }, { keys: 24 });
    harbour.runFor(20_000_000);
    const writes = harbour.operations.filter(({ kind }) => kind === "write");
    const inputs = writes.map(({ input }) => input as { type: string; key: string; value: string });
    expect(new Set(inputs.map(({ type }) => type)).size).toBe(4);
    const values = inputs.filter(({ type }) => type !== "delete").map(({ value }) => value);
    expect(new Set(values).size).toBe(values.length);
    const keys = new Set(inputs.map(({ key }) => key));
    for (const key of ["__proto__", "", "constructor", "\ud800"]) expect(keys).toContain(key);
    const hot = inputs.filter(({ key }) => ["k0", "__proto__", "k2"].includes(key));
    expect(hot.length / inputs.length).toBeGreaterThan(0.7);
    const cas = writes.filter(({ input }) => (input as { type: string }).type === "cas");
    const met = cas.filter(({ result }) => (result as { ok: boolean }).ok);
    expect(met.length / cas.length).toBeGreaterThan(0.3);
    expect(met.length / cas.length).toBeLessThan(0.95);
    expect(new Set(harbour.operations.map(({ kind }) => kind)).size).toBe(3);
  });
});
