/**
 * Those who make calls. Closed clients wait for each answer and think before the next call; open
 * ones call at a fixed rate whatever comes back, so that long tails of uncommitted entries build
 * up behind a leader that cannot commit.
 *
 * A client knows the members and whether a process listens there, as anybody finds out who
 * connects; it does not know who leads, nor whether a process stands still. It stays with a member
 * for some calls and then takes another one.
 *
 * After `not-done` the same call is tried again, at another member, as a new operation: the first
 * one promised to have no effect. After `unknown` a client goes on, and sometimes tries again all
 * the same, as impatient programs do: then both may take effect, and two operations account for
 * it.
 *
 * Every client draws from a stream of its own, so one more client leaves the others as they were.
 */
import type { Random } from "../../util/random.ts";
import { SeededRandom } from "../../util/random.ts";
import type { MemberView, SimOperation } from "../observer.ts";
import type { ClientOptions } from "../options.ts";
import { between, chance, pick } from "../random-streams.ts";
import type { Call, CallTerms, ClientContext, Harbour, Workload } from "./workload.ts";

/** Attempts at one call, the first included. */
const ATTEMPTS_MAX = 4;
const BACKOFF_US = { min: 1_000, max: 40_000 } as const;
/** Of calls whose outcome is unknown, how many are made again, per mille. */
const IMPATIENT_SHARE = 125;
/** Calls until a client turns to another member by itself. */
const STICKY_CALLS_MAX = 24;
/** Of choices, how many do not care whether anybody listens there, per mille. */
const BLIND_SHARE = 30;
const TIMEOUT_MIN_MS = 15;
/** Of deadlines, how many are a fraction of the others, per mille. */
const HASTY_SHARE = 200;
/** Calls of one open client that have not ended; beyond these it skips its turn. */
const OUTSTANDING_MAX = 256;

/** What all clients of a run have in common. */
interface Trade {
  readonly harbour: Harbour<unknown, unknown>;
  readonly workload: Workload<unknown, unknown>;
  readonly options: ClientOptions;
}

/** Starts the clients that the options name: `c1`, `c2`, … are closed, `o1`, … open. */
export function startClients(
  harbour: Harbour<unknown, unknown>,
  workload: Workload<unknown, unknown>,
  options: ClientOptions,
  random: Random,
): void {
  const trade: Trade = { harbour, workload, options };
  // A source for each kind: how many there are of one is nothing to the other.
  const closed = ownStream(random);
  const open = ownStream(random);
  for (let i = 1; i <= options.closed; i++) {
    new ClosedClient(trade, `c${i}`, ownStream(closed)).start();
  }
  if (options.openPerSecond <= 0) return;
  for (let i = 1; i <= options.open; i++) {
    new OpenClient(trade, `o${i}`, ownStream(open)).start();
  }
}

function ownStream(random: Random): Random {
  return new SeededRandom(random.below(0x1_0000_0000));
}

/** What both kinds do: choose a member, call, and try again. */
abstract class Client implements ClientContext {
  readonly name: string;
  calls = 0;
  protected readonly trade: Trade;
  protected readonly random: Random;
  readonly #choice: MemberChoice;

  constructor(trade: Trade, name: string, random: Random) {
    this.trade = trade;
    this.name = name;
    this.random = random;
    this.#choice = new MemberChoice(trade.harbour.members, random);
  }

  /** The call has come to its end, whatever that was. */
  protected abstract finished(): void;

  /** Makes the next call. */
  protected begin(): void {
    this.#attempt(this.trade.workload.next(this.random, this), 1);
  }

  #attempt(call: Call<unknown, unknown>, attempt: number): void {
    const member = this.#choice.next();
    this.calls++;
    this.trade.harbour.call(member, call, this.#terms(), (operation) => {
      this.trade.workload.ended?.(operation);
      if (attempt < ATTEMPTS_MAX && this.#triesAgain(operation)) this.#again(call, attempt + 1);
      else this.finished();
    });
  }

  #triesAgain(operation: SimOperation): boolean {
    if (this.trade.harbour.isOver) return false;
    if (operation.outcome === "not-done") return true;
    return operation.outcome === "unknown" && chance(this.random, IMPATIENT_SHARE);
  }

  #again(call: Call<unknown, unknown>, attempt: number): void {
    this.#choice.leave();
    const backoffUs = between(this.random, BACKOFF_US.min, BACKOFF_US.max);
    this.trade.harbour.after(backoffUs, () => {
      const { harbour, workload } = this.trade;
      if (!harbour.isOver) this.#attempt(workload.again?.(call, this) ?? call, attempt);
    });
  }

  #terms(): CallTerms {
    const { timeoutMaxMs } = this.trade.options;
    const maxMs = chance(this.random, HASTY_SHARE) ? Math.ceil(timeoutMaxMs / 10) : timeoutMaxMs;
    const minMs = Math.min(TIMEOUT_MIN_MS, timeoutMaxMs);
    return { client: this.name, timeoutMs: between(this.random, minMs, maxMs) };
  }
}

/** Calls, waits, thinks. */
class ClosedClient extends Client {
  start(): void {
    this.finished();
  }

  protected override finished(): void {
    const { harbour, options } = this.trade;
    if (harbour.isOver) return;
    harbour.after(between(this.random, 0, options.thinkMaxMs * 1_000), () => {
      if (!harbour.isOver) this.begin();
    });
  }
}

/** Calls at a fixed rate. */
class OpenClient extends Client {
  #outstanding = 0;
  readonly #periodUs: number;
  readonly #turn = (): void => this.#turnComes();

  constructor(trade: Trade, name: string, random: Random) {
    super(trade, name, random);
    this.#periodUs = Math.max(1, Math.round(1_000_000 / trade.options.openPerSecond));
  }

  start(): void {
    // Clients of the same rate do not call at the same moments.
    this.trade.harbour.after(this.random.below(this.#periodUs), this.#turn);
  }

  protected override finished(): void {
    this.#outstanding--;
  }

  #turnComes(): void {
    if (this.trade.harbour.isOver) return;
    this.trade.harbour.after(this.#periodUs, this.#turn);
    if (this.#outstanding >= OUTSTANDING_MAX) return;
    this.#outstanding++;
    this.begin();
  }
}

/** The member that a client turns to. */
class MemberChoice {
  readonly #members: readonly MemberView[];
  readonly #random: Random;
  #current: MemberView | undefined;
  #callsLeft = 0;

  constructor(members: readonly MemberView[], random: Random) {
    this.#members = members;
    this.#random = random;
  }

  next(): MemberView {
    const current = this.#current;
    if (current !== undefined && this.#callsLeft > 0 && listens(current)) {
      this.#callsLeft--;
      return current;
    }
    const chosen = this.#choose(current);
    this.#current = chosen;
    this.#callsLeft = this.#random.below(STICKY_CALLS_MAX);
    return chosen;
  }

  /** The next call goes elsewhere, where there is an elsewhere. */
  leave(): void {
    this.#callsLeft = 0;
  }

  #choose(left: MemberView | undefined): MemberView {
    const members = this.#members;
    if (chance(this.#random, BLIND_SHARE)) return pick(this.#random, members);
    const first = this.#random.below(members.length);
    for (let i = 0; i < members.length; i++) {
      const member = members[(first + i) % members.length]!;
      if (member !== left && listens(member)) return member;
    }
    return left !== undefined && listens(left) ? left : members[first]!;
  }
}

/** Whether a process accepts connections; one that stands still does. */
function listens(member: MemberView): boolean {
  return member.state === "up" || member.state === "paused";
}
