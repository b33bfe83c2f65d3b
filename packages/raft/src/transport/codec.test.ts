import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EntryKind, packEntries } from "../core/entry.ts";
import { BytesError, ByteWriter, fromHex, toHex, writeU32 } from "../util/bytes.ts";
import { crc32 } from "../util/checksum.ts";
import { decodeMessage, encodeFrame } from "./codec.ts";
import { FRAME_HEAD_BYTES, FrameDecoder, FrameKind } from "./frame.ts";
import {
  decodeAccept,
  decodeHello,
  decodeRefusal,
  encodeAccept,
  encodeHello,
  encodeRefusal,
} from "./hello.ts";
import type { PeerMessage } from "./peer-message.ts";
import { batch, command, frameOf, helloOf, SAMPLES } from "./samples-harness.ts";

const GOLDEN = new URL("golden/frames-v4.txt", import.meta.url);
const GROUP = 9;
const NOTHING: Uint8Array = new Uint8Array(0);

function decode(bytes: Uint8Array): { group: number; message: PeerMessage } {
  const decoder = new FrameDecoder(crc32, 1 << 24);
  decoder.push(bytes);
  expect(decoder.next()).toBe(true);
  const message = decodeMessage(decoder, crc32);
  const { group } = decoder;
  expect(decoder.next()).toBe(false);
  return { group, message };
}

/** The message and body part of a frame that `encodeFrame` made. */
function parts(message: PeerMessage): { kind: number; message: Uint8Array; body: Uint8Array } {
  const decoder = new FrameDecoder(crc32, 1 << 24);
  decoder.push(encodeFrame(0, message, crc32));
  decoder.next();
  return { kind: decoder.kind, message: decoder.message.slice(), body: decoder.body.slice() };
}

function refuses(kind: number, message: Uint8Array, body: Uint8Array = NOTHING): string {
  try {
    decodeMessage(frameOf(kind, message, body), crc32);
  } catch (error) {
    expect(error).toBeInstanceOf(BytesError);
    return (error as Error).message;
  }
  return "accepted";
}

describe("golden frames", () => {
  const handshake: [string, Uint8Array][] = [
    ["hello", encodeHello({ hello: helloOf("n1"), target: "n2" }, crc32)],
    ["accept", encodeAccept({ version: 2, hello: helloOf("n2") }, crc32)],
    ["refusal", encodeRefusal({ code: 2, reason: "another cluster" }, crc32)],
  ];
  const frames = [
    ...handshake,
    ...SAMPLES.map(([name, message]) => [name, encodeFrame(GROUP, message, crc32)] as const),
  ];

  test("every message has the bytes that it had in protocol version 4", async () => {
    const text = frames.map(([name, bytes]) => `${name}\n${toHex(bytes)}\n`).join("\n");
    await expect(text).toMatchFileSnapshot(GOLDEN.pathname);
  });

  test("and the golden bytes are read back as those messages", () => {
    const blocks = readFileSync(GOLDEN, "utf8").trim().split("\n\n").slice(handshake.length);
    expect(blocks).toHaveLength(SAMPLES.length);
    blocks.forEach((block, i) => {
      const [name, hex] = block.split("\n");
      expect(name).toBe(SAMPLES[i]![0]);
      expect(decode(fromHex(hex!))).toEqual({ group: GROUP, message: SAMPLES[i]![1] });
    });
  });
});

