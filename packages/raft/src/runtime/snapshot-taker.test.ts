/** Taking one snapshot: how pieces of a machine are followed, and how that ends early. */
import { describe, expect, test } from "vitest";
import type { MachineSnapshot } from "../machine/machine-host.ts";
import type { SnapshotMeta, SnapshotStore, SnapshotWriter } from "../snapshot/snapshot.ts";
import type { Clock } from "../util/clock.ts";
import { errorOf } from "./world-harness.ts";
import { LIMITS } from "./limits.ts";
import { SnapshotTaker } from "./snapshot-taker.ts";

const META = { index: 7 } as SnapshotMeta;

interface Bench {
  readonly taker: SnapshotTaker;
  /** How often the loop got its turn. */
  turns: number;
  readonly written: number[];
  state: "open" | "finished" | "aborted";
}

/** Time goes on by 1 ms whenever it is asked for; nothing ever fills a chunk. */
function bench(): Bench {
  let nowMs = 0;
  const clock = {
    nowMs: () => nowMs++,
    soon: (then: () => void) => {
      it.turns++;
      setImmediate(then);
    },
  } as unknown as Clock;
  const writer = {
    bytes: 0,
    write: (piece: Uint8Array) => void it.written.push(piece.length),
    finish: () => {
      it.state = "finished";
      return Promise.resolve({ index: 7, term: 1, bytes: 9, hash: "" });
    },
    abort: () => {
      it.state = "aborted";
      return Promise.resolve();
    },
  } as unknown as SnapshotWriter;
  const store = { create: () => Promise.resolve(writer) } as unknown as SnapshotStore;
  const taker = new SnapshotTaker(store, clock, META);
  const it: Bench = { taker, turns: 0, written: [], state: "open" };
  return it;
}

function live(pieces: AsyncGenerator<Uint8Array>): MachineSnapshot {
  return { kind: "live", pieces, first: pieces.next() };
}

describe("pieces of a point in time", () => {
  test("that are all at hand let the loop turn in between", async () => {
    const it = bench();
    async function* pieces(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 300; i++) yield new Uint8Array(1);
    }
    await it.taker.take(live(pieces()));
    expect([it.written.length, it.state]).toEqual([300, "finished"]);
    expect(it.turns).toBeGreaterThanOrEqual(Math.floor(300 / LIMITS.applySliceMs) - 1);
  });

  test("end with the cancellation, whether the machine hangs or not, and it may clean up", async () => {
    for (const hangs of [true, false]) {
      const it = bench();
      let cleaned = false;
      async function* pieces(): AsyncGenerator<Uint8Array> {
        try {
          for (;;) {
            yield new Uint8Array(1);
            if (hangs) await new Promise((resolve) => setTimeout(resolve, 50));
          }
        } finally {
          cleaned = true;
        }
      }
      const taken = errorOf(it.taker.take(live(pieces())));
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(it.written.length).toBeGreaterThan(0);
      it.taker.cancel("another one takes its place");
      it.taker.cancel("only the first one counts");
      const error = await taken;
      expect([error.code, error.message]).toEqual([
        "SNAPSHOT_FAILED",
        "[SNAPSHOT_FAILED] another one takes its place",
      ]);
      expect(it.state).toBe("aborted");
      const written = it.written.length;
      await new Promise((resolve) => setTimeout(resolve, 60));
      expect([cleaned, it.written.length]).toEqual([true, written]);
    }
  });
});
