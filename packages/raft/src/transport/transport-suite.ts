/**
 * What every transport has to do, as cases that belong to no test runner (util/suite.ts).
 *
 * The world makes transports of the implementation under test and lets time pass until a condition
 * holds: by waiting, or by moving a clock. Cases never wait for a length of time; what must *not*
 * happen is shown by something that happens later on the same path.
 */
import type { EntryBatch } from "../core/entry.ts";
import { EntryKind, packEntries } from "../core/entry.ts";
import { crc32 } from "../util/checksum.ts";
import { QuorateError } from "../util/error.ts";
import { expectEqual, expectRejects, expectTrue } from "../util/suite.ts";
import type { SuiteCase } from "../util/suite.ts";
import { asking } from "./contact-suite.ts";
import {
  append,
  batchesOf,
  Bench,
  bigBatch,
  dial,
  heartbeat,
  isConnected,
  rounds,
} from "./transport-bench.ts";
import type { Test, TransportWorld } from "./transport-bench.ts";
import { RefusalCode } from "./transport.ts";
import type { Verdict } from "./transport.ts";

/** The conformance suite of the transport port; every case gets a world of its own. */
export function transportSuite(makeWorld: () => TransportWorld): readonly SuiteCase[] {
  const test = (name: string, body: (bench: Bench) => Promise<void>): SuiteCase => ({
    name,
    run: async () => {
      const bench = new Bench(makeWorld());
      try {
        await body(bench);
      } finally {
        await bench.close();
      }
    },
  });
  return [
    ...connecting(test),
    ...asking(test),
    ...refusing(test),
    ...sending(test),
    ...ending(test),
  ];
}

function connecting(test: Test): SuiteCase[] {
  return [
    test("listening replaces port 0 by the bound port", async (bench) => {
      const a = bench.make("a");
      expectTrue(a.transport.address.endsWith(":0"), "an address with port 0");
      await a.transport.listen(a.host);
      expectTrue(/:[1-9][0-9]*$/.test(a.transport.address), a.transport.address);
    }),
    test("an address in use rejects with LISTEN_FAILED and names it", async (bench) => {
      const a = await bench.open("a");
      const b = bench.make("b", {}, a.transport.address);
      const error = await expectRejects(b.transport.listen(b.host));
      expectTrue(QuorateError.is(error) && error.code === "LISTEN_FAILED", String(error));
      expectTrue(error.message.includes(a.transport.address), error.message);
    }),
    test("each side says hello, judges the other and is told of its own connection", async (bench) => {
      const { a, b } = await bench.pair();
      expectEqual(a.host.connectedTo, ["b"]);
      expectEqual(b.host.connectedTo, ["a"]);
      expectEqual([a.host.judged, b.host.judged], [2, 2], "judgements");
      expectEqual(a.host.problems, []);
    }),
    test("a judge is told whom we dialed, and of a listener whom it meant", async (bench) => {
      const a = await bench.open("a");
      const b = await bench.open("b");
      const seen: unknown[] = [];
      for (const side of [a, b]) {
        side.host.verdict = (remote, dialed, target) => {
          seen.push([side.host.id, remote.id, dialed, target]);
          return { accept: true };
        };
      }
      dial(a, b);
      await bench.until(() => isConnected(a), "a is connected");
      expectEqual(seen, [
        ["b", "a", undefined, "b"],
        ["a", "b", "b", undefined],
      ]);
    }),
    test("peers set before listening are dialed once it listens", async (bench) => {
      const b = await bench.open("b");
      const a = bench.make("a");
      dial(a, b);
      expectEqual(a.transport.status().length, 0, "peers before listening");
      await a.transport.listen(a.host);
      await bench.until(() => a.host.connectedTo.length === 1, "a is connected");
    }),
    test("a peer that is not there is dialed until it is", async (bench) => {
      const a = await bench.open("a");
      const early = await bench.open("b");
      const { address } = early.transport;
      await early.transport.close();
      a.transport.setPeers([{ id: "b", address }]);
      await bench.until(() => a.host.problems.length > 0, "the failed dial is reported");
      const b = await bench.open("b", {}, address);
      await bench.until(() => isConnected(a), "a is connected");
      expectEqual(b.host.judged, 1);
      expectEqual(a.transport.status()[0]?.lastProblem, undefined, "lastProblem once connected");
    }),
    test("a malformed peer address is a problem of that peer alone", async (bench) => {
      const a = await bench.open("a");
      const b = await bench.open("b");
      const good = { id: "b", address: b.transport.address };
      a.transport.setPeers([{ id: "x", address: "nonsense" }, good]);
      await bench.until(() => a.host.connectedTo.includes("b"), "b is connected");
      await bench.until(() => a.host.problems.length > 0, "the address is reported");
      expectTrue(a.host.problems[0]!.startsWith("nonsense: "), a.host.problems[0]!);
    }),
    test("a peer that dials again replaces its earlier connection", async (bench) => {
      const { a, b } = await bench.pair();
      const twin = await bench.open("a");
      dial(twin, b);
      await bench.until(() => a.host.disconnectedFrom.includes("b"), "the older one is closed");
    }),
  ];
}

