/**
 * What was written and is not committed yet, in layers over a backend.
 *
 *   active   takes writes, in memory
 *   frozen   waits for its commit, oldest first; the oldest may be under way
 *   backend  what is committed
 *
 * A commit on a disk costs a sync or two, so writes are committed many at a time: a layer is frozen
 * when it has grown enough or somebody wants a sync, and only between two batches. So after a crash
 * the backend is at the end of some batch. Reads look through the layers from the newest to the
 * backend. A layer leaves only when its commit has resolved; until then it may be in the backend as
 * well, which changes no answer.
 *
 * What is not committed is bounded: whoever writes more is told to wait. A commit that fails is
 * final: nothing is written any more. One that finds no space is not: its layers stay, reads see
 * them, and more is taken up to the same bound; then {@link Layers.room} says no. Whoever asks for
 * a sync, or for room, makes it be tried again.
 */
import { isNoSpace } from "../machine/no-space.ts";
import { BTree } from "../util/btree.ts";
import type { Cursor } from "../util/btree.ts";
import type { BackendView, StoreBackend, StoreChange, StoreItem, StoreKey } from "./backend.ts";

/** Deleted in this layer. */
const GONE: unique symbol = Symbol("gone");
type Slot = Uint8Array | typeof GONE;

/** How much is gathered. */
export interface LayerLimits {
  /** A layer is committed once it has so many changes or bytes. */
  readonly changes: number;
  readonly bytes: number;
  /** Beyond so much that is not committed, writers wait. */
  readonly waitingBytes: number;
}

/** What is usual: a commit of a few milliseconds of this thread. */
export const LAYER_LIMITS: LayerLimits = {
  changes: 2_048,
  bytes: 1_048_576, // 1 MiB
  waitingBytes: 16_777_216, // 16 MiB
};
/** What a change costs beside its bytes. */
const CHANGE_BYTES = 64;

interface Layer {
  readonly slots: BTree<Slot>;
  bytes: number;
  /** Of a frozen one: resolves when it is committed. */
  done: Promise<void>;
}

/** See the top of this file. */
export class Layers {
  readonly #backend: StoreBackend;
  readonly #limits: LayerLimits;
  #active: Layer = emptyLayer();
  #frozen: Layer[] = [];
  #waitingBytes = 0;
  /** The end of the newest commit: the next one follows it. */
  #tail: Promise<void> = Promise.resolve();
  #failure: { readonly cause: unknown } | undefined;
  /** A commit has found no space: those behind it wait for {@link #again}. */
  #isStuck = false;
  #isFull = false;

  constructor(backend: StoreBackend, limits: LayerLimits = LAYER_LIMITS) {
    this.#backend = backend;
    this.#limits = limits;
  }

  /** Whether there was no space for the last commit that has ended. */
  get isFull(): boolean {
    return this.#isFull;
  }

  get(key: StoreKey): Uint8Array | undefined {
    let slot = this.#active.slots.get(key);
    for (let i = this.#frozen.length - 1; slot === undefined && i >= 0; i--) {
      slot = this.#frozen[i]!.slots.get(key);
    }
    if (slot === undefined) return this.#backend.get(key);
    return slot === GONE ? undefined : slot;
  }

  /** `undefined`: the key is to be absent. */
  set(key: StoreKey, value: Uint8Array | undefined): void {
    this.#active.slots.set(key, value ?? GONE);
    const bytes = key.length + (value?.length ?? 0) + CHANGE_BYTES;
    this.#active.bytes += bytes;
    this.#waitingBytes += bytes;
  }

