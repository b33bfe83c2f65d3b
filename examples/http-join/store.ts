/** The store: what `/set`, `/get` and `/remove` change and ask for. */
import { readJson } from "quorate";
import type { Returns, StateMachine } from "quorate";

export type SetKey = { type: "set"; key: string; value: string } & Returns<true>;
export type RemoveKey = { type: "remove"; key: string } & Returns<boolean>;
export type GetKey = { type: "get"; key: string } & Returns<string | undefined>;

export class Store implements StateMachine<SetKey | RemoveKey, GetKey> {
  #values = new Map<string, string>();

  apply(command: SetKey | RemoveKey): boolean {
    if (command.type === "remove") return this.#values.delete(command.key);
    this.#values.set(command.key, command.value);
    return true;
  }

  query({ key }: GetKey): string | undefined {
    return this.#values.get(key);
  }

  snapshot(): unknown {
    return [...this.#values];
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.#values = new Map(await readJson<[string, string][]>(chunks));
  }
}