function refusing(test: Test): SuiteCase[] {
  const refusal = (code: RefusalCode): Verdict => ({ accept: false, code, reason: "for a test" });
  return [
    test("a listener's refusal is reported once on both sides, with its reason", async (bench) => {
      const a = await bench.open("a");
      const b = await bench.open("b");
      b.host.verdict = () => refusal(RefusalCode.cluster);
      dial(a, b);
      await bench.until(() => b.host.judged >= 4, "it was tried again");
      const reason = "for a test";
      expectEqual(a.host.refusals, [{ peer: "b", by: "them", code: RefusalCode.cluster, reason }]);
      expectEqual(b.host.refusals, [{ peer: "a", by: "us", code: RefusalCode.cluster, reason }]);
      expectEqual([...a.host.connectedTo, ...a.host.problems, ...b.host.problems], []);
      expectTrue(!a.transport.send("b", 0, heartbeat(1)), "a refused link takes nothing");
    }),
    test("a dialer's refusal is reported once on both sides, with its reason", async (bench) => {
      const a = await bench.open("a");
      const b = await bench.open("b");
      a.host.verdict = () => refusal(RefusalCode.incarnation);
      dial(a, b);
      await bench.until(() => b.host.judged >= 4, "it was tried again");
      const code = RefusalCode.incarnation;
      expectEqual(a.host.refusals, [{ peer: "b", by: "us", code, reason: "for a test" }]);
      expectEqual(b.host.refusals, [{ peer: "a", by: "them", code, reason: "for a test" }]);
      expectEqual(a.host.connectedTo, []);
    }),
    test("a removal is told with whom it concerns and since when", async (bench) => {
      const a = await bench.open("a");
      const b = await bench.open("b");
      const removal = { incarnation: "2e".repeat(16), configurationIndex: 41 };
      const refusal = { code: RefusalCode.removed, reason: "for a test", removal };
      b.host.verdict = () => ({ accept: false, ...refusal });
      dial(a, b);
      await bench.until(() => a.host.refusals.length > 0, "a is refused");
      expectEqual(a.host.refusals, [{ peer: "b", by: "them", ...refusal }]);
      expectEqual(b.host.refusals, [{ peer: "a", by: "us", ...refusal }]);
    }),
    test("a peer that is turned away later is told why, and judged anew when it returns", async (bench) => {
      const { a, b } = await bench.pair();
      const removal = { incarnation: "2e".repeat(16), configurationIndex: 41 };
      const refusal = { code: RefusalCode.removed, reason: "for a test", removal };
      const { judged } = b.host;
      b.transport.turnAway("a", refusal);
      b.transport.turnAway("nobody", refusal);
      await bench.until(() => a.host.refusals.length > 0, "a is told");
      expectEqual(a.host.refusals, [{ peer: "b", by: "them", ...refusal }]);
      expectEqual(a.host.disconnectedFrom, ["b"]);
      expectEqual(b.host.disconnectedFrom, [], "the other direction stays");
      await bench.until(() => b.host.judged > judged, "it has dialed again");
      await bench.until(() => isConnected(a), "a is connected again");
    }),
    test("a refusal that ends lets the peer in", async (bench) => {
      const a = await bench.open("a");
      const b = await bench.open("b");
      b.host.verdict = () => refusal(RefusalCode.unknownMember);
      dial(a, b);
      await bench.until(() => a.host.refusals.length > 0, "a is refused");
      b.host.verdict = () => ({ accept: true });
      await bench.until(() => isConnected(a), "a is connected");
    }),
    test("without a common protocol version both sides say which ones they speak", async (bench) => {
      const a = await bench.open("a");
      const b = await bench.open("b");
      b.host.fields = { protocolMin: 3, protocolMax: 4 };
      dial(a, b);
      await bench.until(() => a.host.refusals.length + b.host.refusals.length >= 2, "both know");
      const [told] = a.host.refusals;
      expectEqual(told?.code, RefusalCode.protocol);
      expectTrue(told?.reason.includes("b speaks 3 to 4") === true, String(told?.reason));
      expectEqual(b.host.refusals[0]?.reason, told?.reason);
    }),
    test("a member that was dialed under another's id says who it is", async (bench) => {
      const a = await bench.open("a");
      const b = await bench.open("b");
      a.transport.setPeers([{ id: "c", address: b.transport.address }]);
      await bench.until(() => a.host.refusals.length > 0, "a is refused");
      const [told] = a.host.refusals;
      expectEqual(told?.code, RefusalCode.identity);
      expectEqual(told?.reason, "a dialed c, but this is b");
    }),
  ];
}

