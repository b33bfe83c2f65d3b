/**
 * Whoever can reach the port: garbage, cut, damaged, oversized, slow and too many. Each costs its
 * own connection and a reported reason, and nothing else: the good peer beside it goes on.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { writeU32 } from "../util/bytes.ts";
import { crc32 } from "../util/checksum.ts";
import { SeededRandom } from "../util/random.ts";
import { encodeFrame } from "./codec.ts";
import { emptyFrame, FRAME_HEAD_BYTES, FrameKind } from "./frame.ts";
import { encodeAccept, encodeHello, encodeRefusal, HELLO_BYTES_MAX } from "./hello.ts";
import type { TransportLimits } from "./link-context.ts";
import { ManualClock } from "./manual-clock.ts";
import { MemoryNetwork } from "./memory-streams.ts";
import { MemoryTransport } from "./memory-transport.ts";
import { helloOf, LIMITS, SAMPLES } from "./samples-harness.ts";
import type { ByteStream } from "./streams.ts";
import { RecordingHost } from "./transport-bench.ts";

/** A connection to the victim, made by hand. */
class Stranger {
  readonly received: Uint8Array[] = [];
  closed: string | undefined;
  readonly stream: ByteStream;

  constructor(network: MemoryNetwork, from = "stranger:1") {
    this.stream = network.streams(from).dial("victim:1", {
      opened: () => {},
      received: (chunk) => this.received.push(chunk),
      closed: (reason) => {
        this.closed = reason;
      },
    });
  }

  say(...chunks: readonly Uint8Array[]): this {
    this.stream.write(chunks);
    return this;
  }
}

const hello = encodeHello({ hello: helloOf("stranger"), target: "victim" }, crc32);
const probe = encodeFrame(0, SAMPLES[6]![1], crc32);

let clock: ManualClock;
let network: MemoryNetwork;
let victim: { host: RecordingHost; transport: MemoryTransport };
let friend: { host: RecordingHost; transport: MemoryTransport };
let round = 0;

async function member(id: string, limits: Partial<TransportLimits> = {}) {
  const host = new RecordingHost(id);
  const transport = new MemoryTransport({
    network,
    listen: `${id}:1`,
    random: new SeededRandom(1),
    checksum: crc32,
    limits: { ...LIMITS, ...limits },
  });
  await transport.listen(host);
  return { host, transport };
}

/** Shows that the friend's connection works, and was never lost. */
function expectOthersUnharmed(): void {
  round++;
  friend.transport.send("victim", 0, { type: "heartbeat", term: 1, commit: 0, round });
  friend.transport.flush();
  clock.advance(10);
  const last = victim.host.received.at(-1);
  expect(last).toEqual({
    from: "friend",
    group: 0,
    message: { type: "heartbeat", term: 1, commit: 0, round },
  });
  expect(friend.host.disconnectedFrom).toEqual([]);
}

/** What the victim says of a connection over which this came. */
function reasonFor(...chunks: readonly Uint8Array[]): string | undefined {
  clock.advance(60_000);
  const before = victim.host.problems.length;
  const stranger = new Stranger(network);
  clock.advance(10);
  stranger.say(...chunks);
  clock.advance(10);
  const reported = victim.host.problems.slice(before);
  expect(reported.length).toBeLessThanOrEqual(1);
  expect(stranger.closed !== undefined).toBe(reported.length === 1);
  stranger.stream.destroy();
  clock.advance(10);
  return reported[0]?.replace(/^stranger:1: /, "");
}

async function start(limits: Partial<TransportLimits> = {}): Promise<void> {
  clock = new ManualClock();
  network = new MemoryNetwork({ clock });
  victim = await member("victim", limits);
  friend = await member("friend");
  friend.transport.setPeers([{ id: "victim", address: "victim:1" }]);
  clock.advance(10);
  expectOthersUnharmed();
}

beforeEach(() => start());

afterEach(async () => {
  expectOthersUnharmed();
  await victim.transport.close();
  await friend.transport.close();
  clock.advance(10_000);
  expect(clock.pending).toBe(0);
});

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const damaged = bytes.slice();
  damaged[bit >> 3] = damaged[bit >> 3]! ^ (1 << (bit & 7));
  return damaged;
}

