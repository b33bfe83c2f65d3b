/**
 * A bank as a state machine, with a bug of a kind that reviews and unit tests tend to let through:
 * all of its answers are right, as long as nobody asks for a balance at the wrong moment.
 *
 * Balances that were asked for are kept in a cache, because looking them up is slow in the bank
 * that this one stands for. A transfer must therefore strike what it changes from the cache, and it
 * does so for one of the two accounts only. On the member that answered the question, the next
 * transfer then starts from an old balance: an update is lost there, and only there.
 */
import type { Returns, StateMachine } from "quorate";

/** Moves money if there is enough of it; answers whether it did. */
export type Transfer = {
  readonly type: "transfer";
  readonly from: string;
  readonly to: string;
  readonly amount: number;
} & Returns<boolean>;

/** Asks how much is on an account. */
export type Balance = { readonly type: "balance"; readonly account: string } & Returns<number>;

/** The accounts that a bank opens with, and what is on each of them. */
export const ACCOUNTS: readonly string[] = ["alice", "bob", "carol"];
export const OPENING_BALANCE = 100;

export class Bank implements StateMachine<Transfer, Balance> {
  readonly #accounts: Map<string, number> = new Map(
    ACCOUNTS.map((account) => [account, OPENING_BALANCE]),
  );
  readonly #cache: Map<string, number> = new Map();
  readonly #isRepaired: boolean;

  constructor(isRepaired = false) {
    this.#isRepaired = isRepaired;
  }

  apply({ from, to, amount }: Transfer): boolean {
    if (from === to || this.#balance(from) < amount) return false;
    this.#accounts.set(from, this.#balance(from) - amount);
    this.#accounts.set(to, this.#balance(to) + amount);
    this.#cache.delete(from);
    if (this.#isRepaired) this.#cache.delete(to); // what is missing in the other one
    return true;
  }

  query({ account }: Balance): number {
    const balance = this.#balance(account);
    this.#cache.set(account, balance);
    return balance;
  }

  snapshot(): unknown {
    return Object.fromEntries(this.#accounts);
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of chunks) text += decoder.decode(chunk, { stream: true });
    this.#accounts.clear();
    this.#cache.clear();
    const balances = Object.entries(JSON.parse(text) as Record<string, number>);
    for (const [account, balance] of balances) this.#accounts.set(account, balance);
  }

  #balance(account: string): number {
    return this.#cache.get(account) ?? this.#accounts.get(account) ?? 0;
  }
}
