import { describe, expect, test } from "vitest";
import { QuorateError } from "../util/error.ts";
import { readTermsOf, resolveOptions, timeoutOf } from "./options.ts";
import type { ReplicaOptions } from "./replica.ts";
import { Counter } from "./world-harness.ts";

const LIST = [
  { id: "n1", address: "a:1" },
  { id: "n2", address: "b:2" },
];

function resolve(part: Record<string, unknown>): ReturnType<typeof resolveOptions> {
  const base = { id: "n1", listen: "127.0.0.1:9091", dataDir: "/d", machine: new Counter() };
  return resolveOptions({ ...base, ...part } as unknown as ReplicaOptions<never, never>);
}

function complaint(part: Record<string, unknown>): string {
  try {
    resolve(part);
  } catch (error) {
    if (QuorateError.is(error) && error.code === "OPTION_INVALID") return error.message;
    throw error;
  }
  return "accepted";
}

describe("options", () => {
  test("are completed with their defaults", () => {
    expect(resolve({})).toEqual({
      id: "n1",
      listen: "127.0.0.1:9091",
      advertise: "127.0.0.1:9091",
      dataDir: "/d",
      start: undefined,
      electionTimeoutMs: 1_000,
      heartbeatIntervalMs: 100,
      callTimeoutMs: 5_000,
      sessionTimeoutMs: 3_600_000,
      leaseReads: false,
      clockDriftBoundPpm: 10_000,
      segmentBytes: 16_777_216,
      commandBytesMax: 2_097_152,
      snapshot: {
        automatic: true,
        logBytes: 67_108_864,
        growth: 1,
        entries: 1_000,
        sendBytesPerSecond: 67_108_864,
        progressTimeoutMs: 10_000,
      },
    });
  });

  test("the id is the address where none is given, and the list says what others dial", () => {
    expect(resolve({ id: undefined }).id).toBe("127.0.0.1:9091");
    expect(resolve({ id: undefined, advertise: "h:1" }).id).toBe("h:1");
    expect(resolve({ listen: "0.0.0.0:1", start: { members: LIST } }).advertise).toBe("a:1");
    const moved = { advertise: "z:9", start: { members: LIST } };
    expect(resolve(moved).advertise).toBe("z:9");
    expect(resolve({ listen: "127.0.0.1:0" }).advertise).toBeUndefined();
  });

  test.each([
    [{ snapshot: { logBytes: 5 } }, /snapshot.logBytes must be an integer from 1024/],
    [{ snapshot: { growth: -1 } }, /snapshot.growth must be a number/],
    [{ snapshot: { automatic: 1 } }, /snapshot.automatic must be true or false/],
    [{ snapshot: 7 }, /snapshot must be an object/],
    [{ id: "no spaces" }, /id must be 1 to 64 of .*, not "no spaces"/],
    [{ id: undefined, listen: "127.0.0.1:0" }, /id is missing/],
    [{ listen: "nowhere" }, /listen "nowhere" has no port/],
    [{ listen: undefined }, /listen must be a string/],
    [{ listen: "0.0.0.0:9091" }, /no address to dial: say "advertise"/],
    [{ listen: "[::]:9091" }, /no address to dial/],
    [{ advertise: "host:0" }, /advertise "host:0" has a port below 1/],
    [{ dataDir: "" }, /dataDir must be a string/],
    [{ machine: undefined }, /machine is missing/],
    [{ start: {} }, /start must be/],
    [{ start: { bootstrap: true, members: LIST } }, /start must be/],
    [{ start: { join: ["a:1"], wait: true } }, /start must be/],
    [{ start: { wait: false } }, /start must be/],
    [{ start: { join: [] } }, /start\.join must name at least one address/],
    [{ start: { join: ["a"] } }, /start\.join/],
    [
      { start: { join: ["a:1"], as: "boss" } },
      /start\.as must be "voter" or "learner", not "boss"/,
    ],
    [{ start: { join: ["a:1"], timeoutMs: 0 } }, /start\.timeoutMs must be an integer from 1/],
    [{ start: { bootstrap: true, contacts: ["a:0"] } }, /start\.contacts/],
    [{ start: { members: [] } }, /start\.members must have 1 to 255/],
    [{ start: { members: [...LIST, LIST[0]] } }, /names n1 twice/],
    [{ start: { members: [LIST[0], { id: "x", address: "a:1" }] } }, /names the address a:1 twice/],
    [{ start: { members: [LIST[1]] } }, /start\.members \(n2\) does not name this member, n1/],
    [{ start: { members: [{ id: "n1", address: "a" }] } }, /address of n1 in start\.members/],
    [{ electionTimeoutMs: 49 }, /electionTimeoutMs must be an integer from 50 to 60000, not 49/],
    [{ electionTimeoutMs: 100.5 }, /electionTimeoutMs must be an integer/],
    [{ heartbeatIntervalMs: 251 }, /from 1 to 250 \(a quarter of electionTimeoutMs\), not 251/],
    [{ sessionTimeoutMs: 999 }, /sessionTimeoutMs .* not 999/],
    [{ callTimeoutMs: Number.NaN }, /callTimeoutMs .* not NaN/],
    [{ leaseReads: "yes" }, /leaseReads must be true or false/],
    [{ clockDriftBoundPpm: 200_001 }, /clockDriftBoundPpm must be an integer from 0 to 200000/],
    [{ segmentBytes: 1_000 }, /segmentBytes must be an integer from 1048576/],
    [{ commandBytesMax: 5_000_000 }, /commandBytesMax .* \(a quarter of segmentBytes/],
  ])("%j is refused", (part, message) => {
    expect(complaint(part)).toMatch(message);
  });

  test("a call's deadline is a number of milliseconds", () => {
    expect(timeoutOf(undefined, 700)).toBe(700);
    expect(timeoutOf({}, 700)).toBe(700);
    expect(timeoutOf({ timeoutMs: 0.5 }, 700)).toBe(0.5);
    expect(() => timeoutOf({ timeoutMs: -1 }, 700)).toThrow("timeoutMs must be a number from 0");
    expect(() => timeoutOf({ timeoutMs: Number.POSITIVE_INFINITY }, 700)).toThrow("timeoutMs");
  });

  test("a read says how old its answer may be in one way", () => {
    const none = { maxStalenessMs: undefined };
    expect(readTermsOf(undefined)).toEqual({ consistency: "linearizable", ...none });
    expect(readTermsOf({ consistency: "lease" })).toEqual({ consistency: "lease", ...none });
    const stale = { consistency: "linearizable", maxStalenessMs: 0.5 };
    expect(readTermsOf({ maxStalenessMs: 0.5 })).toEqual(stale);
    const byLease = { consistency: "lease", maxStalenessMs: 7 } as const;
    expect(readTermsOf(byLease)).toEqual(byLease);
    for (const consistency of ["linearizable", "local"] as const) {
      expect(() => readTermsOf({ consistency, maxStalenessMs: 1 })).toThrow("goes alone");
    }
    expect(() => readTermsOf({ maxStalenessMs: -1 })).toThrow("maxStalenessMs must be a number");
    expect(() => readTermsOf({ consistency: "odd" as never })).toThrow("consistency must be");
  });
});
