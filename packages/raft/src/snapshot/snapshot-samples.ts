/** Snapshots to try a store with, for its suite and the other tests of this folder. */
import { votersOnly } from "../core/configuration.ts";
import { SeededRandom } from "../util/random.ts";
import type { SnapshotId, SnapshotMeta, SnapshotStore } from "./snapshot.ts";

/** What a snapshot at `index` stands for, besides its bytes. */
export function metaOf(index: number, term = 3): SnapshotMeta {
  const members = [{ id: "n1", address: "10.0.0.1:9091", incarnation: "5a".repeat(16) }];
  return {
    index,
    term,
    configuration: { index: Math.min(2, index), configuration: votersOnly(members) },
    clusterId: "c1".repeat(16),
    timeMs: index * 10,
    engine: Uint8Array.of(1, 2, index & 0xff),
  };
}

const made = new Map<string, Uint8Array>();

/** Bytes of a machine: the same for the same seed. */
export function bytesOf(length: number, seed = 1): Uint8Array {
  const key = `${length} ${seed}`;
  let bytes = made.get(key);
  if (bytes === undefined) {
    const random = new SeededRandom(seed);
    bytes = Uint8Array.from({ length }, () => random.below(256));
    made.set(key, bytes);
  }
  return bytes;
}

/** Takes a snapshot with this content, given in pieces of some size. */
export async function take(
  store: SnapshotStore,
  index: number,
  data: Uint8Array,
  pieceBytes = 10_000,
): Promise<SnapshotId> {
  const writer = await store.create(metaOf(index));
  for (let at = 0; at < data.length; at += pieceBytes) {
    const full = writer.write(data.subarray(at, at + pieceBytes));
    if (full !== undefined) await full;
  }
  return writer.finish();
}

/** What the machine would be given. */
export async function contentOf(store: SnapshotStore, id: SnapshotId): Promise<Uint8Array> {
  const reader = await store.read(id);
  const pieces: Uint8Array[] = [];
  try {
    for await (const piece of reader.chunks()) pieces.push(piece);
  } finally {
    await reader.close();
  }
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** Sends a snapshot from one store into another, from where that is; stops at `untilBytes`. */
export async function send(
  from: SnapshotStore,
  to: SnapshotStore,
  id: SnapshotId,
  untilBytes: number = Number.POSITIVE_INFINITY,
): Promise<{ readonly offset: number; readonly meta: SnapshotMeta | undefined }> {
  const source = await from.source(id);
  try {
    const part = await to.receive(id);
    const { offset } = part;
    const piece = new Uint8Array(32_768);
    while (part.offset < Math.min(id.bytes, untilBytes)) {
      const length = await source.read(piece, part.offset);
      await part.append(piece.subarray(0, length));
    }
    if (part.offset < id.bytes) {
      await part.leave();
      return { offset, meta: undefined };
    }
    return { offset, meta: await part.finish() };
  } finally {
    await source.close();
  }
}