  /** All items from a key on, as they are now, whatever is written later. */
  view(): LayersView {
    const layers = [this.#active, ...this.#frozen.toReversed()];
    const trees = layers.map(({ slots }) => slots.clone());
    return new LayersView(trees, this.#backend.view());
  }

  /** All items from a key on; nothing may be written while they are read. */
  items(from: StoreKey): LayersView {
    const layers = [this.#active, ...this.#frozen.toReversed()];
    return new LayersView(
      layers.map(({ slots }) => slots),
      this.#backend.view(),
      from,
    );
  }

  /**
   * To be asked before a batch: what it returns, if anything, has to resolve first. It rejects
   * where there is no space and memory has taken enough; nothing has changed then.
   */
  room(): Promise<void> | undefined {
    const isEnough = this.#waitingBytes > this.#limits.waitingBytes;
    return this.#isStuck && isEnough ? this.flush() : undefined;
  }

  /** A batch ends here. What it returns, if anything, is to be awaited before the next one. */
  endBatch(): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure.cause;
    const { slots, bytes } = this.#active;
    if (slots.size < this.#limits.changes && bytes < this.#limits.bytes) return undefined;
    this.#freeze();
    const isEnough = this.#waitingBytes > this.#limits.waitingBytes;
    return isEnough ? this.#unlessStuck(this.#frozen[0]!.done) : undefined;
  }

  /** Resolves when all that was written is committed. */
  async flush(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.cause;
    if (this.#isStuck) {
      this.#again();
      await this.#tail;
    }
    if (this.#active.slots.size > 0) this.#freeze();
    await this.#tail;
  }

  /** Resolves when no commit is under way; what waits for space goes on waiting. */
  async idle(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.cause;
    await this.#unlessStuck(this.#tail);
  }

  /** The backend is about to be replaced: what was written is of no use any more. */
  clear(): void {
    this.#active = emptyLayer();
    this.#frozen = [];
    this.#waitingBytes = 0;
    this.#isStuck = false;
    this.#isFull = false;
    this.#tail = Promise.resolve();
  }

  #freeze(): void {
    const layer = this.#active;
    this.#active = emptyLayer();
    this.#frozen.push(layer);
    this.#send(layer);
  }

  #send(layer: Layer): void {
    layer.done = this.#commit(layer, this.#tail);
    this.#tail = layer.done;
    // Whoever waits for it hears of it; where nobody does, the next batch does.
    layer.done.catch(() => {});
  }

  /** There may be space now. */
  #again(): void {
    this.#isStuck = false;
    this.#tail = Promise.resolve();
    for (const layer of this.#frozen) this.#send(layer);
  }

  /** Waits, whatever comes of it; lack of space is told to whoever asks for room. */
  async #unlessStuck(done: Promise<void>): Promise<void> {
    try {
      await done;
    } catch (cause) {
      if (!this.#isStuck) throw cause;
    }
  }

  async #commit(layer: Layer, before: Promise<void>): Promise<void> {
    await before;
    try {
      await this.#backend.commit(changesOf(layer));
    } catch (cause) {
      this.#isStuck = isNoSpace(cause);
      this.#isFull = this.#isStuck;
      if (!this.#isStuck) this.#failure = { cause };
      throw cause;
    }
    this.#isFull = false;
    this.#waitingBytes -= layer.bytes;
    this.#frozen = this.#frozen.filter((other) => other !== layer);
  }
}

function emptyLayer(): Layer {
  return { slots: new BTree<Slot>(), bytes: 0, done: Promise.resolve() };
}

function changesOf({ slots }: Layer): StoreChange[] {
  const changes: StoreChange[] = [];
  const cursor = slots.cursor();
  while (cursor.next())
    changes.push([cursor.key, cursor.value === GONE ? undefined : cursor.value]);
  return changes;
}

/** One of the sources that are read together; the newest first. */
interface Source {
  key: StoreKey | undefined;
  value: Slot;
  next(): void;
}

/** Items of layers and backend, as one. */
export class LayersView implements BackendView {
  readonly #trees: readonly BTree<Slot>[];
  readonly #view: BackendView;
  readonly #from: StoreKey;

  constructor(trees: readonly BTree<Slot>[], view: BackendView, from: StoreKey = "") {
    this.#trees = trees;
    this.#view = view;
    this.#from = from;
  }

  *items(from: StoreKey = this.#from): Generator<StoreItem, void, undefined> {
    const sources: Source[] = this.#trees.map((tree) => new LayerSource(tree.cursor(from)));
    sources.push(new BackendSource(this.#view.items(from)));
    for (;;) {
      let first: Source | undefined;
      for (const source of sources) {
        if (source.key !== undefined && (first === undefined || source.key < first.key!)) {
          first = source;
        }
      }
      if (first === undefined) return;
      const key = first.key!;
      const value = first.value;
      // What is older under the same key is not seen.
      for (const source of sources) if (source.key === key) source.next();
      if (value !== GONE) yield [key, value];
    }
  }

  release(): void {
    this.#view.release();
  }
}

class LayerSource implements Source {
  key: StoreKey | undefined;
  value: Slot = GONE;
  readonly #cursor: Cursor<Slot>;

  constructor(cursor: Cursor<Slot>) {
    this.#cursor = cursor;
    this.next();
  }

  next(): void {
    const isThere = this.#cursor.next();
    this.key = isThere ? this.#cursor.key : undefined;
    if (isThere) this.value = this.#cursor.value;
  }
}

class BackendSource implements Source {
  key: StoreKey | undefined;
  value: Slot = GONE;
  readonly #items: Iterator<StoreItem, unknown, undefined>;

  constructor(items: Iterator<StoreItem, unknown, undefined>) {
    this.#items = items;
    this.next();
  }

  next(): void {
    const step = this.#items.next();
    this.key = step.done === true ? undefined : step.value[0];
    if (step.done !== true) this.value = step.value[1];
  }
}