describe("before the hello", () => {
  test("a foreign protocol is named", () => {
    const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
    expect(reasonFor(ascii("GET /status HTTP/1.1\r\n\r\n"))).toContain("looks like HTTP");
    expect(reasonFor(Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0))).toContain("looks like TLS");
    expect(reasonFor(ascii("SSH-2.0-OpenSSH_9.6\r\n"))).toBe(
      "not a Quorate peer: first bytes 53 53 48 2d 32 2e 30 2d",
    );
  });

  test("random garbage ends at its first wrong byte", () => {
    const random = new SeededRandom(99);
    for (let i = 0; i < 200; i++) {
      const garbage = Uint8Array.from({ length: 1 + random.below(300) }, () => random.below(256));
      expect(reasonFor(garbage)).toMatch(/^not a Quorate peer: first bytes /);
    }
  });

  test("a hello damaged in any bit is refused with a reason", () => {
    for (let bit = 0; bit < hello.length * 8; bit++) {
      expect(reasonFor(flipped(hello, bit)), `bit ${bit}`).toMatch(/frame|Quorate/);
    }
    expect(victim.host.judged).toBe(1);
  });

  test("a hello cut at any byte waits, and is given up after helloTimeoutMs", () => {
    for (let length = 0; length < hello.length; length += 7) {
      const stranger = new Stranger(network);
      clock.advance(10);
      stranger.say(hello.subarray(0, length));
      clock.advance(LIMITS.helloTimeoutMs - 20);
      expect(stranger.closed).toBeUndefined();
      clock.advance(20);
      expect(stranger.closed).toBeDefined();
    }
    expect(new Set(victim.host.problems)).toEqual(new Set(["stranger:1: no hello within 5000 ms"]));
    expect(victim.transport.problems).toBe(Math.ceil(hello.length / 7));
  });

  test("a hello that drips in byte by byte gets no more time than that", () => {
    const stranger = new Stranger(network);
    for (let at = 0; at < hello.length && stranger.closed === undefined; at++) {
      stranger.say(hello.subarray(at, at + 1));
      clock.advance(100);
    }
    expect(stranger.closed).toBeDefined();
    expect(victim.host.problems).toEqual(["stranger:1: no hello within 5000 ms"]);
  });

  test("a frame larger than a hello may be is refused at its head", () => {
    const head = hello.slice(0, FRAME_HEAD_BYTES);
    for (const size of [HELLO_BYTES_MAX, 20_971_520, 0xffff_ffff]) {
      writeU32(head, 12, size);
      writeU32(head, 24, crc32(head.subarray(0, 24)));
      expect(reasonFor(head)).toBe(`frame of ${size + FRAME_HEAD_BYTES} bytes, allowed are 1024`);
      expect(victim.transport.inbound.heldBytes).toBe(0);
    }
  });

  test("any other frame is out of place", () => {
    expect(reasonFor(probe)).toBe("frame of kind 20 before the hello");
    expect(reasonFor(emptyFrame(FrameKind.pulse, crc32))).toBe("frame of kind 4 before the hello");
    const accept = encodeAccept({ version: 2, hello: helloOf("stranger") }, crc32);
    expect(reasonFor(accept)).toBe("frame of kind 2 before the hello");
  });

  test("a connection that says nothing and goes is reported as that", () => {
    const stranger = new Stranger(network);
    clock.advance(10);
    stranger.stream.destroy();
    clock.advance(10);
    expect(victim.host.problems).toEqual(["stranger:1: no hello: closed by the other side"]);
  });
});

describe("after the hello", () => {
  test("a message damaged in any bit ends the connection with a reason", () => {
    for (let bit = 0; bit < probe.length * 8; bit++) {
      expect(reasonFor(hello, flipped(probe, bit)), `bit ${bit}`).toBeDefined();
    }
    expect(victim.host.received.every(({ from }) => from === "friend")).toBe(true);
  });

  test("a message cut at any byte never arrives", () => {
    for (let length = 0; length < probe.length; length++) {
      expect(reasonFor(hello, probe.subarray(0, length))).toBeUndefined();
    }
    expect(victim.host.received.every(({ from }) => from === "friend")).toBe(true);
  });

  test("what came before the damage counts, what comes after does not", () => {
    expect(reasonFor(hello, probe, flipped(probe, 900), probe)).toBeDefined();
    expect(victim.host.received.filter(({ from }) => from === "stranger")).toHaveLength(1);
  });

  test("an announced 4 GiB allocates nothing", () => {
    const head = probe.slice(0, FRAME_HEAD_BYTES);
    writeU32(head, 16, 0xffff_ffff);
    writeU32(head, 24, crc32(head.subarray(0, 24)));
    expect(reasonFor(hello, head)).toContain("allowed are 20971520");
    expect(victim.transport.inbound.heldBytes).toBe(0);
  });

  test("handshake frames and unknown kinds are out of place", () => {
    expect(reasonFor(hello, hello)).toBe("frame of unknown kind 1");
    expect(reasonFor(hello, emptyFrame(FrameKind.pulse, crc32))).toBe("frame of unknown kind 4");
  });

  test("one that never reads gets its pulses no faster than they leave", () => {
    const stranger = new Stranger(network);
    clock.advance(10);
    stranger.say(hello);
    clock.advance(10);
    stranger.stream.pause();
    for (let second = 0; second < 100; second++) {
      stranger.say(probe);
      clock.advance(1_000);
    }
    stranger.stream.resume();
    clock.advance(10);
    const bytes = stranger.received.reduce((sum, chunk) => sum + chunk.length, 0);
    expect(bytes).toBeLessThan(HELLO_BYTES_MAX + 2 * FRAME_HEAD_BYTES);
    stranger.stream.destroy();
  });
});

