import { describe, expect, test } from "vitest";
import { drawOptions } from "./draw-options.ts";
import { NEMESES } from "./nemesis/catalogue.ts";
import type { DelayOptions, SimOptions } from "./options.ts";
import { PROFILES } from "./profiles.ts";
import type { Profile } from "./profiles.ts";

const SEEDS = Array.from({ length: 200 }, (_, i) => i + 1);

function draw(profile?: Profile): SimOptions[] {
  return SEEDS.map((seed) => drawOptions(seed, profile));
}

function kindsOf(runs: readonly SimOptions[]): Set<string> {
  return new Set(runs.flatMap(({ nemeses }) => nemeses.map(({ kind }) => kind)));
}

describe("options drawn from a seed", () => {
  test("are the same for the same seed, and others for another", () => {
    expect(draw()).toEqual(draw("swarm"));
    expect(new Set(draw().map((options) => JSON.stringify(options))).size).toBe(SEEDS.length);
  });

  test("take any 32 bits as their seed", () => {
    expect(drawOptions(-1).seed).toBe(0xffffffff);
    expect(drawOptions(0xffffffff)).toEqual(drawOptions(-1));
  });

  test.each(PROFILES)("are plain JSON with integers within their bounds (%s)", (profile) => {
    for (const options of draw(profile)) {
      expect(JSON.parse(JSON.stringify(options))).toEqual(options);
      expect(problemsOf(options)).toEqual([]);
    }
  });

  test("hold every nemesis somewhere in 200 seeds, and never one that does not exist", () => {
    const all = new Set(NEMESES.map(({ kind }) => kind));
    expect(kindsOf(draw())).toEqual(all);
  });

  test("of a swarm have every size, both networks, slow and fast disks, and low limits", () => {
    const runs = draw();
    expect(new Set(runs.map(({ members }) => members))).toEqual(new Set([1, 2, 3, 5]));
    const streams = runs.filter(({ network }) => network.mode === "streams").length;
    expect(streams).toBeGreaterThan(20);
    expect(streams).toBeLessThan(60);
    expect(runs.some(({ disk }) => disk.write.maxUs > 10_000)).toBe(true);
    expect(runs.some(({ disk }) => disk.write.maxUs < 500)).toBe(true);
    const leases = runs.filter(({ leaseReads }) => leaseReads).length;
    expect(leases).toBeGreaterThan(40);
    expect(leases).toBeLessThan(80);
    const limits = new Set(runs.flatMap((run) => Object.keys(run.limits)));
    expect(limits.size).toBe(7);
    expect(runs.some((run) => Object.keys(run.limits).length === 0)).toBe(true);
    expect(runs.some(({ nemeses }) => nemeses.length === 0)).toBe(true);
    expect(runs.some(({ nemeses }) => nemeses.length > 9)).toBe(true);
  });
});

test("clients that do not wait ask for no more than low bounds let through", () => {
  const low = draw("elections").filter(({ limits }) => Object.keys(limits).length > 0);
  expect(low.length).toBeGreaterThan(50);
  for (const { clients } of low) {
    expect(clients.open).toBeLessThanOrEqual(1);
    expect(clients.openPerSecond).toBeLessThanOrEqual(40);
  }
});

describe("profiles", () => {
  test("calm has no fault at all", () => {
    for (const { nemeses, network, clock } of draw("calm")) {
      expect(nemeses).toEqual([]);
      expect(network.lossShare + network.duplicateShare + clock.lateShare).toBe(0);
    }
  });

  test("streams has nothing but streams", () => {
    expect(draw("streams").every(({ network }) => network.mode === "streams")).toBe(true);
  });

  test("disks writes much at once, into small segments", () => {
    const [disks, swarm] = [draw("disks"), draw()];
    const large = ({ clients }: SimOptions): boolean => clients.valueBytesMax >= 1_024;
    const small = ({ segmentBytes }: SimOptions): boolean => segmentBytes <= 32 * 1_024;
    expect(disks.filter(large).length).toBeGreaterThan(100);
    expect(swarm.filter(large).length).toBeLessThan(100);
    expect(disks.filter(small).length).toBeGreaterThan(100);
    expect(disks.filter(({ clients }) => clients.open > 0).length).toBeGreaterThan(100);
  });

  test.each([
    ["elections", "after-vote"],
    ["disks", "crash-at-disk"],
    ["network", "partition"],
    ["reads", "read-in-flight"],
    ["pauses", "pause"],
  ] as const)("%s mostly has %s, and something else at times", (profile, kind) => {
    const runs = draw(profile);
    const having = runs.filter(({ nemeses }) => nemeses.some((nemesis) => nemesis.kind === kind));
    expect(having.length).toBeGreaterThan(100);
    expect(kindsOf(runs).size).toBeGreaterThan(10);
  });
});

/** What is out of bounds. */
function problemsOf(options: SimOptions): string[] {
  const problems: string[] = [];
  const within = (name: string, value: number, [min, max]: readonly [number, number]): void => {
    const isFine = Number.isSafeInteger(value) && value >= min && value <= max;
    if (!isFine) problems.push(`${name} is ${value}, not ${min} to ${max}`);
  };
  const timeoutMs = options.electionTimeoutMs;
  const delay = (name: string, one: DelayOptions, maxUs: number): void => {
    within(`${name}.minUs`, one.minUs, [1, one.maxUs]);
    within(`${name}.maxUs`, one.maxUs, [one.minUs, maxUs]);
    within(`${name}.tailShare`, one.tailShare, [0, 50]);
    within(`${name}.tailMaxUs`, one.tailMaxUs, [one.maxUs, 1_000 * timeoutMs]);
  };
  within("electionTimeoutMs", timeoutMs, [150, 1_000]);
  within("heartbeatIntervalMs", options.heartbeatIntervalMs, [1, Math.floor(timeoutMs / 4)]);
  within("segmentBytes", options.segmentBytes, [8 * 1_024, 256 * 1_024]);
  within("faultyMs", options.faultyMs, [2_000, 20_000]);
  delay("network.delay", options.network.delay, 84 * timeoutMs);
  within("lossShare", options.network.lossShare, [0, 300]);
  within("duplicateShare", options.network.duplicateShare, [0, 200]);
  delay("disk.write", options.disk.write, 125 * timeoutMs);
  delay("disk.other", options.disk.other, 3_000);
  within("lateMaxUs", options.clock.lateMaxUs, [0, 500 * timeoutMs]);
  const { rateSpreadPpm, driftBoundPpm } = options.clock;
  within("driftBoundPpm", driftBoundPpm, [1_000, 100_000]);
  within("rateSpreadPpm", rateSpreadPpm, [0, driftBoundPpm]);
  within("leaseReadShare", options.clients.leaseReadShare, [0, 900]);
  within("stalenessMaxMs", options.clients.stalenessMaxMs, [20, 3_000]);
  within("turnUs", options.clock.turnUs, [5, 100]);
  within("closed", options.clients.closed, [1, 8]);
  within("valueBytesMax", options.clients.valueBytesMax, [1, options.segmentBytes / 8]);
  for (const [name, value] of Object.entries(options.limits)) within(name, value, [1, 32 * 1_024]);
  for (const { kind, everyMs, lastsMs, share } of options.nemeses) {
    within(`${kind} everyMs`, everyMs, [150, 21_000]);
    within(`${kind} lastsMs`, lastsMs, [20, 6_000]);
    within(`${kind} share`, share, [1, 1_000]);
  }
  return problems;
}
