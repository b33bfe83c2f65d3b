import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { simulate } from "../sim/simulate.ts";
import { testCluster } from "../sim/test-cluster.ts";
import type { TestCluster } from "../sim/test-cluster.ts";
import { MapMachine } from "./map-machine.ts";
import type { MapCommand, MapEntry, MapQuery } from "./map-machine.ts";
import { at, bytesOf, inPieces } from "./recipe-harness.ts";
import { ReplicatedMap } from "./replicated-map.ts";

interface Account {
  readonly balance: number;
  readonly tags?: readonly string[];
}

type Machine = MapMachine<string, Account>;
type Command = MapCommand<string, Account>;
type Query = MapQuery<string, Account>;

function cluster(): Promise<TestCluster<Command, Query>> {
  return testCluster<Command, Query>({ machine: (): Machine => new MapMachine() });
}

describe("a replicated map", () => {
  test("is a map on every member", async () => {
    await using members = await cluster();
    const [one, two, three] = members.members.map(({ replica }) => new ReplicatedMap(replica));
    const revision = await one!.set("alice", { balance: 1 });
    expect(await two!.entry("alice")).toEqual({ value: { balance: 1 }, revision });
    expect(await three!.get("bob")).toBeUndefined();
    expect(await three!.has("alice")).toBe(true);
    await two!.set("bob", { balance: 2 });
    expect(await one!.entries()).toEqual([
      ["alice", { balance: 1 }],
      ["bob", { balance: 2 }],
    ]);
    expect([await one!.size(), await two!.keys()]).toEqual([2, ["alice", "bob"]]);
    expect([await three!.delete("alice"), await three!.delete("alice")]).toEqual([true, false]);
    expect([await one!.clear(), await one!.size()]).toEqual([1, 0]);
  });

  test("compares and sets", async () => {
    await using members = await cluster();
    const map = new ReplicatedMap(members.members[0]!.replica);
    const made = await map.compareAndSet("a", 0, { balance: 1 });
    expect(made).toMatchObject({ swapped: true });
    const late = await map.compareAndSet("a", 0, { balance: 2 });
    expect(late).toMatchObject({ swapped: false, entry: { value: { balance: 1 } } });
    const revision = made.swapped ? made.revision : 0;
    expect(await map.compareAndDelete("a", revision + 1)).toMatchObject({ swapped: false });
    expect(await map.compareAndSet("a", revision, { balance: 3 })).toMatchObject({ swapped: true });
    expect(await map.compareAndDelete("b", 7)).toEqual({ swapped: false, entry: undefined });
    expect(await map.get("a")).toEqual({ balance: 3 });
  });

  test("updates are never lost, wherever they are made and whoever leads", async () => {
    await using members = await cluster();
    const add = async (member: number): Promise<void> => {
      const map = new ReplicatedMap(members.members[member]!.replica);
      await map.update("a", (account) => ({ balance: (account?.balance ?? 0) + 1 }));
    };
    await Promise.all(Array.from({ length: 12 }, (_, i) => add(i % 3)));
    (await members.leader()).crash();
    const map = new ReplicatedMap((await members.leader()).replica);
    expect(await map.get("a")).toEqual({ balance: 12 });
    expect(await map.update("a", () => undefined)).toBeUndefined();
    expect(await map.update("a", () => undefined)).toBeUndefined();
    expect(await map.size()).toBe(0);
  });

  test("nobody changes the state of a member through what was read", async () => {
    await using members = await cluster();
    const map = new ReplicatedMap(members.members[0]!.replica);
    await map.set("a", { balance: 1, tags: ["x"] });
    const account = (await map.get("a")) as { balance: number; tags: string[] };
    expect(() => (account.balance = 2)).toThrow(TypeError);
    expect(() => account.tags.push("y")).toThrow(TypeError);
    const before = { balance: 5 };
    await map.set("b", before);
    before.balance = 6;
    expect(await map.get("b")).toEqual({ balance: 5 });
  });

  test("refuses keys and values that JSON would change", async () => {
    await using members = await testCluster({
      machine: () => new MapMachine<number, unknown>(),
      members: 1,
    });
    const map = new ReplicatedMap(members.members[0]!.replica);
    for (const key of [Number.NaN, Number.POSITIVE_INFINITY]) {
      await expect(map.set(key, 1)).rejects.toMatchObject({ code: "COMMAND_INVALID" });
      await expect(map.get(key)).rejects.toMatchObject({ code: "COMMAND_INVALID" });
    }
    await expect(map.set(1, undefined)).rejects.toMatchObject({ code: "COMMAND_INVALID" });
    await map.set(-0, null);
    expect(await map.entry(0)).toMatchObject({ value: null });
  });
});

