import { describe, expect, test } from "vitest";
import type { RaftInputs } from "../core/contract.ts";
import { EntryBatch, EntryKind, packEntries } from "../core/entry.ts";
import type { Log } from "../log/log.ts";
import { EngineState } from "../machine/engine-state.ts";
import { fromUtf8, utf8 } from "../util/bytes.ts";
import { crc32 } from "../util/checksum.ts";
import { Changes } from "./changes.ts";
import type { Change } from "./changes.ts";
import { add, errorOf, World } from "./world-harness.ts";
import type { Command, Node, Opened } from "./world-harness.ts";

/** Reads a feed into a list, until it ends. */
function follow(
  node: Node,
  from?: number,
  signal?: AbortSignal,
): {
  readonly seen: Change<Command>[];
  readonly end: Promise<void>;
} {
  const seen: Change<Command>[] = [];
  const options = { ...(from === undefined ? {} : { from }), ...(signal ? { signal } : {}) };
  const read = async (): Promise<void> => {
    for await (const change of node.changes(options)) seen.push(change);
  };
  return { seen, end: read() };
}

function amounts(changes: readonly Change<Command>[]): number[] {
  return changes.map(({ command }) => (command.type === "add" ? command.amount : Number.NaN));
}

async function write(world: World, { node }: Opened, ...values: readonly number[]): Promise<void> {
  for (const value of values) await world.until(node.write(add(value)));
}

describe("changes", () => {
  test("are every command once, in order, on every member, from the index that is asked for", async () => {
    const world = new World();
    const { all, leader } = await world.served(3);
    await write(world, leader, 1, 2);
    const feeds = all.map(({ node }) => follow(node, 1));
    const fromNow = follow(leader.node);
    await world.run(20);
    await write(world, leader, 3, 4);
    await world.run(50);
    for (const { seen } of feeds) expect(amounts(seen)).toEqual([1, 2, 3, 4]);
    expect(amounts(fromNow.seen)).toEqual([3, 4]);
    const { seen } = feeds[0]!;
    const times = seen.map(({ timeMs }) => timeMs);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    // On from where one has been, and from the middle.
    const again = follow(all[1]!.node, seen[1]!.index + 1);
    await world.run(5);
    expect(again.seen).toEqual(seen.slice(2));
    await world.close(all);
    await Promise.all([...feeds, fromNow, again].map(({ end }) => end));
  });

  test("do not show what had no effect", async () => {
    const world = new World();
    const { all, leader, followers } = await world.served(3, { callTimeoutMs: 60_000 });
    const asker = followers[0]!;
    const feed = follow(asker.node, 1);
    await write(world, asker, 1);
    const { lastIndex } = leader.node.status();
    // The asker hears that there is a leader, and not what became of its write: it repeats it.
    leader.transport.dropWhen(
      (to, _group, { type }) =>
        to === asker.node.id && (type === "append-entries" || type === "forward-response"),
    );
    const writing = asker.node.write(add(2));
    await world.run(150);
    leader.transport.dropWhen(undefined);
    await world.until(writing);
    await write(world, asker, 3);
    expect(leader.node.status().lastIndex).toBeGreaterThan(lastIndex + 2);
    await world.run(50);
    expect(amounts(feed.seen)).toEqual([1, 2, 3]);
    await world.close(all);
    await feed.end;
  });

  test("do not show it either after a restart from a snapshot", async () => {
    const world = new World();
    const manual = { snapshot: { automatic: false }, callTimeoutMs: 60_000 };
    const { all, leader, followers } = await world.served(3, manual);
    const asker = followers[0]!;
    await write(world, asker, 1);
    leader.transport.dropWhen(
      (to, _group, { type }) =>
        to === asker.node.id && (type === "append-entries" || type === "forward-response"),
    );
    const writing = asker.node.write(add(2));
    await world.run(150);
    leader.transport.dropWhen(undefined);
    await world.until(writing);
    await world.run(150);
    // What had no effect lies below the snapshot: it is not applied again, and not shown.
    await world.until(asker.node.snapshot());
    await world.until(asker.node.close());
    const again = await world.open(asker.node.id, undefined, manual);
    await world.when(() => again.node.status().leader !== undefined, "it follows");
    await write(world, again, 3);
    const feed = follow(again.node, 1);
    await world.run(50);
    expect(amounts(feed.seen)).toEqual([1, 2, 3]);
    expect(again.machine).toMatchObject({ total: 6, applies: 1 });
    await world.close([...all.filter((one) => one !== asker), again]);
    await feed.end;
  });

  test("that the log has lost are not passed over in silence", async () => {
    const world = new World();
    const manual = { snapshot: { automatic: false } };
    const one = await world.open("n1", { bootstrap: true }, manual);
    const slow = one.node.changes({ from: 1 })[Symbol.asyncIterator]();
    await write(world, one, 1, 2);
    await world.until(one.node.snapshot());
    await write(world, one, 3);
    await world.until(one.node.snapshot());
    await world.run(20);
    const { startIndex } = one.node.status();
    expect(startIndex).toBeGreaterThan(2);
    const error = await world.until(errorOf(slow.next()));
    expect(error).toMatchObject({ code: "HISTORY_COMPACTED", firstIndex: startIndex + 1 });
    const feed = follow(one.node, error.firstIndex);
    await world.run(5);
    expect(amounts(feed.seen)).toEqual([3]);
    await world.close([one]);
    await feed.end;
  });

  test("end without an error by their signal, however they wait", async () => {
    const world = new World();
    const one = await world.open("n1", { bootstrap: true });
    const controller = new AbortController();
    const feed = follow(one.node, 1, controller.signal);
    await write(world, one, 1);
    controller.abort();
    await feed.end;
    expect(amounts(feed.seen)).toEqual([1]);
    await follow(one.node, 1, controller.signal).end;
    await world.close([one]);
  });

  test("end with the replica: orderly, or by its failure", async () => {
    const world = new World();
    const one = await world.open("n1", { bootstrap: true });
    const feed = follow(one.node);
    const failed = errorOf(feed.end);
    await world.until(errorOf(one.node.write({ type: "boom" })));
    expect(await failed).toMatchObject({ code: "REPLICA_FAILED", outcome: "not-done" });
    expect(() => one.node.changes()).toThrow("REPLICA_FAILED");
    await world.close([one]);
    const forming = await world.open("n2", { members: World.members(3) });
    const waiting = follow(forming.node, 5);
    await world.close([forming]);
    await waiting.end;
    expect(() => forming.node.changes()).toThrow("CLOSED");
  });

  test("of a slow consumer are read from the log, and hold nobody back", async () => {
    const world = new World();
    const one = await world.open("n1", { bootstrap: true });
    const feed = one.node.changes({ from: 1 })[Symbol.asyncIterator]();
    const text = "x".repeat(2_000);
    for (let i = 0; i < 200; i++) void one.node.write({ type: "pad", text });
    await world.until(one.node.write(add(7)));
    await world.until(one.node.close());
    // Another run of the member has none of it in memory.
    const again = await world.open("n1", undefined);
    const { seen, end } = follow(again.node, 1);
    await world.when(() => seen.length === 201, "the feed has come to the end of the log");
    expect(seen.at(-1)!.command).toEqual(add(7));
    expect((await feed.next()).done).toBe(true);
    await world.close([again]);
    await end;
  });

  test("refuse what is no index", async () => {
    const world = new World();
    const one = await world.open("n1", { bootstrap: true });
    for (const from of [0, -1, 1.5, Number.NaN]) {
      expect(() => one.node.changes({ from })).toThrow("OPTION_INVALID");
    }
    await world.close([one]);
  });
});