function sending(test: Test): SuiteCase[] {
  return [
    test("messages arrive in order, once, with sender and group", async (bench) => {
      const { a, b } = await bench.pair();
      const count = 2_000;
      for (let round = 1; round <= count; round++) {
        expectTrue(a.transport.send("b", round % 5, heartbeat(round)), `message ${round} is taken`);
        if (round % 7 === 0) a.transport.flush();
      }
      a.transport.flush();
      await bench.until(() => b.host.received.length >= count, "all have arrived");
      a.transport.send("b", 0, heartbeat(count + 1));
      a.transport.flush();
      await bench.until(() => b.host.received.length > count, "the last has arrived");
      expectEqual(
        rounds(b),
        Array.from({ length: count + 1 }, (_, i) => i + 1),
      );
      expectTrue(
        b.host.received.every(({ from }) => from === "a"),
        "all are from a",
      );
      expectEqual(b.host.received[6]?.group, 2, "group");
    }),
    test("nothing leaves before flush", async (bench) => {
      const { a, b } = await bench.pair();
      a.transport.send("b", 0, heartbeat(1));
      expectTrue((a.transport.status()[0]?.queuedBytes ?? 0) > 0, "it is queued");
      b.transport.send("a", 0, heartbeat(1));
      b.transport.flush();
      await bench.until(() => a.host.received.length === 1, "b's message has arrived");
      expectEqual(b.host.received.length, 0, "arrived before flush");
      a.transport.flush();
      await bench.until(() => b.host.received.length === 1, "a's message has arrived");
      expectTrue((a.transport.status()[0]?.sentBytes ?? 0) > 0, "sent bytes are counted");
    }),
    test("both directions carry messages at the same time", async (bench) => {
      const { a, b } = await bench.pair();
      for (let round = 1; round <= 300; round++) {
        a.transport.send("b", 0, heartbeat(round));
        b.transport.send("a", 0, heartbeat(round));
        a.transport.flush();
        b.transport.flush();
      }
      await bench.until(() => rounds(a).length + rounds(b).length === 600, "all have arrived");
      expectEqual(rounds(a), rounds(b));
    }),
    test("what is sent to nobody, or before a connection, is refused and counted", async (bench) => {
      const a = await bench.open("a");
      const b = await bench.open("b");
      expectTrue(!a.transport.send("b", 0, heartbeat(1)), "no such peer");
      dial(a, b);
      expectTrue(!a.transport.send("b", 0, heartbeat(1)), "not connected");
      expectEqual(a.transport.status()[0]?.dropped, 1);
      await bench.until(() => isConnected(a), "a is connected");
      expectTrue(a.transport.send("b", 0, heartbeat(2)), "connected");
      a.transport.flush();
      await bench.until(() => b.host.received.length === 1, "the second has arrived");
      expectEqual(rounds(b), [2]);
    }),
    test("a message of 16 MiB arrives whole, between small ones", async (bench) => {
      const { a, b } = await bench.pair();
      const big = bigBatch(1, 16_777_216);
      a.transport.send("b", 0, heartbeat(1));
      expectTrue(a.transport.send("b", 0, append(big)), "the big one is taken");
      a.transport.send("b", 0, heartbeat(2));
      a.transport.flush();
      await bench.until(() => b.host.received.length === 3, "all have arrived");
      expectEqual(rounds(b), [1, 2]);
      expectEqual(batchesOf(b)[0]?.crc, big.crc);
    }),
    test("a message larger than a frame may be is refused, and the connection stays", async (bench) => {
      const { a, b } = await bench.pair({ frameBytesMax: 65_536 });
      expectTrue(!a.transport.send("b", 0, append(bigBatch(1, 65_536))), "it is refused");
      a.transport.send("b", 0, heartbeat(1));
      a.transport.flush();
      await bench.until(() => b.host.received.length === 1, "the next one arrives");
      expectEqual(a.host.disconnectedFrom, []);
    }),
    test("batches that were received stay as they are, and are nobody else's", async (bench) => {
      const { a, b } = await bench.pair();
      const sent: EntryBatch[] = [];
      for (let index = 1; index <= 60; index++) {
        sent.push(bigBatch(index, (index * 977) % 30_000));
        a.transport.send("b", 0, append(sent.at(-1)!));
        a.transport.flush();
      }
      await bench.until(() => b.host.received.length === 60, "all have arrived");
      batchesOf(b).forEach((batch, i) => {
        expectEqual(crc32(batch.body), sent[i]!.crc, `CRC of batch ${i}`);
        expectTrue(batch.body.buffer !== sent[i]!.body.buffer, "memory is not shared");
      });
    }),
    test("forwarded entries may be overwritten once they were sent", async (bench) => {
      const { a, b } = await bench.pair();
      const { bytes, count } = packEntries([
        { kind: EntryKind.command, payload: Uint8Array.of(1) },
      ]);
      const entries = bytes.slice();
      a.transport.send("b", 0, { type: "forward", request: 1, deadlineMs: 9, entries, count });
      entries.fill(0xff);
      a.transport.flush();
      await bench.until(() => b.host.received.length === 1, "it has arrived");
      const [got] = b.host.received;
      expectEqual(got?.message.type === "forward" ? got.message.entries : undefined, bytes);
    }),
    test("a full queue refuses, and loses nothing that it took", async (bench) => {
      const { a, b } = await bench.pair({ sendQueueBytesMax: 262_144 });
      b.transport.pauseReads();
      let taken = 0;
      const fill = (): boolean => {
        for (let i = 0; i < 16; i++) {
          if (!a.transport.send("b", 0, append(bigBatch(taken + 1, 50_000)))) return true;
          taken++;
          a.transport.flush();
        }
        return false;
      };
      await bench.until(fill, "the queue is full");
      const [status] = a.transport.status();
      expectTrue(status!.queuedBytes <= 262_144, `${status!.queuedBytes} bytes are queued`);
      expectEqual(status!.dropped, 1, "dropped");
      b.transport.resumeReads();
      await bench.until(() => b.host.received.length === taken, "all that was taken arrives");
      expectEqual(
        batchesOf(b).map((batch) => batch.firstIndex),
        upTo(taken),
      );
      expectTrue(a.transport.send("b", 0, heartbeat(1)), "there is room again");
    }),
  ];
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

function ending(test: Test): SuiteCase[] {
  return [
    test("a peer that goes and comes back is connected to again", async (bench) => {
      const { a, b } = await bench.pair();
      const { address } = b.transport;
      await b.transport.close();
      await bench.until(() => a.host.disconnectedFrom.length === 1, "a has noticed");
      expectTrue(!a.transport.send("b", 0, heartbeat(1)), "nothing is taken meanwhile");
      const again = await bench.open("b", {}, address);
      await bench.until(() => isConnected(a), "a is connected again");
      a.transport.send("b", 0, heartbeat(2));
      a.transport.flush();
      await bench.until(() => again.host.received.length === 1, "messages flow again");
      expectEqual(rounds(again), [2]);
      expectEqual(a.host.connectedTo, ["b", "b"]);
    }),
    test("the list of peers can grow, shrink and change addresses", async (bench) => {
      const { a, b } = await bench.pair();
      const c = await bench.open("c");
      dial(a, b, c);
      await bench.until(() => a.host.connectedTo.includes("c"), "c is connected");
      expectEqual(a.host.connectedTo, ["b", "c"], "b was left alone");
      dial(a, c);
      expectEqual(a.host.disconnectedFrom, ["b"]);
      expectTrue(!a.transport.send("b", 0, heartbeat(1)), "b is no peer any more");
      const moved = await bench.open("c");
      dial(a, moved);
      expectEqual(a.host.disconnectedFrom, ["b", "c"]);
      await bench.until(() => isConnected(a), "a is connected to the new address");
      a.transport.send("c", 0, heartbeat(1));
      a.transport.flush();
      await bench.until(() => moved.host.received.length === 1, "messages go to the new address");
      expectEqual(c.host.received.length, 0);
    }),
    test("close is idempotent, and calls nothing back", async (bench) => {
      const { a, b } = await bench.pair();
      for (let round = 1; round <= 50; round++) b.transport.send("a", 0, heartbeat(round));
      b.transport.flush();
      const { calls } = a.host;
      const first = a.transport.close();
      await a.transport.close();
      await first;
      await bench.until(() => b.host.disconnectedFrom.length === 1, "b has noticed");
      await bench.until(() => b.host.problems.length > 0, "b has dialed in vain");
      expectEqual(a.host.calls, calls, "calls");
      expectTrue(!a.transport.send("b", 0, heartbeat(1)), "nothing is taken");
      a.transport.flush();
      dial(a, b);
      expectEqual(a.transport.status(), []);
    }),
    test("close before or while listening leaves nothing behind", async (bench) => {
      const a = bench.make("a");
      await a.transport.close();
      const b = bench.make("b");
      const listening = b.transport.listen(b.host).catch(() => undefined);
      await b.transport.close();
      await listening;
      expectEqual([a.host.calls, b.host.calls], [0, 0]);
    }),
    test("an address is free again after close", async (bench) => {
      const a = await bench.open("a");
      await a.transport.close();
      const b = await bench.open("b", {}, a.transport.address);
      expectEqual(b.transport.address, a.transport.address);
    }),
  ];
}
