/**
 * A network of cores for tests: virtual time, messages that can be delayed and lost, disks whose
 * completions can be held back, crashes that keep only what was durable.
 *
 * It does what output.ts asks of a caller, in the order it asks for, and nothing else; what happens
 * depends on the options and the seed alone. It also watches: at most one leader per term, and one
 * entry per committed index over all members and restarts; a breach throws at once.
 *
 * Time moves only in `run`, `runUntil` and `runTurn`. A member's *turn*: the messages that are due
 * are stepped, then the timer if it is due, then outputs are taken until there are none.
 */
import { fromUtf8 } from "../util/bytes.ts";
import type { Random } from "../util/random.ts";
import { SeededRandom } from "../util/random.ts";
import type { Configuration, MemberId } from "./configuration.ts";
import { EMPTY_CONFIGURATION } from "./configuration.ts";
import type { ProposeResult, RaftOptions, SnapshotPoint, TransferResult } from "./contract.ts";
import type { PackedEntries } from "./entry.ts";
import { EntryCursor, EntryKind } from "./entry.ts";
import type { AppliedEntry } from "./member-harness.ts";
import { commands, configurationOf, raftOptions, TestNode } from "./member-harness.ts";
import type { MembershipChange, MembershipResult } from "./membership-change.ts";
import type { ChangeOptions } from "./membership.ts";
import { isLeading } from "./message.ts";
import type { Message } from "./message.ts";
import type { Envelope, Output, ReadOutcome } from "./output.ts";
import { Raft } from "./raft.ts";

export {
  commands,
  configurationOf,
  incarnationOf,
  raftOptions,
  TestDisk,
  TestNode,
} from "./member-harness.ts";

/** How a network is set up. Everything has a default. */
export interface TestNetworkOptions {
  /** Default n1, n2, n3. */
  readonly voters?: readonly MemberId[];
  readonly learners?: readonly MemberId[];
  /** Members with an empty log that no configuration names yet. */
  readonly strangers?: readonly MemberId[];
  readonly seed?: number;
  /** Default 1. */
  readonly latencyMs?: number;
  /** Up to this much more, drawn per message; messages of one link stay in order. Default 0. */
  readonly jitterMs?: number;
  /** `auto`: every write is durable at once. `manual`: only when the test says so. */
  readonly persistence?: "auto" | "manual";
  readonly raft?: Partial<RaftOptions>;
  /** Randomness of one member; default a generator seeded by `seed` and its position. */
  readonly random?: (id: MemberId, position: number) => Random;
  readonly observer?: TestObserver;
}

/** What a test may want to hear of. */
export interface TestObserver {
  readonly output?: (node: TestNode, output: Output) => void;
  readonly sent?: (nowMs: number, from: MemberId, envelope: Envelope) => void;
  readonly delivered?: (nowMs: number, from: MemberId, to: MemberId, message: Message) => void;
  readonly dropped?: (nowMs: number, from: MemberId, to: MemberId, message: Message) => void;
}

interface InFlight {
  readonly atMs: number;
  readonly from: MemberId;
  readonly to: MemberId;
  readonly message: Message;
}

/** See the top of this file. */
export class TestNetwork {
  nowMs = 0;
  readonly nodes: Map<MemberId, TestNode> = new Map();
  readonly configuration: Configuration;
  /** Sent and not arrived, in order of arrival. A test may look and remove. */
  inFlight: InFlight[] = [];
  /** Messages for which this returns true are lost when they are sent. */
  drop: ((from: MemberId, to: MemberId, message: Message) => boolean) | undefined = undefined;
  /** Committed entries by index, as first seen: term and text. */
  readonly committed: Map<number, string> = new Map();
  readonly leaders: Map<number, MemberId> = new Map();
  readonly #options: TestNetworkOptions;
  readonly #random: SeededRandom;
  readonly #blocked: Set<string> = new Set();
  readonly #linkMs: Map<string, number> = new Map();
  #starts = 0;
  #contexts = 0;

  constructor(options: TestNetworkOptions = {}) {
    const { voters = ["n1", "n2", "n3"], learners = [], strangers = [], seed = 1 } = options;
    this.#options = options;
    this.#random = new SeededRandom(seed);
    this.configuration = configurationOf(voters, learners);
    const ids = this.configuration.members.map((member) => member.id);
    [...ids, ...strangers].forEach((id, position) => {
      const random = options.random?.(id, position) ?? new SeededRandom(seed * 1_000 + position);
      this.nodes.set(id, new TestNode(id, options.persistence !== "manual", random));
    });
    for (const id of this.nodes.keys()) this.restart(id);
  }

