import { afterEach, describe, expect, test } from "vitest";
import { crc32 } from "../util/checksum.ts";
import { SeededRandom } from "../util/random.ts";
import type { TransportLimits } from "./link-context.ts";
import { ManualClock } from "./manual-clock.ts";
import { MemoryNetwork } from "./memory-streams.ts";
import { MemoryTransport } from "./memory-transport.ts";
import type { PeerMessage } from "./peer-message.ts";
import { StreamTransport } from "./stream-transport.ts";
import type { Streams } from "./streams.ts";
import { LIMITS } from "./samples-harness.ts";
import { RecordingHost } from "./transport-bench.ts";
import { transportSuite } from "./transport-suite.ts";
import type { TransportWorld } from "./transport-bench.ts";
import { RefusalCode } from "./transport.ts";

function world(fragment?: number): TransportWorld {
  const clock = new ManualClock();
  const network = new MemoryNetwork(
    fragment === undefined ? { clock } : { clock, fragment: new SeededRandom(fragment) },
  );
  let hosts = 0;
  return {
    create: (limits, listen = `h${++hosts}:0`) =>
      new MemoryTransport({
        network,
        listen,
        random: new SeededRandom(hosts),
        checksum: crc32,
        limits,
      }),
    until: async (condition, what) => {
      for (let turn = 0; turn < 2_000; turn++) {
        if (condition()) return;
        clock.advance(5);
        await Promise.resolve();
      }
      throw new Error(`not within 10 s: ${what}`);
    },
  };
}

describe("in memory", () => {
  for (const one of transportSuite(() => world())) test(one.name, () => one.run());
});

describe("in memory, with every write cut into pieces", () => {
  for (const one of transportSuite(() => world(4711))) test(one.name, () => one.run());
});

/** Two or more members on one network, connected in all directions. */
class Cluster {
  readonly clock: ManualClock = new ManualClock();
  readonly network: MemoryNetwork = new MemoryNetwork({ clock: this.clock });
  readonly hosts: Map<string, RecordingHost> = new Map();
  readonly transports: Map<string, MemoryTransport> = new Map();

  async open(ids: readonly string[], limits: Partial<TransportLimits> = {}): Promise<this> {
    for (const id of ids) {
      const host = new RecordingHost(id);
      const transport = new MemoryTransport({
        network: this.network,
        listen: `${id}:1`,
        random: new SeededRandom(7),
        checksum: crc32,
        limits: { ...LIMITS, ...limits },
      });
      await transport.listen(host);
      this.hosts.set(id, host);
      this.transports.set(id, transport);
    }
    for (const [id, transport] of this.transports) {
      const others = ids.filter((other) => other !== id);
      transport.setPeers(others.map((other) => ({ id: other, address: `${other}:1` })));
    }
    this.clock.advance(10);
    return this;
  }

  host(id: string): RecordingHost {
    return this.hosts.get(id)!;
  }

  transport(id: string): MemoryTransport {
    return this.transports.get(id)!;
  }

  send(from: string, to: string, round: number): boolean {
    const taken = this.transport(from).send(to, 0, {
      type: "heartbeat",
      term: 1,
      commit: 0,
      round,
    });
    this.transport(from).flush();
    return taken;
  }

  rounds(id: string): number[] {
    return this.host(id).received.map(({ message }) =>
      message.type === "heartbeat" ? message.round : -1,
    );
  }

  async close(): Promise<void> {
    for (const transport of this.transports.values()) await transport.close();
  }
}

let cluster = new Cluster();
afterEach(async () => {
  await cluster.close();
  // Nothing stays behind: no timer, and no connection once the last goodbyes have arrived.
  cluster.network.healAll();
  cluster.clock.advance(10_000);
  expect(cluster.clock.pending).toBe(0);
  expect(cluster.network.connections).toBe(0);
  cluster = new Cluster();
});

describe("a cut from a to b", () => {
  test("ends a's connection on both sides and leaves b's alone", async () => {
    await cluster.open(["a", "b"]);
    cluster.network.cut("a:1", "b:1");
    cluster.clock.advance(5_000);
    expect(cluster.host("a").disconnectedFrom).toEqual(["b"]);
    expect(cluster.send("a", "b", 1)).toBe(false);
    expect(cluster.send("b", "a", 2)).toBe(true);
    cluster.clock.advance(10);
    expect(cluster.rounds("a")).toEqual([2]);
    expect(cluster.host("b").disconnectedFrom).toEqual([]);
  });

  test("loses what was under way, and heals", async () => {
    await cluster.open(["a", "b"]);
    cluster.send("a", "b", 1);
    cluster.network.cut("a:1", "b:1");
    cluster.clock.advance(100);
    cluster.network.heal("a:1", "b:1");
    cluster.clock.advance(5);
    expect(cluster.send("a", "b", 2)).toBe(true);
    cluster.clock.advance(5);
    expect(cluster.rounds("b")).toEqual([2]);
    expect(cluster.host("a").connectedTo).toEqual(["b", "b"]);
  });
});