describe("its machine", () => {
  const key = fc.constantFrom("a", "b", "__proto__", "constructor", "", "💚");
  const value = fc.record({ balance: fc.integer() });
  const expectation = fc.option(fc.nat(40), { nil: undefined });
  const command: fc.Arbitrary<Command> = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(key, value, expectation).map(setOf) },
    { weight: 3, arbitrary: fc.tuple(key, expectation).map(deleteOf) },
    { weight: 1, arbitrary: fc.constant<Command>({ type: "clear" }) },
  );

  test("does what a map with conditions does, and comes back from its snapshot", async () => {
    const commands = fc.array(command, { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(commands, fc.integer({ min: 1, max: 90 }), async (list, size) => {
        const machine: Machine = new MapMachine();
        const model = new Map<string, MapEntry<Account>>();
        list.forEach((one, i) => {
          expect(machine.apply(one, at(i + 1))).toEqual(modelOf(model, one, i + 1));
        });
        const snapshot = machine.snapshot();
        machine.apply({ type: "set", key: "later", value: { balance: 0 } }, at(1_000));
        const bytes = await bytesOf(snapshot);
        const other: Machine = new MapMachine();
        await other.restore(inPieces(bytes, size));
        const values = Array.from(model, ([name, entry]) => [name, entry.value]);
        expect(other.query({ type: "entries" })).toEqual(values);
        for (const [name, entry] of model) {
          expect(other.query({ type: "get", key: name })).toEqual(entry);
        }
        expect(await bytesOf(other.snapshot())).toEqual(bytes);
      }),
      { seed: 1, numRuns: 80 },
    );
  });

  test("refuses what is no snapshot of a map, or cut, and stays as it was", async () => {
    const machine: Machine = new MapMachine();
    machine.apply({ type: "set", key: "a", value: { balance: 1 } }, at(1));
    machine.apply({ type: "set", key: "b", value: { balance: 2 } }, at(2));
    const bytes = await bytesOf(machine.snapshot());
    const other: Machine = new MapMachine();
    other.apply({ type: "set", key: "old", value: { balance: 0 } }, at(1));
    for (let length = 0; length < bytes.length; length++) {
      await expect(other.restore(inPieces(bytes.subarray(0, length), 9))).rejects.toThrow();
    }
    const foreign = new TextEncoder().encode('{"recipe":"lock","version":1,"items":0}\n');
    await expect(other.restore(inPieces(foreign, 9))).rejects.toThrow("want a snapshot of map");
    expect(other.query({ type: "entries" })).toEqual([["old", { balance: 0 }]]);
  });

  test("is a state machine in simulated clusters in trouble", async () => {
    const keys = ["a", "b", "c"];
    const summary = await simulate<Command, Query>({
      machine: (): Machine => new MapMachine(),
      members: 3,
      seeds: 4,
      override: { faultyMs: 1_500 },
      workload: (random, { name, calls }) => {
        const one = keys[random.below(3)]!;
        const lot = random.below(10);
        if (lot < 3) return { kind: "read", query: { type: "get", key: one } };
        if (lot < 4) return { kind: "write", command: { type: "delete", key: one } };
        const put = { type: "set", key: one, value: { balance: calls, tags: [name] } } as const;
        const expect = random.below(4) === 0 ? { expect: 0 } : {};
        return { kind: "write", command: { ...put, ...expect } };
      },
      check: ({ machines }) => {
        const states = machines.map((machine) =>
          keys.map((one) => JSON.stringify(machine.query({ type: "get", key: one }))).join(),
        );
        expect(new Set(states).size).toBe(1);
      },
    });
    expect(summary.answered).toBeGreaterThan(100);
  });
});

function setOf([key, value, expected]: [string, Account, number | undefined]): Command {
  return { type: "set", key, value, ...(expected === undefined ? {} : { expect: expected }) };
}

function deleteOf([key, expected]: [string, number | undefined]): Command {
  return { type: "delete", key, ...(expected === undefined ? {} : { expect: expected }) };
}

function modelOf(
  model: Map<string, MapEntry<Account>>,
  command: Command,
  revision: number,
): unknown {
  if (command.type === "clear") {
    const { size } = model;
    model.clear();
    return size;
  }
  const before = model.get(command.key);
  if (command.expect !== undefined && command.expect !== (before?.revision ?? 0)) {
    return { type: "differs", entry: before };
  }
  if (command.type === "delete") model.delete(command.key);
  else model.set(command.key, { value: command.value, revision });
  return { type: "changed", revision, before };
}
