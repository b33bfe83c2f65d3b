/**
 * The search behind `checkLinearizable`: is there an order of one partition's operations that
 * respects real time and that the model accepts?
 *
 * Wing and Gong's depth-first search with Lowe's memory of visited configurations (a configuration
 * is the set of placed operations and the state of the model; from equal configurations the same
 * orders follow). An operation may be placed next if it was called before any operation that is not
 * placed yet had returned. The set of placed operations is kept as a bitset. Remembered is only the
 * window that matters: below the oldest operation not placed everything is, and nothing can be
 * placed that was called after it returned.
 *
 * Operations of unknown outcome (timeouts) never have to be placed and can be placed anywhere after
 * their call, so every one of them would double the configurations. Three rules keep them cheap.
 *
 *  1. *They are placed only where they are needed.* A move is a chain of unknown operations
 *     followed by one that was answered. Consider two neighbours u, y of a move, u unknown, taken
 *     from state p to state s. If y alone takes p to a state that covers s (everything that may
 *     follow s may follow it), u can be left out. If y and then u do so, and y was answered, u can
 *     be moved behind y. (If y is unknown too, only when y was called first, lest both orders be
 *     given up for each other.) So take among all valid orders one with the fewest unknown
 *     operations, among these one in which they stand latest, among these one with neighbouring
 *     unknown ones in call order wherever they commute: no pair in it can be improved. Moves that
 *     contain such a pair are skipped and this order is still found. An unknown operation behind
 *     the last answered one is left out. The argument holds from every configuration on and speaks
 *     of nothing before it, so skipping does not disturb the memory of visited configurations.
 *  2. *Interchangeable ones are used in the order of their calls.* In a valid order that uses the
 *     later called one of two first, swapping them is valid: the earlier called one may stand at
 *     both places, and the later called one may stand where the earlier one stood, which is later
 *     still.
 *  3. *The special before the general.* Where one that can stand in for another would do the same
 *     as that other, only the other is tried: if it is used later, the first can stand in for it
 *     there.
 *  4. Chains are tried only after every answered operation has been tried by itself.
 *
 * And one rule for all: an answered operation that changes nothing (a read, a failed comparison),
 * fits now and tells nothing new about the state is placed at once, and nothing else is tried. Any
 * valid order that has it later stays valid when it is moved here.
 */
import type { DoneOperation, Operation, UnknownOperation } from "./history.ts";
import type { SequentialModel } from "./sequential-model.ts";

/** How much a search may cost, shared by the searches of one check. */
export interface SearchBudget {
  /** Called every few thousand steps; false ends the search. */
  mayContinue(steps: number): boolean;
  /** Remembered configurations beyond this end the search. */
  readonly configurationsMax: number;
}

/** How a search ended; `violated` is a proof, `unknown` means that the budget was used up. */
export type SearchVerdict = "ok" | "violated" | "unknown";

/** Where the search got furthest, for reports. */
export interface SearchDeadEnd<Input, Output, State> {
  readonly placed: number;
  /** The last operations of the longest order found. */
  readonly tail: ReadonlyArray<Operation<Input, Output>>;
  readonly state: State;
  /** The operations of which one would have to come next, and none can. */
  readonly stuck: ReadonlyArray<Operation<Input, Output>>;
}

/** One answered operation, placed behind the unknown ones it needs. */
interface Move<State> {
  readonly op: number;
  readonly chain: readonly number[];
  readonly state: State;
}

/** An unknown operation, and the state it leads to. */
interface Effect<State> {
  readonly u: number;
  readonly after: State;
}

interface Node<State> {
  readonly state: State;
  readonly stateKey: string;
  readonly move: Move<State> | undefined;
  readonly candidates: readonly number[];
  /** The earliest return among the operations not placed. */
  readonly horizon: number;
  cursor: number;
  /** Moves with chains, once all others have failed. */
  chains: Array<Move<State>> | undefined;
  /** A read-only operation was placed from here: nothing else needs to be tried. */
  committed: boolean;
}

const CHECK_EVERY_STEPS = 4096;
const TAIL_MAX = 10;

/** Thrown inside, caught inside: the budget is used up. */
class BudgetSpent extends Error {}

