/** Sending snapshots to several members at a time: what they share, and whose turn it is. */
import { describe, expect, test } from "vitest";
import type { SnapshotId, SnapshotSource, SnapshotStore } from "../snapshot/snapshot.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import { LIMITS } from "./limits.ts";
import { SnapshotSender } from "./snapshot-sender.ts";

const MIB = 1_048_576;
const ID: SnapshotId = { index: 9, term: 2, bytes: 64 * MIB, hash: "a".repeat(64) };

/** A sender whose receivers answer at once, and whose disk has every byte at hand. */
class Bench {
  readonly sender: SnapshotSender;
  /** Bytes that each peer got. */
  readonly got: Map<string, number> = new Map();
  readonly ended: string[] = [];
  /** What chunks came in. */
  readonly buffers: Set<ArrayBufferLike> = new Set();
  nowMs = 0;
  readonly #ready: ((nowMs: number) => void)[] = [];
  readonly #answers: (() => void)[] = [];

  constructor(bytesPerSecond: number) {
    const source: SnapshotSource = {
      id: ID,
      read: (into) => Promise.resolve(into.length),
      close: () => Promise.resolve(),
    };
    const store = { list: [ID], source: () => Promise.resolve(source) };
    this.sender = new SnapshotSender({
      store: store as unknown as SnapshotStore,
      nonce: 100,
      electionTimeoutMs: 1_000,
      heartbeatIntervalMs: 100,
      bytesPerSecond,
      progressTimeoutMs: 10_000,
      send: (to, message) => this.#take(to, message),
      ended: (_nowMs, peer, installed) => this.ended.push(`${peer} ${installed}`),
      unpinned: () => {},
      told: () => {},
      run: (task, succeeded, failed) => {
        task.then(
          (value) => this.#ready.push((nowMs) => succeeded(nowMs, value)),
          (error: unknown) => this.#ready.push((nowMs) => failed(nowMs, error)),
        );
      },
    });
  }

  request(...peers: string[]): void {
    for (const peer of peers) {
      this.got.set(peer, 0);
      this.sender.request(this.nowMs, { peer, term: 2 });
    }
  }

  /** Lets so much time pass, in turns of a millisecond and what becomes ready between them. */
  async run(ms: number): Promise<void> {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; this.nowMs++) {
      do {
        for (const hand of this.#ready.splice(0)) hand(this.nowMs);
        for (const answer of this.#answers.splice(0)) answer();
        this.sender.dispatch(this.nowMs);
        await new Promise((resolve) => setImmediate(resolve));
      } while (this.#ready.length + this.#answers.length > 0);
    }
  }

  #take(to: string, message: PeerMessage): boolean {
    const report = (transfer: number, offset: number): void => {
      const type = "snapshot-report";
      this.#answers.push(() =>
        this.sender.report(this.nowMs, to, { type, transfer, status: "ready", offset }),
      );
    };
    if (message.type === "snapshot-offer") report(message.transfer, this.got.get(to)!);
    if (message.type === "snapshot-chunk") {
      this.buffers.add(message.data.buffer);
      expect(message.offset).toBe(this.got.get(to)!);
      this.got.set(to, message.offset + message.data.length);
      report(message.transfer, this.got.get(to)!);
    }
    return true;
  }
}

test("one buffer serves all chunks of a transfer: what is sent is copied", async () => {
  const it = new Bench(64 * MIB);
  it.request("n2", "n3");
  await it.run(500);
  expect(it.got.get("n2")! / LIMITS.snapshotChunkBytes).toBeGreaterThan(100);
  expect(it.buffers.size).toBe(2);
});

describe("several transfers at a time", () => {
  test.each([64 * 1_024, MIB, 8 * MIB])(
    "share %i bytes per second, and each has its part of them",
    async (bytesPerSecond) => {
      const it = new Bench(bytesPerSecond);
      it.request("n2", "n3", "n4");
      const seconds = 6;
      await it.run(seconds * 1_000);
      const parts = [...it.got.values()];
      const sum = parts.reduce((all, part) => all + part, 0);
      const burst = Math.max(LIMITS.snapshotWindowMinBytes, bytesPerSecond / 20);
      expect(sum).toBeLessThanOrEqual(seconds * bytesPerSecond + burst + LIMITS.snapshotChunkBytes);
      expect(sum).toBeGreaterThanOrEqual(0.9 * seconds * bytesPerSecond);
      expect(Math.max(...parts) - Math.min(...parts)).toBeLessThanOrEqual(
        2 * LIMITS.snapshotChunkBytes,
      );
      expect(it.ended).toEqual([]);
    },
  );

  test("a slow rate lets none of them run into the progress timeout", async () => {
    const it = new Bench(64 * 1_024);
    it.request("n2", "n3", "n4", "n5");
    await it.run(15_000);
    expect(it.ended).toEqual([]);
  });
});
