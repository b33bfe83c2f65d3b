/** The loop with groups of the test's own: what one does to the others, and what waits where. */
import { describe, expect, test } from "vitest";
import type { LogWrite, Log } from "../log/log.ts";
import { ManualClock } from "../transport/manual-clock.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import type { Group } from "./group.ts";
import { Host } from "./host.ts";
import type { PausableTransport } from "./host.ts";
import { LIMITS } from "./limits.ts";
import { Observers } from "./observers.ts";
import type { Peering } from "./peering.ts";

interface FakeGroup {
  readonly group: Group;
  readonly calls: string[];
  failure: unknown;
  write: LogWrite | undefined;
  throwsIn: string | undefined;
  coreDeadlineMs: number;
}

function fakeGroup(number: number): FakeGroup {
  const calls: string[] = [];
  const did = (what: string): void => {
    calls.push(what);
    if (fake.throwsIn === what) throw new Error(`${what} of ${number}`);
  };
  const group = {
    number,
    get coreDeadlineMs() {
      return fake.coreDeadlineMs;
    },
    get nextDeadlineMs() {
      return fake.coreDeadlineMs;
    },
    logStateChanged: () => {},
    receive: (_nowMs: number, from: string, message: PeerMessage) => did(`${message.type} ${from}`),
    tick: () => {
      fake.coreDeadlineMs = Number.POSITIVE_INFINITY;
      did("tick");
    },
    dispatch: () => did("dispatch"),
    collect: () => did("collect"),
    takeWrite: () => {
      const { write } = fake;
      fake.write = undefined;
      return write;
    },
    written: () => did("written"),
    apply: () => {
      did("apply");
      return false;
    },
    versions: { knows: () => {} },
    connected: () => {},
    disconnected: (_nowMs: number, peer: string) => did(`lost ${peer}`),
    failWith: (error: unknown) => {
      fake.failure ??= error;
    },
  };
  const fake: FakeGroup = {
    group: group as unknown as Group,
    calls,
    failure: undefined,
    write: undefined,
    throwsIn: undefined,
    coreDeadlineMs: Number.POSITIVE_INFINITY,
  };
  return fake;
}

interface Bench {
  readonly host: Host;
  readonly clock: ManualClock;
  readonly groups: FakeGroup[];
  readonly appended: number[][];
  readonly transport: string[];
  finishWrite: (failure?: Error) => Promise<void>;
  ours: boolean;
}

function bench(groupCount: number): Bench {
  const clock = new ManualClock();
  const [appended, transport]: [number[][], string[]] = [[], []];
  let settle: { resolve: () => void; reject: (error: Error) => void } | undefined;
  let appending: Promise<void> | undefined;
  const log = {
    onStateChange: () => {},
    status: () => ({ state: "ok" }),
    settle: async () => {},
    append: (writes: readonly LogWrite[]) => {
      appended.push(writes.map(({ group }) => group));
      appending = new Promise<void>((resolve, reject) => {
        settle = { resolve, reject };
      });
      return appending;
    },
  } as unknown as Log;
  const fake = {
    flush: () => transport.push("flush"),
    pauseReads: () => transport.push("pause"),
    resumeReads: () => transport.push("resume"),
  } as unknown as PausableTransport;
  const host = new Host({
    clock,
    transport: fake,
    log,
    observers: new Observers(),
    electionTimeoutMs: 1_000,
  });
  const groups = Array.from({ length: groupCount }, (_, i) => fakeGroup(i + 1));
  const it: Bench = {
    host,
    clock,
    groups,
    appended,
    transport,
    ours: true,
    finishWrite: async (failure) => {
      const ended = Promise.allSettled([appending]);
      if (failure === undefined) settle!.resolve();
      else settle!.reject(failure);
      // The host hears of it a microtask later.
      await ended;
    },
  };
  const incarnationOf = (): string | undefined => (it.ours ? "1".repeat(32) : undefined);
  host.use({ incarnationOf, disconnected: () => {} } as unknown as Peering);
  for (const { group } of groups) host.addGroup(group);
  return it;
}

const HEARTBEAT = { type: "heartbeat", term: 1, commit: 0, round: 0 } as const;

function write(group: number): LogWrite {
  return { group, hardState: undefined, entries: [], commit: 0 };
}