/** Searches one partition. Use once. */
export class LinearizabilitySearch<Input, Output, State> {
  readonly #model: SequentialModel<Input, Output, State>;
  readonly #budget: SearchBudget;
  /** The operations as they were recorded, by those that the model settled. */
  readonly #original = new Map<Operation<Input, Output>, Operation<Input, Output>>();
  readonly #done: ReadonlyArray<DoneOperation<Input, Output>>;
  readonly #unknown: ReadonlyArray<UnknownOperation<Input>>;
  readonly #readOnly: readonly boolean[];
  readonly #rank: ReadonlyArray<number | undefined>;
  /** All ranks, sorted. Ranked operations are placed in this order: a count says which is next. */
  readonly #ranks: readonly number[];
  #ranksPlaced = 0;
  /** Of an unknown operation: the interchangeable one called before it, or -1. */
  readonly #twin: readonly number[];
  /** Answered operations not placed yet, linked in call order; the last slot is the anchor. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** The last operation called before operation i returned. */
  readonly #reach: Int32Array;
  readonly #placed: Uint32Array;
  readonly #used: Uint32Array;
  readonly #visited = new Map<number, Uint32Array[]>();
  readonly #stateIds = new Map<string, number>();
  #configurations = 0;
  #path: Array<Node<State>> = [];
  #deepest = -1;
  #deadEnd: SearchDeadEnd<Input, Output, State> | undefined;
  /** How often the model was asked. */
  steps = 0;

  constructor(
    model: SequentialModel<Input, Output, State>,
    operations: ReadonlyArray<Operation<Input, Output>>,
    budget: SearchBudget,
  ) {
    this.#model = model;
    this.#budget = budget;
    const settled = model.settle(operations);
    settled.forEach((operation, i) => this.#original.set(operation, operations[i]!));
    const sorted = settled.toSorted((a, b) => a.callAt - b.callAt);
    const done = sorted.filter((operation) => operation.outcome === "done");
    this.#done = done;
    this.#unknown = sorted.filter((operation) => operation.outcome === "unknown");
    this.#readOnly = done.map(({ input, output }) => model.isReadOnly(input, output));
    this.#twin = twinsOf(this.#unknown, (input) => model.inputKey(input));
    this.#rank = done.map(({ input, output }) => model.rank(input, output));
    this.#ranks = this.#rank.filter((rank) => rank !== undefined).sort((a, b) => a - b);
    const n = done.length;
    this.#next = Int32Array.from({ length: n + 1 }, (_, i) => (i + 1) % (n + 1));
    this.#previous = Int32Array.from({ length: n + 1 }, (_, i) => (i + n) % (n + 1));
    this.#reach = reachOf(done);
    this.#placed = new Uint32Array((n >>> 5) + 1);
    this.#used = new Uint32Array((this.#unknown.length >>> 5) + 1);
  }

  /** Where the search got furthest, after a verdict other than `ok`. */
  get deadEnd(): SearchDeadEnd<Input, Output, State> | undefined {
    return this.#deadEnd;
  }

  /** Runs to the verdict. */
  run(): SearchVerdict {
    try {
      return this.#search() ? "ok" : "violated";
    } catch (error) {
      if (!(error instanceof BudgetSpent)) throw error;
      this.#noteDeadEnd();
      return "unknown";
    } finally {
      this.#visited.clear();
      this.#path = [];
    }
  }

  #search(): boolean {
    const anchor = this.#done.length;
    this.#path.push(this.#node(this.#model.initial, undefined));
    while (this.#next[anchor] !== anchor) {
      const node = this.#path.at(-1);
      if (node === undefined) return false;
      const move = this.#nextMove(node);
      if (move === undefined) {
        this.#noteDeadEnd();
        this.#path.pop();
        if (node.move !== undefined) this.#takeBack(node.move);
        continue;
      }
      this.#place(move);
      const stateKey = this.#model.stateKey(move.state);
      if (this.#next[anchor] !== anchor && this.#wasVisited(stateKey)) this.#takeBack(move);
      else this.#path.push(this.#node(move.state, move, stateKey));
    }
    return true;
  }

  #node(
    state: State,
    move: Move<State> | undefined,
    stateKey: string = this.#model.stateKey(state),
  ): Node<State> {
    const candidates: number[] = [];
    let horizon = Infinity;
    // Calls ascend: whoever was called after the earliest return so far ends the list.
    for (let i = this.#next[this.#done.length]!; i < this.#done.length; i = this.#next[i]!) {
      const { callAt, returnAt } = this.#done[i]!;
      if (callAt > horizon) break;
      if (returnAt < horizon) horizon = returnAt;
      candidates.push(i);
    }
    return {
      state,
      stateKey,
      move,
      candidates,
      horizon,
      cursor: -1,
      chains: undefined,
      committed: false,
    };
  }

