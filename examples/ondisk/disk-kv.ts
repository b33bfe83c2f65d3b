/** The state machine: keys and values, in a store on disk. */
import type { Returns } from "quorate";
import { textKey } from "quorate/store";
import type { StoreMachine, StoreReader, StoreWriter } from "quorate/store";

export type Put = { type: "put"; key: string; value: string } & Returns<null>;
export type Get = { type: "get"; key: string } & Returns<string | undefined>;

export class DiskKv implements StoreMachine<Put, Get> {
  apply({ key, value }: Put, store: StoreWriter): null {
    store.put(textKey(key), Buffer.from(value));
    return null;
  }

  query({ key }: Get, store: StoreReader): string | undefined {
    const value = store.get(textKey(key));
    return value && Buffer.from(value).toString();
  }
}
