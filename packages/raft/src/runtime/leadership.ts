/**
 * Leadership as users see it: moved, watched, and worked under.
 *
 * `whileLeader` runs work for as long as this member leads *and has committed in its term*: before
 * that it does not know how far its predecessors got. Work that goes on after the loss is stopped
 * by its signal, but nothing can stop it in time: this process may be paused just then, while
 * another member leads already. What makes the work safe is the *fence*: a number that only grows
 * from one leadership to the next, over all members and restarts (it is the term). Whoever is
 * written to under a fence remembers the highest one seen and refuses a lower one.
 */
import type { MemberId } from "../core/configuration.ts";
import { QuorateError } from "../util/error.ts";
import type { Engine } from "./engine.ts";
import type {
  LeaderWork,
  Leadership,
  LeadershipState,
  TransferOptions,
  WhileLeaderOptions,
} from "./replica.ts";

/** How the handle makes a call of a wish. */
export type MakeTransfer = (
  target: MemberId | undefined,
  options: TransferOptions | undefined,
) => Promise<MemberId>;

/** {@link Leadership} on an {@link Engine}. */
export class LeadershipHandle implements Leadership {
  readonly #engine: Engine;
  readonly #transfer: MakeTransfer;

  constructor(engine: Engine, transfer: MakeTransfer) {
    this.#engine = engine;
    this.#transfer = transfer;
  }

  transfer(target?: MemberId, options?: TransferOptions): Promise<MemberId> {
    return this.#transfer(target, options);
  }

  whileLeader(work: LeaderWork, options: WhileLeaderOptions = {}): Promise<void> {
    return new Promise((resolve, reject: (error: unknown) => void) => {
      const worker = new LeaderWorker(this.#engine, work, { resolve, reject });
      worker.begin(options.signal);
    });
  }

  watch(listener: (state: LeadershipState) => void): () => void {
    const { observers, group } = this.#engine;
    let isDue = false;
    let isOver = false;
    const tell = (): void => {
      isDue = false;
      if (isOver) return;
      const fence = group.leadingTerm;
      try {
        listener({ leader: group.leader, isLeader: fence !== undefined, fence });
      } catch {
        // Nobody who looks can harm what is looked at.
      }
    };
    const changed = (): void => {
      if (isDue) return;
      isDue = true;
      void Promise.resolve().then(tell);
    };
    const types = ["leader", "role", "ready", "closed", "failed", "removed"] as const;
    const stops = types.map((type) => observers.on(type, changed));
    changed();
    return () => {
      isOver = true;
      for (const stop of stops) stop();
    };
  }
}

interface Ends {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** One call of `whileLeader`. */
class LeaderWorker {
  readonly #engine: Engine;
  readonly #work: LeaderWork;
  readonly #ends: Ends;
  /** The leadership that was last worked under. */
  #fence = 0;
  #running: AbortController | undefined;
  #isOver = false;
  readonly #stops: (() => void)[] = [];

  constructor(engine: Engine, work: LeaderWork, ends: Ends) {
    this.#engine = engine;
    this.#work = work;
    this.#ends = ends;
  }

  begin(signal: AbortSignal | undefined): void {
    const { observers, group } = this.#engine;
    if (signal?.aborted === true || this.#engine.isClosing) {
      this.#ends.resolve();
      return;
    }
    if (group.failure !== undefined) {
      this.#ends.reject(group.refusal());
      return;
    }
    const look = (): void => this.#look();
    const finish = (): void => this.#finish();
    this.#stops.push(observers.on("ready", look), observers.on("role", look));
    this.#stops.push(observers.on("closing", finish), observers.on("removed", finish));
    this.#stops.push(observers.on("failed", () => this.#fail(group.refusal())));
    signal?.addEventListener("abort", finish, { once: true });
    this.#stops.push(() => signal?.removeEventListener("abort", finish));
    this.#look();
  }

  #look(): void {
    const term = this.#engine.group.leadingTerm;
    if (this.#running !== undefined && term !== this.#fence) this.#abort();
    // One at a time: what began under the last leadership has to end first.
    if (this.#isOver || this.#running !== undefined) return;
    if (term !== undefined && term > this.#fence) void this.#run(term);
  }

  async #run(fence: number): Promise<void> {
    const controller = new AbortController();
    this.#running = controller;
    this.#fence = fence;
    try {
      await this.#work({ signal: controller.signal, fence });
    } catch (error) {
      // What work throws after its signal is how it stops.
      if (!controller.signal.aborted) this.#fail(error);
    }
    this.#running = undefined;
    if (this.#isOver) this.#ends.resolve();
    else this.#look();
  }

  #abort(): void {
    this.#running?.abort(new QuorateError("ABORTED", "this member does not lead any more"));
  }

  #fail(error: unknown): void {
    this.#ends.reject(error);
    this.#finish();
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const stop of this.#stops) stop();
    if (this.#running === undefined) this.#ends.resolve();
    else this.#abort();
  }
}
