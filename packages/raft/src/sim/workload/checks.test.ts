/**
 * The witness and the check of histories: what is legal passes, each planted defect is found.
 */
import { describe, expect, test } from "vitest";
import { SeededRandom } from "../../util/random.ts";
import type { SimOperation } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import { startClients } from "./clients.ts";
import type { FakeOptions, Planted } from "./fake-harbour-harness.ts";
import { FakeHarbour, FakeMember } from "./fake-harbour-harness.ts";
import { checkHistory, HistoryCheck } from "./history-check.ts";
import type { KvFound, KvWritten } from "./kv-machine.ts";
import type { KvInput } from "./kv-model.ts";
import { KvWorkload } from "./kv-workload.ts";
import { Witness } from "./witness.ts";

const CLIENTS = {
  closed: 4,
  open: 1,
  openPerSecond: 100,
  thinkMaxMs: 5,
  timeoutMaxMs: 400,
  keys: 5,
  readShare: 400,
  localReadShare: 300,
  leaseReadShare: 200,
  staleReadShare: 300,
  stalenessMaxMs: 20,
  valueBytesMax: 60,
};

function run(fake: FakeOptions, check: Witness | HistoryCheck): FakeHarbour {
  const harbour = new FakeHarbour({ refusedShare: 80, unknownShare: 80, ...fake });
  harbour.observers.push(check);
  startClients(harbour, new KvWorkload(CLIENTS), CLIENTS, harbour.streams.stream("clients"));
  harbour.runFor(1_000_000);
  return harbour;
}

/** The name of the promise that a run finds broken; undefined where it finds none. */
function brokenIn(fake: FakeOptions, check: Witness | HistoryCheck): string | undefined {
  try {
    run(fake, check);
  } catch (error) {
    if (error instanceof SimViolation) return error.invariant;
    throw error;
  }
  return undefined;
}

const historyCheck = (seed: number): HistoryCheck => new HistoryCheck(new SeededRandom(seed));

describe("a linearizable store", () => {
  test("passes both checks, whatever gets lost", () => {
    for (let seed = 1; seed <= 6; seed++) {
      run({ seed }, new Witness());
      const check = historyCheck(seed);
      const { operations } = run({ seed, unknownShare: 80 * seed }, check);
      expect(operations.length).toBeGreaterThan(200);
      expect(check.verdict?.undecided).toEqual([]);
      expect(check.verdict!.searched).toBeGreaterThan(100);
    }
  });

  test("may forget local reads when a member is started again", () => {
    const check = historyCheck(1);
    const harbour = new FakeHarbour({ seed: 5 });
    harbour.observers.push(check);
    startClients(harbour, new KvWorkload(CLIENTS), CLIENTS, harbour.streams.stream("clients"));
    for (let ms = 100; ms < 1_000; ms += 100) {
      harbour.after(ms * 1_000, () => {
        const member = harbour.members[(ms / 100) % 3]!;
        // Whoever is called now belongs to the new life; what is open belongs to the old one.
        member.life++;
        member.appliedTo = 0;
        member.machine = new (
          Object.getPrototypeOf(member.machine) as {
            constructor: new () => FakeMember["machine"];
          }
        ).constructor();
      });
    }
    harbour.runFor(1_000_000);
    expect(check.verdict?.undecided).toEqual([]);
  });
});

describe("a store with a defect", () => {
  const cases: ReadonlyArray<readonly [Planted, string]> = [
    ["stale-read", "read-witness"],
    ["lost-write", "write-witness"],
    ["double-write", "write-witness"],
    ["refused-write-happens", "write-witness"],
    ["answer-of-another-write", "write-witness"],
    ["write-after-its-answer", "write-witness"],
  ];
  test.each(cases)("is found by both checks: %s", (planted, byWitness) => {
    let found = 0;
    for (let seed = 1; seed <= 4; seed++) {
      const fake = { seed, planted, plantedShare: 300 };
      const broken = brokenIn(fake, new Witness());
      if (broken !== undefined) found++;
      expect([byWitness, undefined]).toContain(broken);
      // Whoever sees it first: a read, or a local read.
      const byHistory = brokenIn(fake, historyCheck(seed));
      const expected = ["linearizable", "local-read", "refused-kept-out"];
      if (broken !== undefined) expect(expected).toContain(byHistory);
      else expect(byHistory).toBe(undefined);
    }
    // A defect may have no consequence for once.
    expect(found).toBeGreaterThanOrEqual(3);
  });

  test("is found by the history where local reads go back", () => {
    const planted = "local-read-goes-back";
    expect(brokenIn({ seed: 1, planted }, historyCheck(1))).toBe("local-read");
  });
});

