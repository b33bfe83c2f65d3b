/**
 * What the client has learnt of its endpoints: which member serves where, who leads, and who did
 * not answer of late. It makes an order in which to ask, and leaves out nobody: what is known may
 * be old.
 *
 * Writes go to the leader first, where it is known, because every other member would hand them on.
 * Reads stay with the member that answered last. Who failed comes last, longest ago first.
 */
import type { Attempt } from "./attempt.ts";

/** Who failed is asked last for so long. */
const AVOIDED_MS = 2_000;

interface Endpoint {
  readonly url: string;
  /** The member that answered there last. */
  member: string | undefined;
  /** When it failed last; 0 where it has answered since. */
  failedAtMs: number;
}

/** All endpoints of a client; see the top of the file. */
export class Endpoints {
  readonly #all: Endpoint[];
  #leader: string | undefined;

  /** `first`: the index of the endpoint to begin with. */
  constructor(urls: readonly string[], first: number) {
    const order = [...urls.slice(first), ...urls.slice(0, first)];
    this.#all = order.map((url) => ({ url, member: undefined, failedAtMs: 0 }));
  }

  get size(): number {
    return this.#all.length;
  }

  /** The order in which to ask now. */
  order(wants: "leader" | "any", nowMs: number): readonly string[] {
    const leader = wants === "leader" ? this.#leader : undefined;
    const rank = ({ failedAtMs, member }: Endpoint): number => {
      if (failedAtMs > 0 && nowMs - failedAtMs < AVOIDED_MS) return failedAtMs;
      return leader !== undefined && member === leader ? -1 : 0;
    };
    // Sorting is stable: equals stay in the order of the list.
    return this.#all.toSorted((a, b) => rank(a) - rank(b)).map(({ url }) => url);
  }

  /** Takes in how an attempt ended. */
  note(url: string, attempt: Attempt<unknown>, nowMs: number): void {
    const at = this.#all.findIndex((endpoint) => endpoint.url === url);
    const endpoint = this.#all[at];
    if (endpoint === undefined || attempt.type === "stopped") return;
    if (attempt.type === "answer" || attempt.type === "error") {
      endpoint.member = attempt.member ?? endpoint.member;
      if (attempt.leader !== undefined) this.#leader = attempt.leader;
    } else if (endpoint.member === this.#leader) {
      this.#leader = undefined;
    }
    const isGood = attempt.type === "answer" || (attempt.type === "error" && attempt.status < 500);
    endpoint.failedAtMs = isGood ? 0 : nowMs;
    if (!isGood || at === 0 || endpoint.member === this.#leader) return;
    // Whoever answers is asked first from now on.
    this.#all.splice(at, 1);
    this.#all.unshift(endpoint);
  }
}
