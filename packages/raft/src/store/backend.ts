/**
 * The port behind a machine on disk that is made of keys and values: an ordered map on a medium,
 * changed by commits.
 *
 * Contract
 * - Keys are *binary strings*: every char is one byte (0 to 255), so that comparing strings
 *   compares bytes. They are 1 to `keyBytesMax` bytes long.
 * - `commit` makes all changes or none, whatever happens, and they survive a power cut once it has
 *   resolved. One at a time. Of a commit that was cut short by the end of the process all is there
 *   afterwards or nothing. If it rejects, the backend is not used again, unless it was for want of
 *   space (machine/no-space.ts): then nothing of it is there, and it may be tried again.
 * - `get` and `view` see what was committed; of a commit under way they may see all or nothing.
 * - A `view` stays as it was when it was taken, whatever is committed or replaced.
 * - What is put into a `Replacement` is seen by nobody until `take` has resolved; then all of it,
 *   and nothing else, is there, and survives a power cut. One at a time; commits wait for its end.
 *   Whatever of it rejects, for want of space for instance: `abandon`, and it may be made again.
 * - Values that are given out are the caller's; values and lists that are taken must not change
 *   until the promise settles.
 */

/** A key: every char is one byte. */
export type StoreKey = string;

/** A key and what it is to be; `undefined`: absent. */
export type StoreChange = readonly [key: StoreKey, value: Uint8Array | undefined];

/** A key and its value. */
export type StoreItem = readonly [key: StoreKey, value: Uint8Array];

/** The state at one moment. */
export interface BackendView {
  /** The items from the first key on that is not below `from`, upwards. */
  items(from: StoreKey): Iterator<StoreItem, unknown, undefined>;
  /** Nothing is read any more. */
  release(): void;
}

/** A new state that is being put together. */
export interface Replacement {
  /** Keys ascend, over all calls. */
  put(items: readonly StoreItem[]): Promise<void>;
  /** It takes the place of what was there. */
  take(): Promise<void>;
  /** It is not wanted. Never rejects. */
  abandon(): Promise<void>;
}

/** See the top of this file. */
export interface StoreBackend {
  readonly keyBytesMax: number;
  /** Opens what is there, or makes it. */
  open(): Promise<void>;
  get(key: StoreKey): Uint8Array | undefined;
  view(): BackendView;
  commit(changes: readonly StoreChange[]): Promise<void>;
  replace(): Promise<Replacement>;
  close(): Promise<void>;
}