describe("single answers", () => {
  const member = new FakeMember(0);
  const other = new FakeMember(1);
  let number = 0;
  const base = (
    kind: SimOperation["kind"],
    input: KvInput,
    [calledUs, returnedUs]: [number, number],
  ): SimOperation => ({
    number: ++number,
    client: "c1",
    member,
    kind,
    input,
    calledUs,
    maxStalenessUs: 0,
    outcome: "done",
    result: undefined,
    error: undefined,
    returnedUs,
  });
  const put = (value: string, times: [number, number], result: KvWritten): SimOperation => ({
    ...base("write", { type: "put", key: "k", value }, times),
    result,
  });
  const local = (times: [number, number], result: KvFound, at = member): SimOperation => ({
    ...base("local-read", { type: "get", key: "k" }, times),
    member: at,
    result,
  });
  const check = (...operations: SimOperation[]): void => {
    const history = operations.map((operation) => ({ operation, life: 1 }));
    checkHistory(history, new SeededRandom(1));
  };
  const first = put("|a", [0, 10], { ok: true, index: 4, value: null, revision: 0 });

  test("a local read may be old, but not older than what its member has shown", () => {
    const nothing = { value: null, revision: 0 };
    check(first, local([20, 20], nothing, other));
    expect(() => check(first, local([20, 20], nothing))).toThrow("went back behind write");
    // At the same moment nobody can tell.
    check(first, local([10, 10], nothing));
  });

  test("a local read must not invent a value, or a revision", () => {
    const saw = (value: string | null, revision: number) => (): void =>
      check(first, local([20, 20], { value, revision }, other));
    saw("|a", 4)();
    expect(saw("|b", 5)).toThrow("nobody had written");
    expect(saw("|a", 0)).toThrow("differ in the value of one revision");
  });

  test("a value that was called for later was not there before", () => {
    const early = local([1, 2], { value: "|a", revision: 4 }, other);
    check(first, early);
    const late = { ...first, calledUs: 5 };
    expect(() => check(late, early)).toThrow("nobody had written");
  });

  test("many writes of unknown fate do not hide a violation behind a budget", () => {
    const unknown = Array.from({ length: 40 }, (_, i): SimOperation => {
      const type = (["put", "append", "delete"] as const)[i % 3]!;
      const input = { type, key: "k", value: `|u${i}` } as KvInput;
      return { ...base("write", input, [0, 5]), outcome: "unknown" };
    });
    const read = { ...local([20, 30], { value: null, revision: 0 }), kind: "read" as const };
    const broken = [first, ...unknown, read];
    expect(() => check(...broken)).toThrow("linearizable: key");
  });

  test("a read that may be so old is held to that, by what was shown so long before", () => {
    const nothing = { value: null, revision: 0 };
    const stale = (maxStalenessUs: number) => (): void => {
      const witness = new Witness();
      const read = { ...base("stale-read", { type: "get", key: "k" }, [100, 110]), maxStalenessUs };
      witness.called({ ...first, outcome: "open" });
      const { number: operation } = first;
      const hashes = { commandHash: 0, resultHash: 0 };
      witness.applied(member, { index: 4, term: 1, timeMs: 0, operation, ...hashes });
      witness.settled(first);
      witness.called(read);
      witness.settled({ ...read, result: nothing });
    };
    // The write was answered at 10, which is 90 before the read was called.
    expect(stale(89)).toThrow("index 4 had been shown before the read was called, by 89 µs");
    // In the same moment nobody can tell.
    stale(90)();
    stale(200)();
  });

  test("a sample takes whole keys, and one at least", () => {
    const keys = ["a", "b", "c"].map((key) => ({
      ...base("write", { type: "put", key, value: "|x" }, [0, 10]),
      result: { ok: true, index: 1, value: null, revision: 0 },
    }));
    const history = keys.map((operation) => ({ operation, life: 1 }));
    const searched = (operationsMax: number): number =>
      checkHistory(history, new SeededRandom(1), { operationsMax }).searched;
    expect([searched(0), searched(2), searched(9)]).toEqual([1, 2, 3]);
  });
});
