import { describe, expect, test } from "vitest";
import { transportSuite } from "../transport/transport-suite.ts";
import { NetworkWorld } from "./network-harness.ts";
import type { NetworkOptions } from "./options.ts";
import { SimProcess } from "./process.ts";
import { SimStreams } from "./sim-streams.ts";
import { StreamNetwork } from "./stream-network.ts";

function world(options: Partial<NetworkOptions> = {}, seed = 1): NetworkWorld {
  return new NetworkWorld((context) => new StreamNetwork(context), options, seed);
}

const TAIL = { minUs: 100, maxUs: 2_000, tailShare: 200, tailMaxUs: 50_000 };

describe("what every transport does", () => {
  for (const one of transportSuite(() => world().suiteWorld())) test(one.name, () => one.run());
});

describe("what every transport does, over a slow and uneven network", () => {
  const uneven = { delay: TAIL, bytesPerSecond: 50_000_000 };
  for (const one of transportSuite(() => world(uneven, 9).suiteWorld())) {
    test(one.name, () => one.run());
  }
});

test("order is kept whatever the delays are", async () => {
  const net = await world({ delay: TAIL }).open("a", "b");
  for (let round = 0; round < 500; round++) {
    net.send("a", "b", round);
    await net.run(2);
  }
  await net.run(200);
  expect(net.rounds("b")).toEqual(Array.from({ length: 500 }, (_, i) => i));
});

test("connections break as often as asked for, until the healing", async () => {
  const net = await world({ lossShare: 20 }).open("a", "b");
  for (let round = 0; round < 1_000; round++) {
    net.send("a", "b", round);
    await net.run(20);
  }
  const { disconnectedFrom } = net.at("a").host;
  expect(disconnectedFrom.length).toBeGreaterThan(10);
  expect(disconnectedFrom.length).toBeLessThan(50);
  net.network.healAll();
  await net.run(2_000);
  disconnectedFrom.length = 0;
  for (let round = 0; round < 300; round++) {
    net.send("a", "b", round);
    await net.run(20);
  }
  expect(disconnectedFrom).toEqual([]);
});

/** Two processes with bare streams between them. */
async function streams(): Promise<{
  net: NetworkWorld;
  processes: readonly [SimProcess, SimProcess];
  dialer: ReturnType<SimStreams["dial"]>;
  chunks: number[];
  ends: string[];
  acceptors: ReturnType<SimStreams["dial"]>[];
}> {
  const net = world({ delay: { minUs: 10, maxUs: 3_000, tailShare: 0, tailMaxUs: 0 } });
  const processes = [new SimProcess(() => {}), new SimProcess(() => {})] as const;
  const network = net.network as StreamNetwork;
  const here = new SimStreams(network, processes[0], "x:1");
  const there = new SimStreams(network, processes[1], "y:1");
  const chunks: number[] = [];
  const ends: string[] = [];
  const acceptors: ReturnType<SimStreams["dial"]>[] = [];
  await there.listen("y:1", {
    accepted: (stream) => {
      acceptors.push(stream);
      return {
        opened: () => {},
        received: (chunk) => chunks.push(chunk.length),
        closed: (reason) => ends.push(reason),
      };
    },
    trouble: () => {},
  });
  const dialer = here.dial("y:1", {
    opened: () => {},
    received: () => {},
    closed: (reason) => ends.push(reason),
  });
  await net.run(20);
  return { net, processes, dialer, chunks, ends, acceptors };
}

const sum = (sizes: readonly number[]): number => sizes.reduce((total, size) => total + size, 0);

describe("streams", () => {
  test("cut what is written and join what was written apart", async () => {
    const { net, dialer, chunks } = await streams();
    for (let i = 0; i < 300; i++) {
      dialer.write([new Uint8Array(40), new Uint8Array(60)]);
      await net.run(1);
    }
    await net.run(50);
    expect(sum(chunks)).toBe(30_000);
    expect(chunks.filter((size) => size < 100).length).toBeGreaterThan(20);
    expect(chunks.filter((size) => size > 100).length).toBeGreaterThan(20);
  });

  test("hold a bounded amount for a process that does not read", async () => {
    const { net, dialer, chunks, acceptors } = await streams();
    acceptors[0]!.pause();
    dialer.write([new Uint8Array(1_000_000)]);
    await net.run(500);
    expect(dialer.unsentBytes).toBe(1_000_000 - 262_144);
    expect(chunks).toEqual([]);
    acceptors[0]!.resume();
    await net.run(500);
    expect(dialer.unsentBytes).toBe(0);
    expect(sum(chunks)).toBe(1_000_000);
  });

  test("leave nothing of what a process dials in the midst of its death", async () => {
    const net = world();
    const process = new SimProcess(() => {});
    const streams = new SimStreams(net.network as StreamNetwork, process, "x:1");
    process.die();
    streams.end();
    streams.dial("y:1", { opened: () => {}, received: () => {}, closed: () => {} });
    await net.run(20);
    expect(net.network.connections).toBe(0);
  });

  test("hold a bounded amount for a process that stands still", async () => {
    const { net, processes, dialer, chunks } = await streams();
    processes[1].pause();
    dialer.write([new Uint8Array(1_000_000)]);
    await net.run(500);
    expect(dialer.unsentBytes).toBe(1_000_000 - 262_144);
    processes[1].resume();
    await net.run(500);
    expect(sum(chunks)).toBe(1_000_000);
  });

  test("deliver what was written before the end, and then the end", async () => {
    const { net, dialer, chunks, ends } = await streams();
    dialer.write([new Uint8Array(100_000)]);
    dialer.end();
    await net.run(500);
    expect(sum(chunks)).toBe(100_000);
    expect(ends).toEqual(["closed by the other side"]);
    expect(net.network.connections).toBe(0);
  });

  test("end after a second, whoever does not read", async () => {
    const { net, dialer, ends, acceptors } = await streams();
    acceptors[0]!.pause();
    dialer.write([new Uint8Array(1_000_000)]);
    dialer.end();
    await net.run(2_000);
    expect(dialer.unsentBytes).toBe(0);
    acceptors[0]!.resume();
    await net.run(100);
    expect(ends).toEqual(["closed by the other side"]);
    expect(net.network.connections).toBe(0);
  });

  test("are half-open while a direction is stalled", async () => {
    const { net, dialer, chunks, ends, acceptors } = await streams();
    net.network.stall("x:1", "y:1");
    dialer.write([new Uint8Array(100)]);
    acceptors[0]!.destroy();
    await net.run(60_000);
    expect(chunks).toEqual([]);
    expect(ends).toEqual(["closed by the other side"]);
    net.network.heal("x:1", "y:1");
    await net.run(100);
    expect(net.network.connections).toBe(0);
    expect(net.network.underWay).toBe(0);
  });
});