describe("one turn", () => {
  test("steps, passes time, dispatches, collects and applies, in this order", () => {
    const { host, clock, groups, transport } = bench(1);
    const [one] = groups as [FakeGroup];
    one.coreDeadlineMs = 0;
    host.message("n2", 1, HEARTBEAT);
    host.disconnected("n3", "gone");
    expect(one.calls).toEqual([]);
    clock.advance(0);
    expect(one.calls).toEqual(["heartbeat n2", "lost n3", "tick", "dispatch", "collect", "apply"]);
    expect(transport).toEqual(["flush"]);
  });

  test("what comes for no group, or from outside the cluster, goes nowhere", () => {
    const it = bench(1);
    it.host.message("n2", 7, HEARTBEAT);
    it.ours = false;
    it.host.message("n2", 1, HEARTBEAT);
    it.clock.advance(1);
    expect(it.groups[0]!.calls).not.toContain("heartbeat n2");
  });

  test("a late turn leaves time for the sockets to be read before time passes", () => {
    const { host, clock, groups } = bench(1);
    const [one] = groups as [FakeGroup];
    one.coreDeadlineMs = 10;
    clock.advance(500);
    const before = one.calls.length;
    // As a socket would deliver between two turns.
    host.wake();
    clock.soon(() => host.message("n2", 1, HEARTBEAT));
    clock.advance(0);
    const calls = one.calls.slice(before);
    expect(calls.indexOf("heartbeat n2")).toBeGreaterThanOrEqual(0);
    expect(calls.indexOf("tick")).toBeGreaterThanOrEqual(calls.indexOf("heartbeat n2"));
  });
});

describe("the log write", () => {
  test("is one for all groups, one at a time, and its end runs the next turn at once", async () => {
    const { host, clock, groups, appended, finishWrite } = bench(3);
    const [one, two, three] = groups as [FakeGroup, FakeGroup, FakeGroup];
    one.write = write(1);
    three.write = write(3);
    host.wake();
    clock.advance(0);
    expect(appended).toEqual([[1, 3]]);
    two.write = write(2);
    host.wake();
    clock.advance(0);
    expect(appended).toHaveLength(1);
    await finishWrite();
    expect(one.calls).toContain("written");
    expect(two.calls).not.toContain("written");
    expect(three.calls).toContain("written");
    expect(appended).toEqual([[1, 3], [2]]);
  });

  test("that fails ends every group", async () => {
    const { host, clock, groups, finishWrite } = bench(2);
    groups[0]!.write = write(1);
    host.wake();
    clock.advance(0);
    await finishWrite(new Error("the medium is gone"));
    for (const { failure } of groups) expect((failure as Error).message).toBe("the medium is gone");
  });
});

describe("failures", () => {
  test.each(["heartbeat n2", "tick", "dispatch", "collect", "apply"])(
    "of one group in %s stop that group alone",
    (where) => {
      const { host, clock, groups } = bench(2);
      const [bad, good] = groups as [FakeGroup, FakeGroup];
      bad.throwsIn = where;
      bad.coreDeadlineMs = 0;
      host.message("n2", 1, HEARTBEAT);
      host.message("n2", 2, HEARTBEAT);
      clock.advance(0);
      expect((bad.failure as Error).message).toBe(`${where} of 1`);
      expect(good.failure).toBeUndefined();
      expect(good.calls).toContain("heartbeat n2");
      expect(good.calls).toContain("apply");
      host.wake();
      clock.advance(0);
      expect(good.calls.filter((call) => call === "apply")).toHaveLength(2);
    },
  );
});

describe("back-pressure", () => {
  test("sockets are paused while more waits than may, and read again after the turn", () => {
    const { host, clock, transport } = bench(1);
    const entries = new Uint8Array(LIMITS.inboxBytesMax / 2 + 1);
    const forward = { type: "forward", request: 1, deadlineMs: 1, entries, count: 1 } as const;
    host.message("n2", 1, forward);
    expect(transport).toEqual([]);
    host.message("n3", 1, forward);
    host.message("n2", 1, forward);
    expect(transport).toEqual(["pause"]);
    clock.advance(0);
    expect(transport).toEqual(["pause", "resume", "flush"]);
  });
});

test("after stop no turn runs", () => {
  const { host, clock, groups } = bench(1);
  groups[0]!.coreDeadlineMs = 5;
  host.wake();
  clock.advance(0);
  const { length } = groups[0]!.calls;
  host.wake();
  host.stop();
  host.message("n2", 1, HEARTBEAT);
  host.wake();
  clock.advance(1_000);
  expect(groups[0]!.calls).toHaveLength(length);
  expect(clock.pending).toBe(0);
});