describe("every message", () => {
  const u64 = fc.oneof(fc.nat(), fc.maxSafeNat());
  const term = u64.map((value) => Math.max(1, value));
  const id = fc.stringMatching(/^[A-Za-z0-9._:[\]-]{1,64}$/);
  const packed = fc
    .array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 5 })
    .map((payloads) => packEntries(payloads.map(command)));
  const append = fc
    .record({
      prev: fc.tuple(fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: 1, max: 9 })),
      sizes: fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.nat(3)), { maxLength: 6 }),
      commit: u64,
    })
    .map(({ prev: [prevIndex, prevTerm], sizes, commit }): PeerMessage => {
      let next = prevIndex + 1;
      let at = prevTerm;
      const batches = sizes.map(([count, rise]) => {
        at += rise;
        next += count;
        return batch(
          at,
          next - count,
          Array.from({ length: count }, (_, i) => `${commit} ${i}`),
        );
      });
      return { type: "append-entries", term: at, prevIndex, prevTerm, commit, batches };
    });
  const message: fc.Arbitrary<PeerMessage> = fc.oneof(
    append,
    fc.record({ type: fc.constant("commit-notice" as const), term, commit: u64 }),
    fc.record({ type: fc.constant("heartbeat" as const), term, commit: u64, round: u64 }),
    fc.record({
      type: fc.constant("heartbeat-response" as const),
      term: u64,
      round: u64,
      health: fc.constantFrom("ok" as const, "late" as const, "full" as const, "stalled" as const),
    }),
    fc.record({ type: fc.constant("resign" as const), term }),
    fc.record({
      type: fc.constant("append-entries-response" as const),
      term: u64,
      success: fc.boolean(),
      index: u64,
      hintIndex: u64,
      hintTerm: u64,
    }),
    fc.record({
      type: fc.constant("read-index-response" as const),
      term: u64,
      token: u64,
      ok: fc.boolean(),
      index: u64,
    }),
    fc.tuple(u64, fc.nat(), packed).map(([request, deadlineMs, { bytes, count }]): PeerMessage => ({
      type: "forward",
      request,
      deadlineMs,
      entries: bytes,
      count,
    })),
    fc.record({
      type: fc.constant("forward-response" as const),
      request: u64,
      status: fc.constantFrom("appended", "not-leader", "overloaded", "expired"),
      firstIndex: u64,
      term: u64,
      leader: fc.oneof(id, fc.constant("")),
    }),
  );

  test("comes back as it was", () => {
    fc.assert(
      fc.property(message, fc.integer({ min: 0, max: 0xffff_ffff }), (value, group) => {
        expect(decode(encodeFrame(group, value, crc32))).toEqual({ group, message: value });
      }),
      { numRuns: 300 },
    );
  });

  test.each(SAMPLES)("is refused when cut at any byte or followed by one: %s", (_, sample) => {
    const { kind, message, body } = parts(sample);
    for (let length = 0; length < message.length; length++) {
      expect(refuses(kind, message.subarray(0, length), body)).not.toBe("accepted");
    }
    for (let length = 0; length < body.length; length++) {
      expect(refuses(kind, message, body.subarray(0, length))).not.toBe("accepted");
    }
    const longer = (bytes: Uint8Array): Uint8Array => new Uint8Array([...bytes, 0]);
    expect(refuses(kind, longer(message), body)).not.toBe("accepted");
    expect(refuses(kind, message, longer(body))).not.toBe("accepted");
  });

  test("that is garbage throws BytesError and nothing else", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 40 }),
        fc.uint8Array({ maxLength: 80 }),
        fc.uint8Array({ maxLength: 120 }),
        (kind, garbage, body) => {
          refuses(kind, garbage, body);
          for (const read of [decodeHello, decodeRefusal]) {
            expect(() => {
              try {
                read(frameOf(kind, garbage, body));
              } catch (error) {
                if (!(error instanceof BytesError)) throw error;
              }
            }).not.toThrow();
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("decoding refuses", () => {
  const bytes = (...fields: readonly (readonly [8 | 32 | 64, number])[]): Uint8Array => {
    const writer = new ByteWriter();
    for (const [bits, value] of fields) {
      if (bits === 8) writer.u8(value);
      else if (bits === 32) writer.u32(value);
      else writer.u64(value);
    }
    return writer.copy();
  };
  const append = (fields: Partial<Extract<PeerMessage, { type: "append-entries" }>>): string => {
    const made = parts({
      type: "append-entries",
      term: 4,
      prevIndex: 9,
      prevTerm: 3,
      commit: 8,
      batches: [],
      ...fields,
    });
    return refuses(made.kind, made.message, made.body);
  };

  test("an unknown kind", () => {
    expect(refuses(99, new Uint8Array(0))).toBe("frame of unknown kind 99");
    expect(refuses(FrameKind.hello, new Uint8Array(0))).toBe("frame of unknown kind 1");
  });

  test("a body where none belongs", () => {
    const { kind, message } = parts({ type: "heartbeat", term: 1, commit: 0, round: 0 });
    expect(refuses(kind, message, new Uint8Array(1))).toBe("a body in a frame of kind 22");
  });

  test("integers above 2^53", () => {
    const message = bytes([64, 1], [64, 1], [64, 1]);
    message[23] = 0x20;
    expect(refuses(FrameKind.heartbeat, message)).toContain("above 2^53");
  });

  test("flags that are neither 0 nor 1", () => {
    expect(refuses(FrameKind.preVoteResponse, bytes([64, 1], [8, 2]))).toBe("flag of value 2");
  });

  test("a leader or candidate of term 0", () => {
    for (const kind of [FrameKind.preVote, FrameKind.requestVote, FrameKind.heartbeat]) {
      expect(refuses(kind, new Uint8Array(40))).toContain("term 0");
    }
  });

  test("positions that no log has", () => {
    expect(refuses(FrameKind.preVote, bytes([64, 3], [64, 0], [64, 1]))).toContain("0@1");
    expect(refuses(FrameKind.preVote, bytes([64, 3], [64, 1], [64, 0]))).toContain("1@0");
    expect(refuses(FrameKind.preVote, bytes([64, 3], [64, 1], [64, 4]))).toContain("1@4 in term 3");
    expect(append({ prevIndex: Number.MAX_SAFE_INTEGER })).toContain("no entry can be");
  });

  test("batches that do not follow each other", () => {
    expect(append({ batches: [batch(4, 11, ["x"])] })).toContain("where index 10 should come");
    expect(append({ batches: [batch(4, 10, ["x", "y"]), batch(4, 11, ["z"])] })).toContain(
      "where index 12 should come",
    );
  });

  test("batches whose terms fall, or pass the leader's", () => {
    expect(append({ batches: [batch(2, 10, ["x"])] })).toContain("between terms 3 and 4");
    expect(append({ batches: [batch(5, 10, ["x"])] })).toContain("between terms 3 and 4");
    expect(append({ batches: [batch(4, 10, ["x"]), batch(3, 11, ["y"])] })).toContain(
      "between terms 4 and 4",
    );
  });

  test("a batch count that the message has no room for, without reserving for it", () => {
    const { kind, message } = parts(SAMPLES[5]![1]);
    writeU32(message, 32, 0xffff_ffff);
    expect(refuses(kind, message)).toBe("batches and their list disagree");
  });

  test("a flipped bit anywhere in a batch body", () => {
    const { kind, message, body } = parts(SAMPLES[6]![1]);
    for (let at = 0; at < body.length; at++) {
      const damaged = body.slice();
      damaged[at] = damaged[at]! ^ (1 << (at % 8));
      expect(refuses(kind, message, damaged)).toBe("batch body fails its CRC");
    }
  });

  test("forwarded entries that are no commands, or not as many as announced", () => {
    const forward = (kind: EntryKind, count: number): string => {
      const { bytes: entries } = packEntries([{ kind, payload: new Uint8Array(3) }]);
      const made = parts({ type: "forward", request: 1, deadlineMs: 1, entries, count });
      return refuses(made.kind, made.message, made.body);
    };
    expect(forward(EntryKind.command, 1)).toBe("accepted");
    expect(forward(EntryKind.configuration, 1)).toBe("forwarded entry is no command");
    expect(forward(EntryKind.noop, 1)).toBe("forwarded entry is no command");
    expect(forward(EntryKind.command, 2)).toContain("1 entries where 2 were announced");
    expect(forward(EntryKind.command, 0)).toBe("forward without entries");
  });

  test("a formation that is no configuration", () => {
    const configuration = new Uint8Array([3, 0, 0, 0]);
    const made = parts({ type: "formation", configuration });
    expect(refuses(made.kind, made.message, made.body)).toBe("configuration of version 3");
  });

  test("a status or leader that cannot be", () => {
    const tail = bytes([64, 1], [64, 1], [8, 0], [8, 0]);
    const withStatus = (status: number): Uint8Array =>
      new Uint8Array([...bytes([64, 5], [8, status]), ...tail]);
    expect(refuses(FrameKind.forwardResponse, withStatus(3))).toBe("accepted");
    expect(refuses(FrameKind.forwardResponse, withStatus(5))).toBe("accepted");
    expect(refuses(FrameKind.forwardResponse, withStatus(6))).toContain("status 6");
    const health = (code: number): Uint8Array => bytes([64, 1], [64, 1], [8, code]);
    expect(refuses(FrameKind.heartbeatResponse, health(3))).toBe("accepted");
    expect(refuses(FrameKind.heartbeatResponse, health(4))).toContain("health 4");
    const made = parts(SAMPLES[14]![1]);
    made.message[made.message.length - 1] = 0x20;
    expect(refuses(made.kind, made.message)).toContain("cannot be a member id");
  });
});

test("deadlines are rounded down and stay within their field", () => {
  const { bytes: entries, count } = packEntries([command("x")]);
  const across = (deadlineMs: number): unknown => {
    const frame = encodeFrame(
      0,
      { type: "forward", request: 1, deadlineMs, entries, count },
      crc32,
    );
    return (decode(frame).message as { deadlineMs: number }).deadlineMs;
  };
  expect(across(12.9)).toBe(12);
  expect(across(-1)).toBe(0);
  expect(across(1e12)).toBe(0xffff_ffff);
});

describe("handshake frames", () => {
  const whole = (bytes: Uint8Array): Uint8Array => bytes.subarray(FRAME_HEAD_BYTES);

  test("come back as they were", () => {
    const greeting = { hello: helloOf("n1", { protocolMax: 7 }), target: "n2" };
    expect(decodeHello(frameOf(1, whole(encodeHello(greeting, crc32))))).toEqual(greeting);
    const acceptance = { version: 2, hello: helloOf("n2") };
    const accept = frameOf(2, whole(encodeAccept(acceptance, crc32)));
    expect(decodeAccept(accept, helloOf("n1"))).toEqual(acceptance);
  });

  test("ignore what a later version appends", () => {
    const greeting = { hello: helloOf("n1"), target: "" };
    const later = new Uint8Array([...whole(encodeHello(greeting, crc32)), 1, 2, 3]);
    expect(decodeHello(frameOf(1, later))).toEqual(greeting);
  });

  test("are refused when cut at any byte", () => {
    const hello = whole(encodeHello({ hello: helloOf("n1"), target: "n2" }, crc32));
    for (let length = 0; length < hello.length; length++) {
      expect(() => decodeHello(frameOf(1, hello.subarray(0, length)))).toThrow(BytesError);
    }
  });

  test("name impossible ids, addresses and versions", () => {
    const hello = (fields: object): (() => unknown) => {
      const made = whole(encodeHello({ hello: helloOf("n1", fields), target: "" }, crc32));
      return () => decodeHello(frameOf(1, made));
    };
    expect(hello({ id: "a b" })).toThrow("cannot be a member id");
    expect(hello({ address: "x\ny:1" })).toThrow("cannot be an address");
    expect(hello({ protocolMin: 3, protocolMax: 2 })).toThrow("protocol versions 3 to 2");
    expect(hello({ protocolMin: 0 })).toThrow("protocol versions 0 to 2");
    const accept = frameOf(2, whole(encodeAccept({ version: 3, hello: helloOf("n2") }, crc32)));
    expect(() => decodeAccept(accept, helloOf("n1"))).toThrow("version 3, which was not offered");
  });

  test("carry reasons that are bounded and harmless to a log", () => {
    const across = (reason: string): string =>
      decodeRefusal(frameOf(3, whole(encodeRefusal({ code: 3, reason }, crc32)))).reason;
    expect(across("line\nbreak \u001b[31m\u2028")).toBe("line?break ?[31m?");
    expect(across("é".repeat(1_000))).toBe("é".repeat(400));
    expect(across("a" + "é".repeat(1_000))).toBe("a" + "é".repeat(399));
  });

  test("show an unknown refusal code of a later version with its sentence", () => {
    const made = whole(encodeRefusal({ code: 3, reason: "because" }, crc32)).slice();
    made[0] = 200;
    expect(decodeRefusal(frameOf(3, made))).toEqual({ code: 1, reason: "because" });
  });
});