  #nextMove(node: Node<State>): Move<State> | undefined {
    if (node.committed) return undefined;
    if (node.cursor < 0) {
      node.cursor = 0;
      const free = this.#freeMove(node);
      if (free !== undefined) {
        node.committed = true;
        return free;
      }
    }
    while (node.cursor < node.candidates.length) {
      const op = node.candidates[node.cursor++]!;
      if (!this.#isInOrder(op)) continue;
      const state = this.#step(node.state, op);
      if (state !== undefined) return { op, chain: [], state };
    }
    node.chains ??= this.#chains(node).reverse();
    return node.chains.pop();
  }

  /** An operation that changes nothing, not even what is known. */
  #freeMove(node: Node<State>): Move<State> | undefined {
    for (const op of node.candidates) {
      if (!this.#readOnly[op]) continue;
      const state = this.#step(node.state, op);
      if (state !== undefined && this.#model.stateKey(state) === node.stateKey) {
        return { op, chain: [], state };
      }
    }
    return undefined;
  }

  /** Rule 1: the moves in which unknown operations make an answered one possible. */
  #chains(node: Node<State>): Array<Move<State>> {
    const moves: Array<Move<State>> = [];
    const explore = (before: State, last: number, state: State, chain: readonly number[]): void => {
      if (last >= 0) {
        for (const op of node.candidates) {
          if (!this.#isInOrder(op)) continue;
          const after = this.#step(state, op);
          if (after === undefined || this.#improvable(before, last, op, after)) continue;
          moves.push({ op, chain, state: after });
        }
      }
      for (const { u, after } of this.#effects(state, node.horizon, chain)) {
        if (last >= 0 && this.#improvableChain(before, last, u, after)) continue;
        explore(state, u, after, [...chain, u]);
      }
    };
    explore(node.state, -1, node.state, []);
    return moves;
  }

  /** Rules 2 and 3: what unknown operations may do in this state. */
  #effects(state: State, horizon: number, chain: readonly number[]): Array<Effect<State>> {
    const effects: Array<Effect<State>> = [];
    for (let u = 0; u < this.#unknown.length; u++) {
      if (this.#unknown[u]!.callAt > horizon) break;
      if (!this.#isUsable(u, chain)) continue;
      const after = this.#stepUnknown(state, u);
      if (after !== undefined) effects.push({ u, after });
    }
    return effects.filter(
      (general) =>
        !effects.some(
          (special) =>
            this.#model.standsInFor(
              this.#unknown[general.u]!.input,
              this.#unknown[special.u]!.input,
            ) && this.#model.covers(special.after, general.after),
        ),
    );
  }

  #lowestRankLeft(): number | undefined {
    const rank = this.#ranks[this.#ranksPlaced];
    if (rank === undefined) return undefined;
    const op = this.#rank.findIndex((r, i) => r === rank && !bit(this.#placed, i));
    return op < 0 ? undefined : op;
  }

  /** Whether no operation of lower rank is left: it would not fit behind this one. */
  #isInOrder(op: number): boolean {
    const rank = this.#rank[op];
    return rank === undefined || rank === this.#ranks[this.#ranksPlaced];
  }

  #isUsable(u: number, chain: readonly number[]): boolean {
    if (bit(this.#used, u) || chain.includes(u)) return false;
    const twin = this.#twin[u]!;
    return twin < 0 || bit(this.#used, twin) || chain.includes(twin);
  }

  /** Whether u before op can be left out or moved behind it. */
  #improvable(before: State, u: number, op: number, after: State): boolean {
    const without = this.#step(before, op);
    if (without === undefined) return false;
    if (this.#model.covers(without, after)) return true;
    const later = this.#stepUnknown(without, u);
    return later !== undefined && this.#model.covers(later, after);
  }

  /** The same where both are unknown. */
  #improvableChain(before: State, u: number, y: number, after: State): boolean {
    const without = this.#stepUnknown(before, y);
    if (without === undefined) return false;
    if (this.#model.covers(without, after)) return true;
    if (y > u) return false;
    const later = this.#stepUnknown(without, u);
    return later !== undefined && this.#model.covers(later, after);
  }

  #step(state: State, op: number): State | undefined {
    this.#countStep();
    const { input, output } = this.#done[op]!;
    return this.#model.step(state, input, output);
  }

  #stepUnknown(state: State, u: number): State | undefined {
    this.#countStep();
    return this.#model.stepUnknown(state, this.#unknown[u]!.input);
  }

