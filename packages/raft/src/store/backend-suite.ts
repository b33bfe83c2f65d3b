/**
 * What every backend of a store has to do: the cases of the contract in backend.ts.
 */
import { expectEqual, expectTrue } from "../util/suite.ts";
import type { SuiteCase } from "../util/suite.ts";
import type { StoreBackend, StoreChange, StoreItem } from "./backend.ts";

/** Makes a backend, not open yet; a second call gives one on what the first has stored. */
export type MakeBackend = () => StoreBackend;

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const itemsOf = (backend: StoreBackend, from = ""): [string, number[]][] => {
  const view = backend.view();
  const found = collect(view.items(from));
  view.release();
  return found;
};

function collect(items: Iterator<StoreItem, unknown>): [string, number[]][] {
  const found: [string, number[]][] = [];
  for (let step = items.next(); step.done !== true; step = items.next()) {
    found.push([step.value[0], [...step.value[1]]]);
  }
  return found;
}

/** The cases. `fresh` gives a place of its own to each. */
export function backendSuite(fresh: () => Promise<MakeBackend>): SuiteCase[] {
  const open = async (make: MakeBackend): Promise<StoreBackend> => {
    const backend = make();
    await backend.open();
    return backend;
  };
  return [
    {
      name: "what was committed is there, in the order of bytes, also in another life",
      async run() {
        const make = await fresh();
        const first = await open(make);
        await first.commit([
          ["b", bytes(2)],
          ["a\xff", bytes(1)],
          ["a\x00", bytes()],
          ["gone", bytes(9)],
        ]);
        await first.commit([
          ["gone", undefined],
          ["b", bytes(3, 3)],
          ["never", undefined],
        ]);
        const wanted: [string, number[]][] = [
          ["a\x00", []],
          ["a\xff", [1]],
          ["b", [3, 3]],
        ];
        expectEqual(itemsOf(first), wanted);
        expectEqual(itemsOf(first, "a\x01"), wanted.slice(1));
        await first.close();
        const second = await open(make);
        expectEqual(itemsOf(second), wanted);
        expectEqual(second.get("b"), bytes(3, 3));
        expectTrue(second.get("gone") === undefined, "a deleted key is absent");
        await second.close();
      },
    },
    {
      name: "a view stays as it was, whatever is committed and replaced",
      async run() {
        const backend = await open(await fresh());
        await backend.commit([["k", bytes(1)]]);
        const view = backend.view();
        await backend.commit([
          ["k", bytes(2)],
          ["l", bytes(3)],
        ]);
        const replacement = await backend.replace();
        await replacement.put([["m", bytes(4)]]);
        expectEqual(itemsOf(backend).length, 2, "items while a replacement is filled");
        await replacement.take();
        expectEqual(collect(view.items("")), [["k", [1]]]);
        view.release();
        expectEqual(itemsOf(backend), [["m", [4]]]);
        await backend.commit([["n", bytes(5)]]);
        expectEqual(itemsOf(backend).length, 2, "items after a commit to the new place");
        await backend.close();
      },
    },
    {
      name: "a replacement that was taken is there in another life, one that was not is not",
      async run() {
        const make = await fresh();
        const first = await open(make);
        await first.commit([["old", bytes(1)]]);
        const given = await first.replace();
        await given.put([["x", bytes(1)]]);
        await given.abandon();
        expectEqual(itemsOf(first), [["old", [1]]]);
        const open2 = await first.replace();
        await open2.put([["x", bytes(1)]]);
        await first.close();
        const second = await open(make);
        expectEqual(itemsOf(second), [["old", [1]]]);
        const taken = await second.replace();
        const many: StoreChange[] = [];
        for (let i = 0; i < 3_000; i++)
          many.push([`k${String(i).padStart(6, "0")}`, bytes(i & 255)]);
        await taken.put(many.slice(0, 1_500) as StoreItem[]);
        await taken.put(many.slice(1_500) as StoreItem[]);
        await taken.take();
        await second.close();
        const third = await open(make);
        expectEqual(itemsOf(third).length, 3_000);
        await third.close();
      },
    },
    {
      name: "values of any size and the longest keys are kept",
      async run() {
        const backend = await open(await fresh());
        const long = "k".repeat(backend.keyBytesMax);
        const large = new Uint8Array(1_500_000).fill(7);
        await backend.commit([
          [long, large],
          [long.slice(1), bytes(1)],
        ]);
        expectEqual(backend.get(long)?.length, large.length);
        expectEqual(
          itemsOf(backend).map(([key]) => key.length),
          [long.length - 1, long.length],
        );
        await backend.close();
      },
    },
  ];
}
