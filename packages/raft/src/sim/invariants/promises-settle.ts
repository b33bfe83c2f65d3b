/**
 * Every call ends, and ends once. A run is over only when all clients have ended and all is quiet:
 * a call that is still open then will never end.
 */
import type { Observer, SimOperation } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import type { Invariant } from "./invariant.ts";

/** See the top of this file. */
export const promisesSettle: Invariant = {
  name: "promises-settle",
  text: "Every call ends, with one outcome.",
  watch: () => new PromisesSettle(),
};

class PromisesSettle implements Observer {
  readonly #open: Set<SimOperation> = new Set();

  called(operation: SimOperation): void {
    this.#open.add(operation);
  }

  settled(operation: SimOperation): void {
    if (!this.#open.delete(operation)) violated(operation, "ended twice, or was never called");
    if (operation.outcome === "open") violated(operation, "ended without an outcome");
  }

  ended(): void {
    for (const operation of this.#open) {
      violated(operation, `is still open, called at ${operation.calledUs} µs`);
    }
  }
}

function violated(operation: SimOperation, what: string): never {
  const { number, client, member, kind } = operation;
  throw new SimViolation(
    promisesSettle.name,
    `operation ${number} (${kind}) of client ${client} on ${member.id} ${what}; ` +
      `every call ends once`,
  );
}