  #countStep(): void {
    if (++this.steps % CHECK_EVERY_STEPS !== 0) return;
    if (!this.#budget.mayContinue(CHECK_EVERY_STEPS)) throw new BudgetSpent();
  }

  #place({ op, chain }: Move<State>): void {
    const next = this.#next[op]!;
    const previous = this.#previous[op]!;
    this.#next[previous] = next;
    this.#previous[next] = previous;
    flip(this.#placed, op);
    for (const u of chain) flip(this.#used, u);
    if (this.#rank[op] !== undefined) this.#ranksPlaced++;
  }

  /** Moves are taken back in the reverse order, so the links of `op` still name its neighbours. */
  #takeBack({ op, chain }: Move<State>): void {
    this.#next[this.#previous[op]!] = op;
    this.#previous[this.#next[op]!] = op;
    flip(this.#placed, op);
    for (const u of chain) flip(this.#used, u);
    if (this.#rank[op] !== undefined) this.#ranksPlaced--;
  }

  /** Remembers the present configuration; true if it was known. */
  #wasVisited(stateKey: string): boolean {
    let stateId = this.#stateIds.get(stateKey);
    if (stateId === undefined) {
      stateId = this.#stateIds.size;
      this.#stateIds.set(stateKey, stateId);
    }
    const low = this.#next[this.#done.length]!;
    const first = low >>> 5;
    const window = this.#placed.subarray(first, (this.#reach[low]! >>> 5) + 1);
    const words = new Uint32Array(2 + window.length + this.#used.length);
    words[0] = low;
    words[1] = stateId;
    words.set(window, 2);
    words.set(this.#used, 2 + window.length);
    const hash = hashOf(words);
    const bucket = this.#visited.get(hash);
    if (bucket?.some((known) => equalWords(known, words)) === true) return true;
    if (++this.#configurations > this.#budget.configurationsMax) throw new BudgetSpent();
    if (bucket === undefined) this.#visited.set(hash, [words]);
    else bucket.push(words);
    return false;
  }

  #noteDeadEnd(): void {
    const node = this.#path.at(-1);
    if (node === undefined || this.#path.length <= this.#deepest) return;
    this.#deepest = this.#path.length;
    const original = (operation: Operation<Input, Output>): Operation<Input, Output> =>
      this.#original.get(operation)!;
    const tail: Array<Operation<Input, Output>> = [];
    for (const { move } of this.#path.slice(-TAIL_MAX)) {
      if (move === undefined) continue;
      for (const u of move.chain) tail.push(original(this.#unknown[u]!));
      tail.push(original(this.#done[move.op]!));
    }
    const stuck = node.candidates.map((op) => original(this.#done[op]!));
    const first = this.#lowestRankLeft();
    if (first !== undefined && !node.candidates.includes(first)) {
      stuck.push(original(this.#done[first]!));
    }
    this.#deadEnd = { placed: this.#path.length - 1, tail, state: node.state, stuck };
  }
}

function twinsOf<Input>(
  unknown: ReadonlyArray<UnknownOperation<Input>>,
  classOf: (input: Input) => string,
): number[] {
  const last = new Map<string, number>();
  return unknown.map(({ input }, u) => {
    const name = classOf(input);
    const twin = last.get(name) ?? -1;
    last.set(name, u);
    return twin;
  });
}

function reachOf(done: ReadonlyArray<DoneOperation<unknown, unknown>>): Int32Array {
  return Int32Array.from(done, ({ returnAt }) => {
    let low = 0;
    let high = done.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (done[middle]!.callAt <= returnAt) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  });
}

function bit(words: Uint32Array, i: number): boolean {
  return ((words[i >>> 5]! >>> (i & 31)) & 1) === 1;
}

function flip(words: Uint32Array, i: number): void {
  words[i >>> 5]! ^= 1 << (i & 31);
}

/** FNV-1a over words: only a bucket; equality is checked word by word. */
function hashOf(words: Uint32Array): number {
  let hash = 0x811c9dc5;
  for (const word of words) hash = Math.imul(hash ^ word, 0x01000193) ^ (hash >>> 15);
  return hash;
}

function equalWords(a: Uint32Array, b: Uint32Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
