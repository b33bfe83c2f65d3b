import { describe, expect, test } from "vitest";
import { testCluster } from "../sim/test-cluster.ts";
import { ComposedMachine } from "./compose.ts";
import type { PartCommand, PartQuery } from "./compose.ts";
import { LockMachine } from "./lock-machine.ts";
import { MapMachine } from "./map-machine.ts";
import { at, bytesOf, inPieces } from "./recipe-harness.ts";
import { ReplicatedLock } from "./replicated-lock.ts";
import { ReplicatedMap } from "./replicated-map.ts";

/** A machine of one's own beside the recipes, with a plain value as its snapshot. */
class Counter {
  total = 0;

  apply(amount: number): number {
    return (this.total += amount);
  }

  query(_query: "total"): number {
    return this.total;
  }

  snapshot(): { readonly total: number } {
    return { total: this.total };
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    let text = "";
    for await (const chunk of chunks) text += new TextDecoder().decode(chunk);
    ({ total: this.total } = JSON.parse(text) as { total: number });
  }
}

/** The same as bytes that change with it. */
class Sliced extends Counter {
  override snapshot(): never {
    const bytes = new TextEncoder().encode(JSON.stringify({ total: this.total }));
    return [bytes.subarray(0, 3), bytes.subarray(3)].values() as never;
  }
}

function partsOf() {
  return {
    map: new MapMachine<string, number>(),
    locks: new LockMachine(),
    counter: new Counter(),
    sliced: new Sliced(),
    empty: new LockMachine(),
  };
}

type All = ReturnType<typeof partsOf>;

describe("a composed machine", () => {
  test("has its parts side by side, typed, on every member", async () => {
    await using cluster = await testCluster<PartCommand<All>, PartQuery<All>>({
      machine: () => new ComposedMachine(partsOf()),
    });
    const machine = new ComposedMachine(partsOf());
    const { replica } = cluster.members[0]!;
    const map = new ReplicatedMap(machine.part("map", replica));
    const locks = new ReplicatedLock(machine.part("locks", cluster.members[1]!.replica));
    await map.set("a", 7);
    const held = await locks.acquire("l");
    expect(await machine.part("counter", replica).write(5)).toBe(5);
    expect(await machine.part("counter", replica).read("total")).toBe(5);
    expect(await map.get("a")).toBe(7);
    expect(await locks.owner("l")).toMatchObject({ fence: held.fence });
    await held.release();
  });

  test("comes back from its snapshot, however it was cut", async () => {
    const machine = new ComposedMachine(partsOf());
    machine.apply({ part: "map", command: { type: "set", key: "a", value: 1 } }, at(1));
    const acquire = { type: "acquire", name: "l", owner: "me", ttlMs: 100 } as const;
    machine.apply({ part: "locks", command: acquire }, at(2));
    machine.apply({ part: "counter", command: 5 }, at(3));
    machine.apply({ part: "sliced", command: 6 }, at(4));
    const snapshot = machine.snapshot();
    machine.apply({ part: "sliced", command: 100 }, at(5));
    machine.apply({ part: "map", command: { type: "clear" } }, at(6));
    const bytes = await bytesOf(snapshot);
    for (const size of [1, 3, 1_000]) {
      const other = new ComposedMachine(partsOf());
      await other.restore(inPieces(bytes, size));
      expect(other.query({ part: "map", query: { type: "size" } })).toBe(1);
      expect(other.query({ part: "counter", query: "total" })).toBe(5);
      expect(other.query({ part: "sliced", query: "total" })).toBe(6);
      expect(await bytesOf(other.snapshot())).toEqual(bytes);
    }
    for (let length = 1; length < bytes.length; length++) {
      const cut = inPieces(bytes.subarray(0, length), 9);
      const other = new ComposedMachine(partsOf());
      // Where a part has just ended, those that follow look as if they had been added since.
      await other.restore(cut).catch((error: unknown) => expect(error).toBeInstanceOf(Error));
    }
    const fewer = new ComposedMachine({ map: new MapMachine() });
    await expect(fewer.restore(inPieces(bytes, 9))).rejects.toThrow("part locks unlooked for");
  });

  test("refuses commands for a part that it has not", () => {
    const machine = new ComposedMachine({ map: new MapMachine() });
    expect(() => machine.apply({ part: "other", command: 1 } as never, at(1))).toThrow("no part");
  });
});