describe("too many", () => {
  beforeEach(async () => {
    await victim.transport.close();
    await friend.transport.close();
    await start({ connectionsMax: 8 });
  });

  test("strangers make room for each other and for peers", async () => {
    const strangers = Array.from({ length: 50 }, (_, i) => new Stranger(network, `s${i}:1`));
    clock.advance(10);
    expect(victim.transport.inbound.connections).toBe(8);
    expect(strangers.filter((one) => one.closed === undefined)).toHaveLength(7);
    const late = await member("late");
    late.transport.setPeers([{ id: "victim", address: "victim:1" }]);
    clock.advance(10);
    expect(late.host.connectedTo).toEqual(["victim"]);
    await late.transport.close();
    for (const one of strangers) one.stream.destroy();
    clock.advance(10);
    expect(victim.transport.inbound.connections).toBe(1);
  });

  test("where all have said hello the next one is told that there is no room", () => {
    const peers = Array.from({ length: 7 }, (_, i) => {
      const peer = new Stranger(network, `s${i}:1`);
      clock.advance(5);
      return peer.say(encodeHello({ hello: helloOf(`s${i}`), target: "victim" }, crc32));
    });
    clock.advance(10);
    const late = new Stranger(network, "late:1");
    clock.advance(10);
    const reason = "8 connections are open already";
    expect(late.received).toEqual([encodeRefusal({ code: 8, reason }, crc32)]);
    expect(late.closed).toBeDefined();
    expect(peers.every((peer) => peer.closed === undefined)).toBe(true);
    for (const peer of peers) peer.stream.destroy();
  });

  test("different complaints do not fill the log either", () => {
    for (let i = 0; i < 1_000; i++) {
      const stranger = new Stranger(network, `s${i}:1`);
      stranger.say(Uint8Array.of(i & 0xff, i >> 8, 9, 9));
      clock.advance(10);
      stranger.stream.destroy();
    }
    clock.advance(10);
    expect(victim.transport.problems).toBe(1_000);
    expect(victim.host.problems).toHaveLength(256);
  });
});

describe("a listener that is not one of ours", () => {
  /** What the friend says after dialing somebody who answers with these bytes. */
  async function answered(...answers: readonly Uint8Array[]): Promise<readonly string[]> {
    const streams = network.streams("odd:1");
    await streams.listen("odd:1", {
      accepted: (stream) => {
        return { opened: () => {}, closed: () => {}, received: () => stream.write(answers) };
      },
      trouble: () => {},
    });
    const dialer = await member("dialer");
    dialer.transport.setPeers([{ id: "odd", address: "odd:1" }]);
    clock.advance(4_000);
    const { problems } = dialer.host;
    expect(dialer.host.connectedTo).toEqual([]);
    await dialer.transport.close();
    await streams.close();
    clock.advance(10);
    return problems;
  }

  test("is given up with a reason, whatever it answers", async () => {
    const html = new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n");
    expect((await answered(html))[0]).toContain("not a Quorate peer: first bytes 48 54 54 50");
    const other = encodeAccept({ version: 3, hello: helloOf("odd") }, crc32);
    expect((await answered(other))[0]).toContain("version 3, which was not offered");
    expect((await answered(probe))[0]).toContain("kind 20 out of place");
    expect((await answered(emptyFrame(FrameKind.pulse, crc32)))[0]).toContain("out of place");
    expect((await answered())[0]).toBe("odd:1: no answer within 3000 ms");
    for (let bit = 0; bit < other.length * 8; bit += 13) {
      expect(await answered(flipped(other, bit))).not.toEqual([]);
    }
  });
});