describe("a log whose end was replaced", () => {
  const text = { encode: utf8, decode: fromUtf8 };

  function batch(firstIndex: number, term: number, ...texts: readonly string[]): EntryBatch {
    const entries = texts.map((one) => ({ kind: EntryKind.command, payload: utf8(one) }));
    return EntryBatch.seal(packEntries(entries), { term, firstIndex, timeMs: 9, checksum: crc32 });
  }

  /** Feeds over a core and a log that the test fills. */
  function feeds(core: { memory: EntryBatch[]; applied: number; log: EntryBatch[] }): Changes {
    const inputs = {
      batchAt: (index: number) =>
        core.memory.find((one) => one.firstIndex <= index && index <= one.lastIndex),
      get memoryIndex() {
        return core.memory[0]?.firstIndex ?? core.applied + 1;
      },
    };
    const read = async (_group: number, from: number, to: number): Promise<EntryBatch[]> =>
      core.log
        .filter((one) => one.lastIndex >= from && one.firstIndex <= to)
        .map((one) => one.from(Math.max(from, one.firstIndex), crc32).upTo(to, crc32));
    const state = new EngineState();
    return new Changes({
      log: { read } as unknown as Log,
      group: 1,
      engine: () => ({
        core: inputs as unknown as RaftInputs,
        applier: { applied: core.applied, state },
      }),
      state: () => "running",
      refusal: () => expect.fail("nothing fails here"),
    });
  }

  test("is not read where memory begins: what is committed may not have overwritten it yet", async () => {
    const core = {
      log: [batch(1, 1, "a", "b"), batch(3, 1, "never")],
      memory: [batch(3, 2, "c")],
      applied: 3,
    };
    const feed = feeds(core).feed(text, { from: 1 });
    const seen: string[] = [];
    for await (const { command } of feed) if (seen.push(command) === 3) break;
    expect(seen).toEqual(["a", "b", "c"]);
  });

  test("is not shown from a batch that was taken before: only what was applied by then is", async () => {
    const core = { log: [], memory: [batch(1, 1, "a", "b", "never")], applied: 2 };
    const feed = feeds(core).feed(text, { from: 1 });
    const seen = [(await feed.next()).value?.command];
    core.memory = [batch(1, 1, "a", "b"), batch(3, 2, "c")];
    core.applied = 3;
    for (let i = 0; i < 2; i++) seen.push((await feed.next()).value?.command);
    expect(seen).toEqual(["a", "b", "c"]);
  });
});
