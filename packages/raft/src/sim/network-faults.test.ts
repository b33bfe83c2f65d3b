/**
 * What both modes of the network have in common: faults, deaths, rules, and nothing left behind.
 */
import { describe, expect, test } from "vitest";
import type { PeerMessage } from "../transport/peer-message.ts";
import { MessageNetwork } from "./message-network.ts";
import { NetworkWorld } from "./network-harness.ts";
import type { MakeNetwork } from "./network-harness.ts";
import type { NetworkOptions } from "./options.ts";
import { StreamNetwork } from "./stream-network.ts";

const MODES: readonly (readonly [string, MakeNetwork])[] = [
  ["messages", (context) => new MessageNetwork(context)],
  ["streams", (context) => new StreamNetwork(context)],
];
const ROUGH: Partial<NetworkOptions> = {
  delay: { minUs: 100, maxUs: 3_000, tailShare: 50, tailMaxUs: 60_000 },
  lossShare: 10,
  duplicateShare: 20,
};

/** Heartbeats of this round are dropped, held or doubled. */
function roundOf(message: PeerMessage): number {
  return message.type === "heartbeat" ? message.round : -1;
}

describe.each(MODES)("%s", (_mode, make) => {
  const open = (ids = ["a", "b"], options: Partial<NetworkOptions> = {}): Promise<NetworkWorld> =>
    new NetworkWorld(make, options).open(...ids);

  test("watchers are told of what leaves, and of what arrives before the host is", async () => {
    const world = await open();
    world.at("b").host.message = (from, group, message) => {
      expect(world.at("b").delivered.at(-1)).toBe(message);
      world.at("b").host.received.push({ from, group, message });
    };
    world.send("a", "b", 1, 2);
    expect(world.at("a").sent.map(roundOf)).toEqual([1, 2]);
    await world.run(10);
    expect(world.rounds("b")).toEqual([1, 2]);
    expect(world.at("b").delivered[0]).not.toBe(world.at("a").sent[0]);
  });

  test("a cut is noticed, keeps nothing, and after the heal the two connect again", async () => {
    const world = await open();
    world.network.cut("a:1", "b:1");
    world.send("a", "b", 1);
    await world.run(4_000);
    expect(world.at("a").host.disconnectedFrom).toEqual(["b"]);
    expect(world.send("a", "b", 2)).toBe(false);
    expect(world.rounds("b")).toEqual([]);
    world.network.heal("a:1", "b:1");
    await world.run(3_000);
    expect(world.send("a", "b", 3)).toBe(true);
    await world.run(10);
    expect(world.rounds("b")).toEqual([3]);
  });

  test("a cut in one direction leaves the other for as long as nobody misses an answer", async () => {
    const world = await open();
    world.network.cut("a:1", "b:1");
    for (let turn = 0; turn < 20; turn++) {
      expect(world.send("b", "a", turn)).toBe(true);
      await world.run(100);
    }
    expect(world.rounds("a")).toHaveLength(20);
    expect(world.at("b").host.disconnectedFrom).toEqual([]);
    for (let turn = 0; turn < 30; turn++) {
      world.send("b", "a", turn);
      await world.run(100);
    }
    expect(world.at("b").host.disconnectedFrom).toEqual(["a"]);
  });

  test("nothing connects over a cut in either direction", async () => {
    for (const [from, to] of [
      ["a:1", "b:1"],
      ["b:1", "a:1"],
    ] as const) {
      const world = new NetworkWorld(make);
      await world.start("a");
      await world.start("b");
      world.network.cut(from, to);
      world.dial("a");
      await world.run(10_000);
      expect(world.at("a").host.connectedTo).toEqual([]);
      expect(world.network.connections).toBeLessThanOrEqual(2);
      world.network.healAll();
      await world.run(4_000);
      expect(world.at("a").host.connectedTo).toEqual(["b"]);
    }
  });

  test("a short stall only delays, and keeps the order", async () => {
    const world = await open();
    world.network.stall("a:1", "b:1");
    world.send("a", "b", 1, 2);
    await world.run(500);
    world.send("a", "b", 3);
    await world.run(500);
    expect(world.rounds("b")).toEqual([]);
    expect(world.network.underWay).toBeGreaterThan(0);
    world.network.heal("a:1", "b:1");
    world.send("a", "b", 4);
    await world.run(100);
    expect(world.rounds("b")).toEqual([1, 2, 3, 4]);
    expect(world.at("a").host.disconnectedFrom).toEqual([]);
    await world.run(2_000);
    expect(world.network.underWay).toBe(0);
  });

  test("a long stall ends the connection of whoever sends", async () => {
    const world = await open();
    // The hello is answered with a pulse, which would be a sign of life.
    await world.run(2_000);
    world.network.stall("a:1", "b:1");
    world.send("a", "b", 1);
    await world.run(2_900);
    expect(world.at("a").host.disconnectedFrom).toEqual([]);
    await world.run(200);
    expect(world.at("a").host.disconnectedFrom).toEqual(["b"]);
    world.network.healAll();
    await world.run(5_000);
    expect(world.network.connections).toBe(2);
    expect(world.network.underWay).toBe(0);
  });

  test("a slow way takes its time, until it is healed", async () => {
    const world = await open();
    world.network.slow("a:1", "b:1", 200_000);
    world.send("a", "b", 1);
    await world.run(199);
    expect(world.rounds("b")).toEqual([]);
    await world.run(10);
    expect(world.rounds("b")).toEqual([1]);
    world.network.healAll();
    world.send("a", "b", 2);
    await world.run(10);
    expect(world.rounds("b")).toEqual([1, 2]);
  });

  test("a slow link passes so many bytes a second", async () => {
    const world = await open(["a", "b"], { bytesPerSecond: 10_000 });
    for (let turn = 0; turn < 100; turn++) world.send("a", "b", turn);
    // About 52 bytes each.
    await world.run(250);
    expect(world.rounds("b").length).toBeGreaterThan(20);
    expect(world.rounds("b").length).toBeLessThan(60);
    await world.run(600);
    expect(world.rounds("b")).toHaveLength(100);
  });

  test("a reset ends both connections, and they are made again", async () => {
    const world = await open(["a", "b", "c"]);
    await world.run(2_000);
    world.send("a", "b", 1);
    world.network.reset("a:1", "b:1");
    await world.run(100);
    expect(world.at("a").host.disconnectedFrom).toEqual(["b"]);
    expect(world.at("b").host.disconnectedFrom).toEqual(["a"]);
    expect(world.at("c").host.disconnectedFrom).toEqual([]);
    expect(world.at("a").host.connectedTo.filter((id) => id === "b")).toHaveLength(2);
    expect(world.rounds("b")).toEqual([]);
    expect(world.network.connections).toBe(6);
  });

  test("the death of a process is heard of, and what it said still arrives", async () => {
    const world = await open();
    world.send("b", "a", 1);
    const dead = world.kill("b");
    const { calls } = dead.host;
    await world.run(100);
    expect(world.rounds("a")).toEqual([1]);
    expect(world.at("a").host.disconnectedFrom).toEqual(["b"]);
    world.send("a", "b", 2);
    await world.run(5_000);
    expect(dead.host.calls).toBe(calls);
    const reborn = await world.start("b");
    world.dial("b");
    await world.run(2_500);
    expect(world.send("a", "b", 3)).toBe(true);
    expect(world.send("b", "a", 4)).toBe(true);
    await world.run(10);
    expect(reborn.host.received).toHaveLength(1);
    expect(world.rounds("a")).toEqual([1, 4]);
    expect(dead.host.calls).toBe(calls);
    expect(world.network.connections).toBe(2);
  });

  test("a process that is back at once is connected to anew, and hears nothing old", async () => {
    const world = await open();
    await world.run(1_500);
    world.network.stall("a:1", "b:1");
    world.send("a", "b", 1);
    await world.run(10);
    world.kill("b");
    const reborn = await world.start("b");
    world.dial("b");
    await world.run(10);
    world.network.heal("a:1", "b:1");
    await world.run(4_000);
    expect(world.send("a", "b", 2)).toBe(true);
    await world.run(10);
    expect(reborn.host.received.map(({ message }) => roundOf(message))).toEqual([2]);
    expect(world.network.connections).toBe(2);
    expect(world.network.underWay).toBe(0);
  });

  test("a death that nobody could tell of is found out by sending", async () => {
    const world = await open();
    world.network.stall("b:1", "a:1");
    world.kill("b");
    await world.run(1_000);
    expect(world.at("a").host.disconnectedFrom).toEqual([]);
    world.send("a", "b", 1);
    await world.run(3_500);
    expect(world.at("a").host.disconnectedFrom).toEqual(["b"]);
  });

  test("nothing stays queued for a process that is gone, though nobody could tell of it", async () => {
    const world = await open();
    await world.run(2_000);
    world.network.slow("a:1", "b:1", 10_000);
    world.send("a", "b", 1);
    world.network.stall("b:1", "a:1");
    world.kill("b");
    await world.run(100);
    world.network.healAll();
    await world.run(4_000);
    expect(world.at("a").transport.status()[0]?.queuedBytes).toBe(0);
    expect(world.at("a").host.disconnectedFrom).toEqual(["b"]);
  });

  test("a process that stands still hears everything afterwards, in order", async () => {
    const world = await open();
    const { process, host } = world.at("b");
    process.pause();
    const { calls } = host;
    for (let round = 1; round <= 20; round++) {
      world.send("a", "b", round);
      await world.run(50);
    }
    expect(host.calls).toBe(calls);
    process.resume();
    await world.run(50);
    expect(world.rounds("b")).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(world.at("a").host.disconnectedFrom).toEqual([]);
  });

  test("a process that stands still for long is given up, and found again", async () => {
    const world = await open();
    world.at("b").process.pause();
    world.send("a", "b", 1);
    await world.run(10_000);
    expect(world.at("a").host.disconnectedFrom).toEqual(["b"]);
    world.at("b").process.resume();
    await world.run(5_000);
    expect(world.send("a", "b", 2)).toBe(true);
    await world.run(10);
    expect(world.rounds("b").at(-1)).toBe(2);
    expect(world.network.connections).toBe(2);
  });

  test("a process that does not read is sent no more than a bounded amount", async () => {
    const world = new NetworkWorld(make);
    const limits = { sendQueueBytesMax: 20_000, stallTimeoutMs: 600_000 };
    const a = world.create("a", "a:1", limits);
    await a.transport.listen(a.host);
    world.nodes.set("a", a);
    const b = await world.start("b");
    world.dial("a");
    await world.run(100);
    b.transport.pauseReads();
    let taken = 0;
    for (let turn = 0; turn < 20_000; turn++) {
      if (world.send("a", "b", turn)) taken++;
      if (turn % 100 === 0) await world.run(10);
    }
    expect(taken).toBeLessThan(20_000);
    b.transport.resumeReads();
    await world.run(1_000);
    expect(world.rounds("b")).toHaveLength(taken);
    expect(world.send("a", "b", 0)).toBe(true);
  });

  test("rules drop, keep and double single messages", async () => {
    const world = await open();
    world.network.rule = (from, to, message) => {
      expect([from, to]).toEqual(["a", "b"]);
      const round = roundOf(message);
      return round === 1
        ? "drop"
        : round === 2 || round === 3
          ? "hold"
          : round === 4
            ? "twice"
            : "pass";
    };
    expect(world.send("a", "b", 1, 2, 3, 4, 5)).toBe(true);
    await world.run(100);
    expect(world.rounds("b").toSorted((x, y) => x - y)).toEqual([4, 4, 5]);
    expect(world.network.underWay).toBe(2);
    world.network.rule = undefined;
    world.network.release((_from, _to, message) => roundOf(message) === 3);
    await world.run(100);
    expect(world.rounds("b").at(-1)).toBe(3);
    world.network.release();
    await world.run(100);
    expect(world.rounds("b").at(-1)).toBe(2);
    expect(world.network.underWay).toBe(0);
  });

  test("what a rule kept is let go over the connection that is up by then", async () => {
    const world = await open();
    world.network.rule = () => "hold";
    world.send("a", "b", 1);
    world.network.rule = undefined;
    world.kill("b");
    const reborn = await world.start("b");
    await world.run(3_000);
    world.network.release();
    await world.run(100);
    expect(reborn.host.received).toHaveLength(1);
    expect(world.network.underWay).toBe(0);
  });

  test("the same seed gives the same run, another seed another one", async () => {
    const run = async (seed: number): Promise<string> => {
      const world = await new NetworkWorld(make, ROUGH, seed).open("a", "b", "c");
      const told: string[] = [];
      for (const node of world.nodes.values()) {
        node.host.message = (from, _group, message) => {
          told.push(`${world.schedule.nowUs} ${from} ${roundOf(message)}`);
        };
      }
      for (let round = 0; round < 200; round++) {
        world.send("a", "b", round, round);
        world.send("b", "c", round);
        world.send("c", "a", round);
        if (round === 60) world.network.cut("a:1", "b:1");
        if (round === 100) world.kill("c");
        if (round === 150) world.network.healAll();
        await world.run(20);
      }
      return told.join("\n");
    };
    const first = await run(7);
    expect(first.length).toBeGreaterThan(3_000);
    expect(await run(7)).toBe(first);
    expect(await run(8)).not.toBe(first);
  });

  test("after any trouble, healing brings everybody together and leaves nothing", async () => {
    for (let seed = 1; seed <= 15; seed++) {
      const world = await new NetworkWorld(make, ROUGH, seed).open("a", "b", "c");
      const ids = ["a", "b", "c"];
      const draw = (n: number): number => (((seed + 1) * 7_919 + world.schedule.nowUs) >>> 3) % n;
      for (let round = 0; round < 60; round++) {
        const from = ids[draw(3)]!;
        const to = ids[(ids.indexOf(from) + 1 + draw(2)) % 3]!;
        const ends = [`${from}:1`, `${to}:1`] as const;
        const act = draw(7);
        if (act === 0) world.network.cut(...ends);
        else if (act === 1) world.network.stall(...ends);
        else if (act === 2) world.network.slow(...ends, 40_000);
        else if (act === 3) world.network.heal(...ends);
        else if (act === 4) world.network.reset(...ends);
        else if (act === 5) world.at(from).process.pause();
        else {
          world.kill(from);
          await world.start(from);
          world.dial(from);
        }
        if (round % 5 === 4) for (const node of world.nodes.values()) node.process.resume();
        for (const id of ids)
          for (const other of ids) if (other !== id) world.send(id, other, round);
        await world.run(37 + 200 * draw(5));
      }
      for (const node of world.nodes.values()) node.process.resume();
      world.network.healAll();
      await world.run(15_000);
      for (const { transport } of world.nodes.values()) {
        expect(transport.status().map((peer) => peer.connected)).toEqual([true, true]);
        expect(transport.status().map((peer) => peer.queuedBytes)).toEqual([0, 0]);
      }
      expect(world.network.connections).toBe(6);
      expect(world.network.underWay).toBe(0);
      for (const { transport } of world.nodes.values()) await transport.close();
      await world.run(5_000);
      expect(world.network.connections).toBe(0);
    }
  });
});