describe("half-open connections", () => {
  test("are dropped after three seconds without a pulse, and dialed anew", async () => {
    await cluster.open(["a", "b"]);
    cluster.network.stall("a:1", "b:1");
    for (let second = 1; second <= 2; second++) {
      cluster.send("a", "b", second);
      cluster.clock.advance(1_000);
    }
    expect(cluster.host("a").disconnectedFrom).toEqual([]);
    cluster.clock.advance(1_010);
    expect(cluster.host("a").disconnectedFrom).toEqual(["b"]);
    cluster.network.heal("a:1", "b:1");
    cluster.clock.advance(2_000);
    expect(cluster.send("a", "b", 9)).toBe(true);
    cluster.clock.advance(10);
    expect(cluster.rounds("b").at(-1)).toBe(9);
  });

  test("are not suspected while pulses come, or while nothing is sent", async () => {
    await cluster.open(["a", "b"]);
    for (let turn = 0; turn < 200; turn++) {
      cluster.send("a", "b", turn);
      cluster.clock.advance(100);
    }
    cluster.network.stall("b:1", "a:1");
    cluster.clock.advance(60_000);
    expect(cluster.host("a").disconnectedFrom).toEqual([]);
    expect(cluster.host("b").disconnectedFrom).toEqual([]);
  });

  test("are not suspected where the receiver has paused reading", async () => {
    await cluster.open(["a", "b"]);
    cluster.transport("b").pauseReads();
    for (let turn = 0; turn < 100; turn++) {
      expect(cluster.send("a", "b", turn)).toBe(true);
      cluster.clock.advance(100);
    }
    expect(cluster.rounds("b")).toEqual([]);
    cluster.transport("b").resumeReads();
    cluster.clock.advance(10);
    expect(cluster.rounds("b")).toHaveLength(100);
    expect(cluster.host("a").disconnectedFrom).toEqual([]);
  });
});

describe("reconnecting", () => {
  test("is immediate after a connection that lasted", async () => {
    await cluster.open(["a", "b"]);
    cluster.clock.advance(2_000);
    cluster.network.cut("a:1", "b:1");
    cluster.network.heal("a:1", "b:1");
    cluster.clock.advance(1);
    expect(cluster.host("a").connectedTo).toEqual(["b", "b"]);
  });

  test("backs off at random, up to a second, where the peer is not there", async () => {
    const { clock, network } = cluster;
    const dialedMs: number[] = [];
    const streams = network.streams("a:1");
    const watched: Streams = {
      listen: (address, events) => streams.listen(address, events),
      close: () => streams.close(),
      dial: (address, events) => {
        dialedMs.push(clock.nowMs());
        return streams.dial(address, events);
      },
    };
    const host = new RecordingHost("a");
    const transport = new StreamTransport({
      listen: "a:1",
      streams: watched,
      clock,
      random: new SeededRandom(3),
      checksum: crc32,
      limits: LIMITS,
    });
    await transport.listen(host);
    transport.setPeers([{ id: "b", address: "b:1" }]);
    clock.advance(60_000);
    const waits = dialedMs.slice(1).map((ms, i) => ms - dialedMs[i]!);
    waits.forEach((wait, i) => {
      const ceiling = Math.min(1_000, 20 * 2 ** (i + 1));
      expect(wait).toBeGreaterThanOrEqual(ceiling / 2);
      expect(wait).toBeLessThanOrEqual(ceiling + 1);
    });
    expect(new Set(waits).size).toBeGreaterThan(40);
    expect(host.problems).toEqual(["b:1: connection refused"]);
    await transport.close();
  });

  test("two members with one id do not spin", async () => {
    await cluster.open(["a", "b"]);
    const twin = new RecordingHost("a");
    const transport = new MemoryTransport({
      network: cluster.network,
      listen: "twin:1",
      random: new SeededRandom(1),
      checksum: crc32,
      limits: LIMITS,
    });
    await transport.listen(twin);
    transport.setPeers([{ id: "b", address: "b:1" }]);
    cluster.clock.advance(60_000);
    const connections = twin.connectedTo.length + cluster.host("a").connectedTo.length;
    expect(connections).toBeGreaterThan(10);
    expect(connections).toBeLessThan(300);
    await transport.close();
  });
});

