/** The replicated map: what it can be told, what it can be asked, and how it does that. */
import { readJson } from "quorate";
import type { Applied, Returns, StateMachine } from "quorate";

export type Put = { type: "put"; key: string; value: string } & Returns<string>;
export type Get = { type: "get"; key: string } & Returns<string | null>;

export const put = (key: string, value: string): Put => ({ type: "put", key, value });
export const get = (key: string): Get => ({ type: "get", key });

export class KVStore implements StateMachine<Put, Get> {
  #map = new Map<string, string>();
  /** What was applied last; the status page shows it. */
  last: { readonly index: number; readonly command: Put } | undefined;

  apply(command: Put, at: Applied): string {
    this.#map.set(command.key, command.value);
    this.last = { index: at.index, command };
    return command.value;
  }

  query({ key }: Get): string | null {
    return this.#map.get(key) ?? null;
  }

  snapshot(): unknown {
    return [...this.#map];
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.#map = new Map(await readJson<[string, string][]>(chunks));
  }
}
