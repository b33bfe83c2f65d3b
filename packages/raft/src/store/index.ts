/**
 * What `quorate/store` offers: state machines made of keys and values that live on disk, over any
 * backend. `quorate/lmdb` has one on LMDB.
 */
export type {
  BackendView,
  Replacement,
  StoreBackend,
  StoreChange,
  StoreItem,
  StoreKey,
} from "./backend.ts";
export { bytesOfKey, keyOfBytes, keyText, textKey } from "./keys.ts";
export type { LayerLimits } from "./layers.ts";
export { onStore } from "./store-machine.ts";
export type { StoreMachine, StoreReader, StoreWriter } from "./store-machine.ts";
export { BTree, Cursor } from "../util/btree.ts";