describe("reports", () => {
  test("of a refusal come once a minute", async () => {
    await cluster.open(["a", "b"]);
    cluster.host("b").verdict = () => ({
      accept: false,
      code: RefusalCode.cluster,
      reason: "another cluster",
    });
    cluster.network.cut("a:1", "b:1");
    cluster.network.heal("a:1", "b:1");
    cluster.clock.advance(59_000);
    expect(cluster.host("b").refusals).toHaveLength(1);
    cluster.clock.advance(120_000);
    expect(cluster.host("b").refusals).toHaveLength(3);
    expect(cluster.host("a").refusals).toHaveLength(3);
  });
});

test("a delay keeps the order", async () => {
  await cluster.open(["a", "b"]);
  cluster.network.delay("a:1", "b:1", 50);
  cluster.send("a", "b", 1);
  cluster.clock.advance(49);
  expect(cluster.rounds("b")).toEqual([]);
  cluster.network.delay("a:1", "b:1", 0);
  cluster.send("a", "b", 2);
  cluster.clock.advance(5);
  expect(cluster.rounds("b")).toEqual([1, 2]);
});

test("a rule drops single messages, and the sender does not notice", async () => {
  await cluster.open(["a", "b", "c"]);
  const even = (message: PeerMessage): boolean =>
    message.type === "heartbeat" && message.round % 2 === 0;
  cluster.transport("a").dropWhen((to, _group, message) => to === "b" && even(message));
  for (let round = 1; round <= 4; round++) {
    expect(cluster.send("a", "b", round)).toBe(true);
    expect(cluster.send("a", "c", round)).toBe(true);
  }
  cluster.clock.advance(10);
  expect(cluster.rounds("b")).toEqual([1, 3]);
  expect(cluster.rounds("c")).toEqual([1, 2, 3, 4]);
});

test("what was queued when a connection ends does not leave over the next one", async () => {
  await cluster.open(["a", "b"]);
  const stale: PeerMessage = { type: "heartbeat", term: 1, commit: 0, round: 1 };
  expect(cluster.transport("a").send("b", 0, stale)).toBe(true);
  cluster.network.cut("a:1", "b:1");
  cluster.clock.advance(100);
  cluster.network.heal("a:1", "b:1");
  cluster.clock.advance(100);
  expect(cluster.transport("a").status()[0]).toMatchObject({ connected: true, queuedBytes: 0 });
  expect(cluster.send("a", "b", 2)).toBe(true);
  cluster.clock.advance(10);
  expect(cluster.rounds("b")).toEqual([2]);
});

test("a peer that connects while reading is paused waits like the others", async () => {
  await cluster.open(["a", "b"]);
  cluster.transport("b").pauseReads();
  cluster.network.cut("a:1", "b:1");
  cluster.clock.advance(100);
  cluster.network.heal("a:1", "b:1");
  cluster.clock.advance(100);
  expect(cluster.send("a", "b", 1)).toBe(true);
  cluster.clock.advance(10);
  expect(cluster.rounds("b")).toEqual([]);
  cluster.transport("b").resumeReads();
  cluster.clock.advance(10);
  expect(cluster.rounds("b")).toEqual([1]);
});

test("nothing is reported after close, whatever the network still says", async () => {
  await cluster.open(["a", "b"]);
  await cluster.transport("a").close();
  cluster.transport("a").trouble("too many open files");
  expect(cluster.host("a").problems).toEqual([]);
});

test("a host that drops a peer because it was refused is left in peace", async () => {
  await cluster.open(["a", "b"]);
  const { host, transport } = { host: cluster.host("a"), transport: cluster.transport("a") };
  for (const by of ["us", "them"]) {
    const no = { accept: false, code: RefusalCode.cluster, reason: `by ${by}` } as const;
    transport.setPeers([]);
    cluster.clock.advance(60_000);
    const refuser = by === "us" ? host : cluster.host("b");
    refuser.verdict = () => no;
    host.refused = () => transport.setPeers([]);
    const judged = cluster.host("b").judged;
    transport.setPeers([{ id: "b", address: "b:1" }]);
    cluster.clock.advance(30_000);
    expect(transport.status()).toEqual([]);
    expect(cluster.host("b").judged).toBe(judged + 1);
    refuser.verdict = () => ({ accept: true });
  }
});

test("a host may close or change its peers from within any callback", async () => {
  await cluster.open(["a", "b", "c"]);
  const { host, transport } = { host: cluster.host("a"), transport: cluster.transport("a") };
  host.disconnected = () => transport.setPeers([]);
  cluster.network.cut("a:1", "b:1");
  cluster.clock.advance(5_000);
  expect(transport.status()).toEqual([]);
  const verdict = cluster.host("b");
  verdict.judge = () => {
    void cluster.transport("b").close();
    return { accept: true };
  };
  cluster.network.healAll();
  transport.setPeers([{ id: "b", address: "b:1" }]);
  cluster.clock.advance(5_000);
  expect(host.connectedTo.filter((id) => id === "b")).toHaveLength(1);
  expect(cluster.transport("b").inbound.connections).toBe(0);
});
