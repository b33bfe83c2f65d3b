/**
 * What every store of snapshots does, whatever disk it stands on: the conformance suite of the
 * port. What a crash leaves is tested with the simulated disk.
 */
import { QuorateError } from "../util/error.ts";
import type { SuiteCase } from "../util/suite.ts";
import { expectEqual, expectRejects, expectTrue } from "../util/suite.ts";
import { bytesOf, contentOf, metaOf, send, take } from "./snapshot-samples.ts";
import type { SnapshotStore } from "./snapshot.ts";

/** Places for two stores, each of which may be opened again and again. */
export interface SnapshotsUnderTest {
  open(): Promise<SnapshotStore>;
  /** Another store, for transfers. */
  openOther(): Promise<SnapshotStore>;
  /** Flips bits of a snapshot's file, at `offset` from its beginning or, below 0, its end. */
  damage(index: number, offset: number): Promise<void>;
  dispose(): Promise<void>;
}

/** The cases of the port. `make` is called once for each of them. */
export function snapshotSuite(make: () => Promise<SnapshotsUnderTest>): SuiteCase[] {
  return CASES.map(([name, body]) => ({
    name,
    run: async () => {
      const under = await make();
      try {
        await body(under);
      } finally {
        await under.dispose();
      }
    },
  }));
}

type Body = (under: SnapshotsUnderTest) => Promise<void>;

const isDamaged = (error: unknown): boolean =>
  QuorateError.is(error) && error.code === "SNAPSHOT_DAMAGED";

const CASES: readonly [string, Body][] = [
  [
    "a new store holds nothing",
    async (under) => {
      const store = await under.open();
      expectEqual(store.list.length, 0);
      expectEqual(store.damaged.length, 0);
      await store.prune();
    },
  ],
  [
    "what was taken is read, and is there after opening again",
    async (under) => {
      const store = await under.open();
      for (const [index, length] of [0, 1, 65_535, 65_536, 65_537, 200_000].entries()) {
        const data = bytesOf(length);
        const id = await take(store, index + 1, data, 7_001);
        expectEqual(store.list[0]!, id);
        const again = await under.open();
        expectEqual(again.list[0]!, id);
        expectEqual(await again.verify(id), metaOf(index + 1));
        expectTrue((await contentOf(again, id)).join() === data.join(), `${length} bytes differ`);
      }
    },
  ],
  [
    "the same state gives the same snapshot, however it comes",
    async (under) => {
      const data = bytesOf(150_000);
      const a = await take(await under.open(), 7, data, 100_000);
      const b = await take(await under.openOther(), 7, data, 3);
      expectEqual(a, b);
      const c = await take(await under.open(), 7, bytesOf(150_000, 2));
      expectTrue(c.hash !== a.hash, "other bytes have the same hash");
    },
  ],
  [
    "nothing stays of one that was given up",
    async (under) => {
      const store = await under.open();
      const writer = await store.create(metaOf(5));
      await writer.write(bytesOf(100_000));
      await writer.abort();
      await writer.abort();
      expectEqual(store.list.length, 0);
      await take(store, 5, bytesOf(10));
      expectEqual((await under.open()).list.length, 1);
    },
  ],
  [
    "two are kept, and what is being read",
    async (under) => {
      const store = await under.open();
      const ids = [];
      for (const index of [10, 20, 30, 40]) ids.push(await take(store, index, bytesOf(100, index)));
      const source = await store.source(ids[0]!);
      await store.prune();
      expectEqual(indexesOf(store), [40, 30, 10]);
      await source.close();
      await store.prune();
      expectEqual(indexesOf(store), [40, 30]);
      expectEqual(indexesOf(await under.open()), [40, 30]);
    },
  ],
  [
    "damage is found wherever it is",
    async (under) => {
      // In the head, in a chunk's head, in its data, in the foot.
      for (const offset of [3, 60, 130, 90_000, -70, -30, -2]) {
        const store = await under.open();
        const id = await take(store, 9, bytesOf(100_000));
        await under.damage(9, offset);
        await expectRejects(store.verify(id), isDamaged, `verify, damage at ${offset}`);
        await expectRejects(contentOf(store, id), isDamaged, `read, damage at ${offset}`);
        const again = await under.open();
        expectEqual(again.list.length + again.damaged.length, 1, "found after opening");
      }
    },
  ],
  [
    "a damaged one goes once two whole ones are there",
    async (under) => {
      const first = await under.open();
      await take(first, 9, bytesOf(100));
      await under.damage(9, -1);
      const store = await under.open();
      expectEqual(store.damaged.length, 1);
      await take(store, 10, bytesOf(10));
      await store.prune();
      expectEqual(store.damaged.length, 1);
      const id = await take(store, 11, bytesOf(10));
      await store.prune();
      expectEqual(store.damaged.length, 0);
      store.discredit(id, "somebody said so");
      expectEqual(indexesOf(store), [10]);
    },
  ],
  [
    "a snapshot that was sent is the same there",
    async (under) => {
      const from = await under.open();
      const to = await under.openOther();
      const data = bytesOf(300_000);
      const id = await take(from, 12, data);
      expectEqual(await send(from, to, id), { offset: 0, meta: metaOf(12) });
      expectEqual(to.list[0]!, id);
      expectTrue((await contentOf(to, id)).join() === data.join(), "bytes differ");
    },
  ],
  [
    "a transfer goes on where it was left, also after opening again",
    async (under) => {
      const from = await under.open();
      const id = await take(from, 12, bytesOf(400_000));
      expectEqual((await send(from, await under.openOther(), id, 100_000)).offset, 0);
      const to = await under.openOther();
      // As far as whole chunks go.
      const { offset, meta } = await send(from, to, id);
      expectTrue(offset > 60_000 && offset <= 131_072, `goes on at ${offset}`);
      expectEqual(meta, metaOf(12));
      expectEqual(await to.verify(id), metaOf(12));
    },
  ],
  [
    "it goes on only within the same snapshot",
    async (under) => {
      const from = await under.open();
      const first = await take(from, 12, bytesOf(300_000, 1));
      await send(from, await under.openOther(), first, 150_000);
      // The same position and length, other bytes; then another position.
      const second = await take(from, 12, bytesOf(300_000, 2));
      expectEqual(second.bytes, first.bytes);
      expectEqual((await send(from, await under.openOther(), second, 150_000)).offset, 0);
      const third = await take(from, 13, bytesOf(300_000, 2));
      const to = await under.openOther();
      expectEqual(await send(from, to, third), { offset: 0, meta: metaOf(13) });
      expectEqual(indexesOf(to), [13]);
    },
  ],
  [
    "what arrived wrong is refused, and leaves nothing behind",
    async (under) => {
      const from = await under.open();
      const to = await under.openOther();
      const id = await take(from, 12, bytesOf(100_000));
      await under.damage(12, 70_000);
      await expectRejects(send(from, to, id), isDamaged);
      expectEqual(to.list.length, 0);
      expectEqual((await to.receive(id)).offset, 0);
    },
  ],
];

function indexesOf(store: SnapshotStore): number[] {
  return store.list.map(({ index }) => index);
}