  node(id: MemberId): TestNode {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`no member ${id}`);
    return node;
  }

  raft(id: MemberId): Raft {
    return this.node(id).raft;
  }

  /** The leader of the highest term among members that are up. */
  leader(): TestNode | undefined {
    let found: TestNode | undefined;
    for (const node of this.nodes.values()) {
      if (!node.isUp || node.paused || node.raft.status().role !== "leader") continue;
      if (found === undefined || node.raft.status().term > found.raft.status().term) found = node;
    }
    return found;
  }

  /** Runs until a leader has committed in its own term, and returns it. */
  elect(maxMs = 20_000): TestNode {
    this.runUntil(() => this.leader()?.raft.status().ready === true, maxMs);
    return this.leader()!;
  }

  /** Makes `id` the leader: what others say as candidates or leaders is lost until then. */
  electNode(id: MemberId, maxMs = 20_000): TestNode {
    const isRival = (message: Message): boolean =>
      message.type === "pre-vote" || message.type === "request-vote" || isLeading(message);
    const before = this.drop;
    this.drop = (from, to, message) =>
      (from !== id && isRival(message)) || (before?.(from, to, message) ?? false);
    try {
      this.runUntil(() => this.leader()?.id === id && this.raft(id).status().ready, maxMs);
    } finally {
      this.drop = before;
    }
    return this.node(id);
  }

  propose(id: MemberId, ...texts: readonly string[]): ProposeResult {
    return this.proposeEntries(id, commands(...texts));
  }

  proposeEntries(id: MemberId, entries: PackedEntries): ProposeResult {
    const result = this.raft(id).propose(this.nowMs, entries);
    this.pump(this.node(id));
    return result;
  }

  transfer(id: MemberId, target?: MemberId): TransferResult {
    const result = this.raft(id).transferLeadership(this.nowMs, target);
    this.pump(this.node(id));
    return result;
  }

  change(id: MemberId, change: MembershipChange, options?: ChangeOptions): MembershipResult {
    const result = this.raft(id).changeMembership(this.nowMs, change, options);
    this.pump(this.node(id));
    return result;
  }

  /** Starts a read and returns its context; undefined where it was refused. */
  read(id: MemberId): number | undefined {
    const context = ++this.#contexts;
    const taken = this.raft(id).readIndex(this.nowMs, context);
    this.pump(this.node(id));
    return taken ? context : undefined;
  }

  /** How a read ended, if it has. */
  outcome(id: MemberId, context: number | undefined): ReadOutcome | undefined {
    return this.node(id).reads.find((outcome) => outcome.context === context);
  }

  /** Lets a member take in a message as if it had just arrived. */
  deliver(from: MemberId, to: MemberId, message: Message): void {
    const node = this.node(to);
    node.raft.step(this.nowMs, from, message);
    this.pump(node);
  }

  /** Messages from one to the other are lost from now on, those in flight too. */
  block(from: MemberId, to: MemberId): void {
    this.#blocked.add(`${from}>${to}`);
    this.inFlight = this.inFlight.filter((m) => m.from !== from || m.to !== to);
  }

  /** Only members of the same group hear each other; who is in no group is alone. */
  partition(...groups: readonly (readonly MemberId[])[]): void {
    this.heal();
    for (const a of this.nodes.keys()) {
      for (const b of this.nodes.keys()) {
        if (a === b || groups.some((group) => group.includes(a) && group.includes(b))) continue;
        this.block(a, b);
      }
    }
  }

  /** Cuts a member off from all others. */
  isolate(id: MemberId): void {
    for (const other of this.nodes.keys()) {
      if (other === id) continue;
      this.block(id, other);
      this.block(other, id);
    }
  }

  heal(): void {
    this.#blocked.clear();
  }

  /** The member does nothing until resumed; what is sent to it waits. */
  pause(id: MemberId): void {
    this.node(id).paused = true;
  }

  resume(id: MemberId): void {
    this.node(id).paused = false;
  }

  /** What was not durable is gone, and so is what was on its way from it. */
  crash(id: MemberId): void {
    const node = this.node(id);
    node.core = undefined;
    node.pending = [];
    node.held = [];
    node.paused = false;
    this.inFlight = this.inFlight.filter((m) => m.from !== id && m.to !== id);
    for (const other of this.nodes.values()) {
      if (!other.isUp || other.paused) continue;
      other.raft.unreachable(this.nowMs, id);
      this.pump(other);
    }
  }

  /** Starts a member from what was durable. */
  restart(id: MemberId): void {
    const node = this.node(id);
    node.written = node.durable.copy();
    node.applied = this.#committedUpTo(node.durable.start?.index ?? 0);
    const options = raftOptions(id, {
      random: node.random,
      startNonce: ++this.#starts * 1_000_000,
      ...this.#options.raft,
    });
    const isStranger = this.#options.strangers?.includes(id) === true;
    const start = isStranger ? EMPTY_CONFIGURATION : this.configuration;
    node.core = new Raft(options, node.durable.recovered(start), this.nowMs);
    this.pump(node);
  }

  /** A member lets go of its entries up to `index`, which it has applied. */
  compact(id: MemberId, index: number): void {
    const node = this.node(id);
    const point = this.pointOf(id, index);
    node.raft.compact(this.nowMs, index);
    node.durable.release(point);
    node.written.release(point);
    this.pump(node);
  }

  /** The snapshot that a member could have at `index`. */
  pointOf(id: MemberId, index: number): SnapshotPoint {
    const { raft } = this.node(id);
    const term = raft.state.log.termAt(index);
    const configuration = raft.configurationAt(index);
    if (term === undefined || configuration === undefined) throw new Error(`no entry ${index}`);
    return { index, term, configuration, timeMs: 0 };
  }

  /** Makes the oldest `count` writes of a member durable, and says so with one call. */
  persist(id: MemberId, count: number = Infinity): void {
    const node = this.node(id);
    const done = node.pending.splice(0, count);
    if (done.length === 0) return;
    for (const output of done) node.durable.write(output);
    node.raft.persisted(this.nowMs, done.at(-1)!.number);
    this.#release(node);
    this.pump(node);
  }

  /** Moves time to the next thing that happens, at most to `untilMs`, and lets it happen. */
  runTurn(untilMs: number = Infinity): void {
    this.nowMs = Math.max(this.nowMs, Math.min(this.#nextMs(), untilMs));
    const dirty = new Set<TestNode>();
    for (const due of this.#takeDue()) {
      const node = this.node(due.to);
      if (!node.isUp) continue;
      this.#options.observer?.delivered?.(this.nowMs, due.from, due.to, due.message);
      node.raft.step(this.nowMs, due.from, due.message);
      dirty.add(node);
    }
    for (const node of this.nodes.values()) {
      if (!node.isUp || node.paused || node.raft.nextDeadlineMs > this.nowMs) continue;
      node.raft.tick(this.nowMs);
      dirty.add(node);
    }
    for (const node of dirty) this.pump(node);
  }

  run(ms: number): void {
    const untilMs = this.nowMs + ms;
    while (this.#nextMs() <= untilMs) this.runTurn();
    this.nowMs = untilMs;
  }

  /** Runs until `condition` holds; throws if it does not within `maxMs`. */
  runUntil(condition: () => boolean, maxMs = 20_000): void {
    const untilMs = this.nowMs + maxMs;
    while (!condition()) {
      if (this.#nextMs() > untilMs)
        throw new Error(`not within ${maxMs} ms: ${condition.toString()}`);
      this.runTurn();
    }
  }

  /** Takes every output of a member and does what it says. */
  pump(node: TestNode): void {
    for (;;) {
      const output = node.raft.takeOutput(this.nowMs);
      if (output === undefined) return;
      this.#perform(node, output);
    }
  }

  #perform(node: TestNode, output: Output): void {
    this.#options.observer?.output?.(node, output);
    node.outputs.push(output);
    node.events.push(...output.events);
    node.reads.push(...output.reads);
    this.#watch(node, output);
    node.written.write(output);
    const { hardState, reset, entries } = output;
    if (hardState !== undefined || reset !== undefined || entries.length > 0) {
      node.pending.push(output);
    }
    if (reset !== undefined) {
      node.applied = this.#committedUpTo(reset.index);
      node.raft.applied(this.nowMs, reset.index);
    }
    for (const envelope of output.messages) {
      if (envelope.after === 0) this.#send(node.id, envelope);
      else node.held.push(envelope);
    }
    if (node.autoPersist && node.pending.length > 0) {
      for (const write of node.pending) node.durable.write(write);
      node.pending = [];
      node.raft.persisted(this.nowMs, output.number);
      this.#release(node);
    }
    this.#apply(node, output.commit);
    if (!node.autoLoad) return;
    for (const load of output.loads) {
      node.raft.loaded(this.nowMs, load, node.written.read(load.from, load.to, load.bytesMax));
    }
  }

  #release(node: TestNode): void {
    const first = node.pending[0]?.number ?? Infinity;
    const ready = node.held.filter((envelope) => envelope.after < first);
    node.held = node.held.filter((envelope) => envelope.after >= first);
    for (const envelope of ready) this.#send(node.id, envelope);
  }

  #send(from: MemberId, envelope: Envelope): void {
    const { to, message } = envelope;
    const { observer, latencyMs = 1, jitterMs = 0 } = this.#options;
    observer?.sent?.(this.nowMs, from, envelope);
    const link = `${from}>${to}`;
    const isLost =
      this.#blocked.has(link) ||
      this.nodes.get(to)?.isUp !== true ||
      (this.drop?.(from, to, message) ?? false);
    if (isLost) {
      observer?.dropped?.(this.nowMs, from, to, message);
      return;
    }
    const jitter = jitterMs > 0 ? this.#random.below(jitterMs + 1) : 0;
    const earliest = this.#linkMs.get(link) ?? 0;
    const atMs = Math.max(earliest, this.nowMs + latencyMs + jitter);
    this.#linkMs.set(link, atMs);
    let at = this.inFlight.length;
    while (at > 0 && this.inFlight[at - 1]!.atMs > atMs) at--;
    this.inFlight.splice(at, 0, { atMs, from, to, message });
  }

  #takeDue(): InFlight[] {
    const due: InFlight[] = [];
    const rest: InFlight[] = [];
    for (const message of this.inFlight) {
      const isDue = message.atMs <= this.nowMs && !this.node(message.to).paused;
      (isDue ? due : rest).push(message);
    }
    this.inFlight = rest;
    return due;
  }

  #nextMs(): number {
    let next = Infinity;
    for (const message of this.inFlight) {
      if (!this.node(message.to).paused) next = Math.min(next, message.atMs);
    }
    for (const node of this.nodes.values()) {
      if (node.isUp && !node.paused) next = Math.min(next, node.raft.nextDeadlineMs);
    }
    return next === Infinity ? next : Math.max(next, this.nowMs);
  }

  #apply(node: TestNode, commit: number): void {
    const from = node.raft.state.applied + 1;
    if (commit < from) return;
    const cursor = new EntryCursor();
    for (const batch of node.written.batches) {
      if (batch.lastIndex < from || batch.firstIndex > commit) continue;
      cursor.reset(batch, Math.max(from, batch.firstIndex));
      while (cursor.next() && cursor.view.index <= commit) {
        const { index, kind, payload } = cursor.view;
        const text = kind === EntryKind.command ? fromUtf8(payload) : "";
        node.applied.push({ index, term: batch.term, kind, text });
        this.#agree(node, index, `${batch.term}/${kind}/${text}`);
      }
    }
    node.raft.applied(this.nowMs, commit);
  }

  /** What a machine holds that was restored from a snapshot at `index`. */
  #committedUpTo(index: number): AppliedEntry[] {
    const applied: AppliedEntry[] = [];
    for (let i = 1; i <= index; i++) {
      const [term, kind, ...text] = (this.committed.get(i) ?? "0/0/").split("/");
      const entry = { index: i, term: Number(term), kind: Number(kind) as EntryKind };
      applied.push({ ...entry, text: text.join("/") });
    }
    return applied;
  }

  #agree(node: TestNode, index: number, entry: string): void {
    const known = this.committed.get(index);
    if (known === undefined) this.committed.set(index, entry);
    else if (known !== entry) {
      throw new Error(`${node.id} applied ${entry} at ${index} where ${known} was committed`);
    }
  }

  #watch(node: TestNode, output: Output): void {
    for (const event of output.events) {
      if (event.type !== "role" || event.role !== "leader") continue;
      const known = this.leaders.get(event.term);
      if (known !== undefined) {
        throw new Error(`${known} and ${node.id} both became leader of term ${event.term}`);
      }
      this.leaders.set(event.term, node.id);
    }
  }
}
