/**
 * Crashes at every disk operation of taking, pruning, sending and receiving: the directory stays
 * usable, what was said to be finished is there and whole, and nothing half-made counts.
 */
import { describe, expect, test } from "vitest";
import type { SimDisk } from "../disk/sim-disk.ts";
import { SeededRandom } from "../util/random.ts";
import type { SnapshotDirectory } from "./snapshot-directory.ts";
import { emptyDisk, open } from "./snapshot-harness.ts";
import { bytesOf, send, take } from "./snapshot-samples.ts";
import type { SnapshotId } from "./snapshot.ts";

/** What was said to be finished, and not let go of since. */
interface Account {
  finished: SnapshotId[];
}

/** Takes, prunes, receives in two goes with a restart between, and takes again. */
async function life(disk: SimDisk, account: Account): Promise<void> {
  const from = await open(disk, "/data/other");
  const theirs = await take(from, 40, bytesOf(140_000, 4));
  let store = await open(disk);
  const done = (id: SnapshotId): void => void account.finished.push(id);
  done(await take(store, 10, bytesOf(70_000, 1)));
  done(await take(store, 20, bytesOf(3_000, 2)));
  done(await take(store, 30, bytesOf(10, 3)));
  account.finished.shift();
  await store.prune();
  await send(from, store, theirs, 80_000);
  store = await open(disk);
  await send(from, store, theirs);
  done(theirs);
  account.finished.shift();
  await store.prune();
  // The same position again: it takes the place of the one that is there.
  account.finished = account.finished.filter(({ index }) => index !== 40);
  done(await take(store, 40, bytesOf(66_000, 5)));
}

async function lifeUntilDeath(disk: SimDisk): Promise<Account> {
  const account: Account = { finished: [] };
  try {
    await life(disk, account);
  } catch (error) {
    if (disk.successor === undefined) throw error;
  }
  return account;
}

/** Everything that counts is whole; everything that was finished counts; work can go on. */
async function check(disk: SimDisk, account: Account, what: string): Promise<void> {
  const store: SnapshotDirectory = await open(disk);
  expect({ what, damaged: store.damaged }).toEqual({ what, damaged: [] });
  for (const id of store.list) await store.verify(id);
  const held = store.list.map(({ index }) => index);
  for (const { index } of account.finished)
    expect({ what, held }).toMatchObject({ held: expect.arrayContaining([index]) });
  const id = await take(store, 90, bytesOf(1_000));
  await store.prune();
  expect((await open(disk)).list[0]).toEqual(id);
}

describe.each(["crash", "kill"] as const)("a %s", (how) => {
  test("at every operation, and again at operations of the opening", async () => {
    const rehearsal = await emptyDisk();
    const before = rehearsal.operations;
    await lifeUntilDeath(rehearsal);
    expect(rehearsal.operations).toBeGreaterThan(80);
    for (let n = before + 1; n <= rehearsal.operations; n++) {
      const disk = await emptyDisk();
      disk.dieAt(n, new SeededRandom(n), how);
      const account = await lifeUntilDeath(disk);
      const left = disk.successor!;
      await openingDies(left, account, n);
      // What is found after the death of a process must outlive a power loss that follows.
      const opened = left.clone();
      await open(opened);
      await check(opened.crash(new SeededRandom(n)), account, `${how} at ${n}, then power loss`);
      await check(left, account, `${how} at ${n}`);
    }
  });

  async function openingDies(left: SimDisk, account: Account, seed: number): Promise<void> {
    const rehearsal = left.clone();
    await open(rehearsal);
    const disk = left.clone();
    disk.dieAt(1 + new SeededRandom(seed).below(rehearsal.operations), new SeededRandom(seed));
    await open(disk).catch(() => undefined);
    await check(disk.successor ?? disk, account, `${how} at ${seed}, and in the opening`);
  }
});
