import { describe, expect, test } from "vitest";
import { votersOnly } from "../core/configuration.ts";
import { encodeConfiguration } from "../core/configuration-codec.ts";
import { EntryKind, packEntries } from "../core/entry.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import { transportSuite } from "../transport/transport-suite.ts";
import { MessageNetwork } from "./message-network.ts";
import { NetworkWorld } from "./network-harness.ts";
import type { NetworkOptions } from "./options.ts";

function world(options: Partial<NetworkOptions> = {}, seed = 1): NetworkWorld {
  return new NetworkWorld((context) => new MessageNetwork(context), options, seed);
}

/** A thousand heartbeats from a to b, one every 5 ms; the rounds as they arrived. */
async function thousand(options: Partial<NetworkOptions>): Promise<number[]> {
  const net = await world(options).open("a", "b");
  for (let round = 0; round < 1_000; round++) {
    net.send("a", "b", round);
    await net.run(5);
  }
  await net.run(1_000);
  expect(net.network.underWay).toBe(0);
  expect(net.at("a").transport.status()[0]?.queuedBytes).toBe(0);
  return net.rounds("b");
}

const sorted = (rounds: readonly number[]): number[] => rounds.toSorted((x, y) => x - y);
const inversions = (rounds: readonly number[]): number =>
  rounds.filter((round, i) => i > 0 && round < rounds[i - 1]!).length;

const { bytes: entries, count } = packEntries([
  { kind: EntryKind.command, payload: Uint8Array.of(1) },
]);
const forward = (request: number): PeerMessage => ({
  type: "forward",
  request,
  deadlineMs: 9,
  entries,
  count,
});
const member = { id: "a", address: "a:1", incarnation: "1f".repeat(16) };
const formation: PeerMessage = {
  type: "formation",
  configuration: encodeConfiguration(votersOnly([member])),
};

describe("what every transport does", () => {
  for (const one of transportSuite(() => world().suiteWorld())) test(one.name, () => one.run());
});

describe("single messages", () => {
  test("all arrive in order where nothing is asked for", async () => {
    const rounds = await thousand({});
    expect(rounds).toEqual(Array.from({ length: 1_000 }, (_, i) => i));
  });

  test("are lost as often as asked for", async () => {
    const rounds = await thousand({ lossShare: 100 });
    expect(rounds.length).toBeGreaterThan(860);
    expect(rounds.length).toBeLessThan(940);
    expect(inversions(rounds)).toBe(0);
  });

  test("are doubled as often as asked for", async () => {
    const rounds = await thousand({ duplicateShare: 100 });
    expect(new Set(rounds).size).toBe(1_000);
    expect(rounds.length).toBeGreaterThan(1_060);
    expect(rounds.length).toBeLessThan(1_140);
  });

  test("are overtaken where they draw a long time", async () => {
    const delay = { minUs: 100, maxUs: 2_000, tailShare: 100, tailMaxUs: 100_000 };
    const rounds = await thousand({ delay });
    expect(inversions(rounds)).toBeGreaterThan(60);
    expect(inversions(rounds)).toBeLessThan(140);
    expect(sorted(rounds)).toEqual(Array.from({ length: 1_000 }, (_, i) => i));
  });

  test("are neither lost nor doubled any more after the healing", async () => {
    const net = await world({ lossShare: 300, duplicateShare: 300 }).open("a", "b");
    net.network.healAll();
    for (let round = 0; round < 200; round++) net.send("a", "b", round);
    await net.run(100);
    expect(net.rounds("b")).toEqual(Array.from({ length: 200 }, (_, i) => i));
  });

  test("are lost as before once the paths alone are healed", async () => {
    const net = await world({ lossShare: 300 }).open("a", "b");
    net.network.cut("a:1", "b:1");
    net.network.healPaths();
    for (let round = 0; round < 200; round++) net.send("a", "b", round);
    await net.run(100);
    expect(net.rounds("b").length).toBeGreaterThan(100);
    expect(net.rounds("b").length).toBeLessThan(180);
  });

  test("of one turn keep their order over a path that becomes faster", async () => {
    const net = await world().open("a", "b");
    net.network.slow("a:1", "b:1", 50_000);
    net.send("a", "b", 1);
    net.network.slow("a:1", "b:1", 0);
    net.send("a", "b", 2, 3);
    await net.run(100);
    expect(net.rounds("b")).toEqual([1, 2, 3]);
  });
});

