/**
 * The store: what keys hold. Values are bytes; they travel as text with a character for each byte,
 * which JSON holds as it is.
 */
import { readJson } from "quorate";
import type { Returns, StateMachine } from "quorate";

export type Put = { type: "put"; key: string; value: string } & Returns<null>;
export type Get = { type: "get"; key: string } & Returns<string | undefined>;

export class KeyValues implements StateMachine<Put, Get> {
  #values = new Map<string, string>();

  apply({ key, value }: Put): null {
    this.#values.set(key, value);
    return null;
  }

  query({ key }: Get): string | undefined {
    return this.#values.get(key);
  }

  snapshot(): unknown {
    return [...this.#values];
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.#values = new Map(await readJson<[string, string][]>(chunks));
  }
}