describe("messages that are not the core's", () => {
  const ROUGH = {
    delay: { minUs: 100, maxUs: 2_000, tailShare: 300, tailMaxUs: 100_000 },
    lossShare: 200,
    duplicateShare: 200,
  };

  test("come once, in order, and before what is sent later", async () => {
    const net = await world(ROUGH).open("a", "b");
    const { transport } = net.at("a");
    for (let request = 0; request < 300; request++) {
      transport.send("b", 0, { type: "transfer-request", request, target: "" });
      net.send("a", "b", request);
      await net.run(3);
    }
    await net.run(500);
    const seen = new Set<number>();
    const requests: number[] = [];
    for (const { message } of net.at("b").host.received) {
      if (message.type === "transfer-request") {
        seen.add(message.request);
        requests.push(message.request);
      } else if (message.type === "heartbeat") {
        expect(seen.has(message.round)).toBe(true);
      }
    }
    expect(requests).toEqual(Array.from({ length: 300 }, (_, i) => i));
  });

  test("but forwards may be lost and come twice: sessions sort them out", async () => {
    const net = await world(ROUGH).open("a", "b");
    const { transport } = net.at("a");
    for (let request = 0; request < 300; request++) {
      transport.send("b", 0, forward(request));
      transport.flush();
      await net.run(3);
    }
    await net.run(500);
    const requests: number[] = [];
    for (const { message } of net.at("b").host.received) {
      if (message.type === "forward") requests.push(message.request);
    }
    const seen = new Set(requests);
    expect(seen.size).toBeLessThan(280);
    expect(requests.length).toBeGreaterThan(seen.size + 20);
    expect(net.at("a").host.disconnectedFrom).toEqual([]);
  });

  test("take the connection with them when a cut loses them, however short", async () => {
    const net = await world().open("a", "b");
    net.network.cut("a:1", "b:1");
    net.at("a").transport.send("b", 0, formation);
    net.at("a").transport.flush();
    await net.run(10);
    net.network.heal("a:1", "b:1");
    await net.run(5_000);
    expect(net.at("a").host.disconnectedFrom).toEqual(["b"]);
    expect(net.at("a").host.connectedTo).toEqual(["b", "b"]);
    net.at("a").transport.send("b", 0, formation);
    net.at("a").transport.flush();
    await net.run(10);
    expect(net.at("b").host.received).toHaveLength(1);
  });
});

test("messages of a short cut are lost, and the connection stays", async () => {
  const net = await world().open("a", "b");
  net.network.cut("a:1", "b:1");
  net.send("a", "b", 1);
  await net.run(1_000);
  net.network.heal("a:1", "b:1");
  net.send("a", "b", 2);
  await net.run(5_000);
  expect(net.rounds("b")).toEqual([2]);
  expect(net.at("a").host.disconnectedFrom).toEqual([]);
});

test("what comes over a connection that was replaced is not taken", async () => {
  const net = await world().open("a", "b");
  net.network.slow("a:1", "b:1", 500_000);
  net.send("a", "b", 1);
  net.network.slow("a:1", "b:1", 0);
  net.at("a").transport.setPeers([]);
  net.dial("a");
  await net.run(100);
  net.send("a", "b", 2);
  await net.run(1_000);
  expect(net.rounds("b")).toEqual([2]);
  expect(net.at("a").host.disconnectedFrom).toEqual(["b"]);
});
