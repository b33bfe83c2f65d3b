/**
 * One random life of a network of cores, under faults that aim: they strike shortly after something
 * happened that matters (somebody was elected, voted, acknowledged, committed), with fast restarts
 * as well as slow ones, and with disks that complete late. Uniformly random faults miss the races
 * that need two things close together, like a vote that was not synced.
 *
 * Faults: messages lost, late, doubled, old answers heard again by who has just been elected or has
 * just woken up; links cut both ways or one way;
 * members isolated, stopped and continued, crashed with everything that was not durable; slow and
 * fast disks, completions of several writes at once or reported again; loads from the log that
 * fail or come late; logs that let go of what is applied, so that members need snapshots, which
 * come late, twice or not at all. Everything is drawn from the seed.
 *
 * A walk ends with all faults gone: then a leader, agreement of all members and an answer to every
 * read must come in bounded time.
 */
import { SeededRandom } from "../util/random.ts";
import type { MemberId } from "./configuration.ts";
import type { TestNode } from "./core-harness.ts";
import { TestNetwork } from "./core-harness.ts";
import type { SnapshotPoint } from "./contract.ts";
import type { Message, MessageType } from "./message.ts";
import type { LoadRequest, Output, SnapshotRequest } from "./output.ts";
import type { Raft } from "./raft.ts";
import { membersOf, SafetyWatch } from "./safety-harness.ts";

/** Election timeout of all walks, in ms. */
const T = 100;

/** How long the faults go on, in ms of virtual time. */
const FAULTS_MS = 3_000;
/** Without faults, by when all is well again. */
const HEALED_MS = 30 * T;

interface Task {
  readonly atMs: number;
  readonly run: () => void;
}

interface OldMessage {
  readonly from: MemberId;
  readonly message: Message;
}

/** Old answers that are kept per member and kind, to be heard again. */
const ECHOES_MAX = 16;

/** Counted over many walks, so that a test can show that the faults met something. */
export type WalkStatistics = Map<string, number>;

/** Breaks a core on purpose, to show that it is noticed; called with every output. */
export type Sabotage = (core: Raft, output: Output) => void;

/** See the top of this file. */
export class RandomWalk {
  readonly network: TestNetwork;
  readonly watch: SafetyWatch;
  readonly #random: SeededRandom;
  readonly #statistics: WalkStatistics;
  readonly #sabotage: Sabotage | undefined;
  /** Sorted by time, the next one last. */
  readonly #tasks: Task[] = [];
  readonly #slowDisks: Set<MemberId> = new Set();
  /** Cores whose disk is at work. */
  readonly #busyDisks: Set<Raft> = new Set();
  readonly #echoes: Map<MemberId, Map<MessageType, OldMessage[]>> = new Map();
  #nowMs = 0;
  #lossPercent = 0;
  #isCalm = false;
  #proposals = 0;
  /** How many applied entries are kept at the most when a log lets go; 0 = it never does. */
  readonly #compactions: number;

  constructor(seed: number, statistics: WalkStatistics = new Map(), sabotage?: Sabotage) {
    this.#random = new SeededRandom(seed);
    this.#statistics = statistics;
    this.#sabotage = sabotage;
    const size = [3, 3, 3, 3, 5, 5, 2, 4, 1].at(this.#draw(9)) ?? 3;
    const { voters, learners } = membersOf(size, this.#draw(4) === 0 ? 1 : 0);
    this.watch = new SafetyWatch(voters, () => this.network.nodes.values());
    this.network = new TestNetwork({
      voters,
      learners,
      seed,
      jitterMs: this.#draw(3) * 2,
      persistence: "manual",
      observer: {
        output: (node, output) => this.#onOutput(node, output),
        sent: (_nowMs, from, { to, message }) => this.#onSent(from, to, message),
      },
      raft: {
        electionTimeoutMs: T,
        heartbeatIntervalMs: 25,
        appendBytesMax: 300,
        inflightMessagesMax: 1 + this.#draw(4),
        inflightBytesMax: 1_000,
        tailBytesMax: this.#draw(2) === 0 ? 500 : 1_000_000,
        tailSpareBytes: this.#draw(2) === 0 ? 0 : 1_000_000,
        uncommittedBytesMax: 4_000,
        readsMax: 12,
      },
    });
    this.#compactions = this.#once(3) ? 0 : 1 + this.#draw(30);
    this.network.drop = (from, to, message) => this.#intercept(from, to, message);
    for (const node of this.network.nodes.values()) node.autoLoad = false;
  }

  /** The whole life; throws where a promise is broken or the network does not heal. */
  run(): void {
    this.#schedule(1, () => this.#clients());
    this.#schedule(1, () => this.#weather());
    this.#runTo(FAULTS_MS);
    this.#heal();
    for (const node of this.network.nodes.values()) {
      for (const event of node.events) this.#count(event.type);
      for (const outcome of node.reads) this.#count(outcome.status);
    }
    this.#count("committed", this.watch.commit);
  }

  #draw(n: number): number {
    return this.#random.below(n);
  }

  /** One time in n. */
  #once(n: number): boolean {
    return this.#random.below(n) === 0;
  }

  #count(name: string, by = 1): void {
    this.#statistics.set(name, (this.#statistics.get(name) ?? 0) + by);
  }

  #schedule(delayMs: number, run: () => void): void {
    const atMs = this.#nowMs + delayMs;
    let at = this.#tasks.length;
    while (at > 0 && this.#tasks[at - 1]!.atMs <= atMs) at--;
    this.#tasks.splice(at, 0, { atMs, run });
  }

  /** In steps of a millisecond: what the network does may schedule something soon. */
  #runTo(untilMs: number): void {
    while (this.#nowMs < untilMs) {
      while ((this.#tasks.at(-1)?.atMs ?? Infinity) <= this.#nowMs) this.#tasks.pop()!.run();
      this.network.run(1);
      this.#nowMs = this.network.nowMs;
    }
  }

  #any(): TestNode {
    return [...this.network.nodes.values()].at(this.#draw(this.network.nodes.size))!;
  }

  /** A member that believes it leads, where there is one. */
  #anyLeader(): TestNode {
    const leaders = [...this.network.nodes.values()].filter(
      (node) => node.isUp && node.raft.state.role === "leader",
    );
    return leaders.at(this.#draw(Math.max(1, leaders.length))) ?? this.#any();
  }

  // Clients.

  #clients(): void {
    if (this.#isCalm) return;
    const node = this.#once(3) ? this.#any() : this.#anyLeader();
    if (this.#once(2)) this.#read(this.#any());
    else this.#propose(node);
    this.#schedule(1 + this.#draw(12), () => this.#clients());
  }

  #propose(node: TestNode): void {
    if (!node.isUp || node.paused) return;
    const text = `${++this.#proposals}`.padEnd(this.#draw(100), ".");
    const texts = this.#once(3) ? [text, `${text}+`, "same"] : [text];
    if (this.network.propose(node.id, ...texts).ok) this.#count("proposed");
  }

  /** What follows closely on a transfer is what it has to stand. */
  #transfer(): void {
    const node = this.#anyLeader();
    if (!node.isUp || node.paused) return;
    const target = this.#once(2) ? undefined : this.#any();
    const result = this.network.transfer(node.id, target?.id);
    if (!result.ok || result.target === node.id) return;
    this.#count("transfers");
    const taker = this.network.node(result.target);
    if (this.#once(3)) this.#strike(this.#once(2) ? node : taker);
    if (this.#once(3)) this.#pauseSoon(taker, this.#draw(4));
  }

  #read(node: TestNode): void {
    if (!node.isUp || node.paused) return;
    const context = ++this.#proposals;
    // Before the call: the answer may come with it.
    this.watch.onReadAsked(node, context);
    if (!node.raft.readIndex(this.network.nowMs, context)) this.watch.onReadRefused(node, context);
    this.network.pump(node);
  }

  // Faults.

  /** Faults that have no particular cause. */
  #weather(): void {
    if (this.#isCalm) return;
    const { network } = this;
    const node = this.#once(2) ? this.#any() : this.#anyLeader();
    this.#compact(this.#any());
    if (this.#once(4)) this.#strayInstall();
    switch (this.#draw(16)) {
      case 0:
        this.#lossPercent = this.#draw(3) * 10;
        break;
      case 1:
        network.partition(...this.#groups());
        this.#schedule(this.#draw(4 * T), () => network.heal());
        break;
      case 2:
        this.#isolate(node);
        break;
      case 3:
      case 4:
      case 5:
        this.#lossPercent = 0;
        network.heal();
        break;
      case 6:
        network.block(node.id, this.#any().id);
        break;
      case 7:
        this.#crashSoon(node, this.#draw(20));
        break;
      case 8:
        this.#pauseSoon(node, 0);
        break;
      case 9:
      case 10:
        if (!this.#slowDisks.delete(node.id)) this.#slowDisks.add(node.id);
        break;
      case 11:
        this.#completeAgain(node);
        break;
      case 12:
        if (node.isUp && !node.paused) {
          const peer = this.#any().id;
          if (this.#once(3)) node.raft.reachable(network.nowMs, peer);
          else node.raft.unreachable(network.nowMs, peer);
          network.pump(node);
        }
        break;
      case 13:
      case 14:
        this.#transfer();
        break;
      default:
        break;
    }
    this.#schedule(10 + this.#draw(100), () => this.#weather());
  }

  #groups(): MemberId[][] {
    const groups: MemberId[][] = [[], []];
    for (const id of this.network.nodes.keys()) groups[this.#draw(2)]!.push(id);
    return groups;
  }

  /** A fault that follows closely on something that matters. */
  #strike(node: TestNode): void {
    if (this.#isCalm) return;
    this.#count("strikes");
    const delayMs = this.#once(2) ? this.#draw(4) : this.#draw(60);
    switch (this.#draw(4)) {
      case 0:
      case 1:
        this.#crashSoon(node, delayMs);
        break;
      case 2:
        this.#pauseSoon(node, delayMs);
        break;
      default:
        this.#schedule(delayMs, () => this.#isolate(node));
    }
  }

  /** Cut off, it may go on for a while as if it led: the log of a leader that nobody hears. */
  #isolate(node: TestNode): void {
    if (this.#isCalm) return;
    this.network.isolate(node.id);
    if (this.#once(2)) for (let i = this.#draw(12); i > 0; i--) this.#propose(node);
    this.#schedule(this.#draw(4 * T), () => this.network.heal());
  }

  /** A new leader has just committed, and is gone: whoever it was that led before is back. */
  #swap(node: TestNode): void {
    if (this.#isCalm) return;
    this.#count("swaps");
    this.network.heal();
    for (const other of this.network.nodes.values()) this.#restart(other);
    if (this.#once(2)) this.#crashSoon(node, this.#draw(4));
    else this.#schedule(this.#draw(4), () => this.#isolate(node));
  }

  #crashSoon(node: TestNode, delayMs: number): void {
    const { core } = node;
    this.#schedule(delayMs, () => {
      if (this.#isCalm || !node.isUp || node.core !== core) return;
      this.#crash(node);
      const downMs = this.#once(2) ? 1 + this.#draw(15) : this.#draw(3 * T);
      this.#schedule(downMs, () => this.#restart(node));
    });
  }

  /** Some of the newest writes are gone; of the others nobody heard. */
  #crash(node: TestNode): void {
    this.#count("crashes");
    for (const write of node.pending.slice(0, this.#draw(node.pending.length + 1))) {
      node.durable.write(write);
    }
    node.core = undefined;
    node.pending = [];
    node.held = [];
    node.paused = false;
    this.watch.onCrash(node.id);
    this.network.inFlight = this.network.inFlight.filter(({ to }) => to !== node.id);
    for (const other of this.network.nodes.values()) {
      if (!other.isUp || other.paused || this.#once(2)) continue;
      other.raft.unreachable(this.network.nowMs, node.id);
      this.network.pump(other);
    }
  }

  #restart(node: TestNode): void {
    if (!node.isUp) this.network.restart(node.id);
  }

  #pauseSoon(node: TestNode, delayMs: number): void {
    this.#schedule(delayMs, () => {
      if (this.#isCalm || !node.isUp) return;
      this.#count("pauses");
      this.network.pause(node.id);
      const pauseMs = this.#once(3) ? this.#draw(T / 2) : T + this.#draw(2 * T);
      this.#schedule(pauseMs, () => {
        if (!node.paused) return;
        this.network.resume(node.id);
        // Who wakes up is asked at once, before it knows how long it slept.
        this.#read(node);
        this.#echo(node);
        if (this.#once(2)) this.#propose(node);
      });
    });
  }

  /** Decides what becomes of a message; true: the network does not carry it. */
  #intercept(from: MemberId, to: MemberId, message: Message): boolean {
    if (this.#isCalm) return false;
    const dice = this.#draw(100);
    if (dice < this.#lossPercent) return true;
    // Again, or instead, some time later: out of order with all that follows.
    if (dice >= 96) this.#deliverLate(from, to, message, this.#draw(60));
    if (dice >= 98) this.#deliverLate(from, to, message, this.#draw(8 * T));
    return dice === 97;
  }

  /** Some answers to what the member asked long ago arrive now. */
  #echo(node: TestNode): void {
    const kinds = [...(this.#echoes.get(node.id)?.values() ?? [])];
    for (let i = this.#draw(6); i > 0 && kinds.length > 0; i--) {
      const echoes = kinds[this.#draw(kinds.length)]!;
      const { from, message } = echoes[this.#draw(echoes.length)]!;
      this.#deliverLate(from, node.id, message, this.#draw(12));
    }
  }

  #remember(from: MemberId, to: MemberId, message: Message): void {
    let kinds = this.#echoes.get(to);
    if (kinds === undefined) this.#echoes.set(to, (kinds = new Map()));
    const echoes = kinds.get(message.type);
    if (echoes === undefined) kinds.set(message.type, [{ from, message }]);
    else if (echoes.length < ECHOES_MAX) echoes.push({ from, message });
    else echoes[this.#draw(ECHOES_MAX)] = { from, message };
  }

  #deliverLate(from: MemberId, to: MemberId, message: Message, delayMs: number): void {
    this.#schedule(delayMs, () => {
      const node = this.network.node(to);
      if (this.#isCalm || !node.isUp || node.paused) return;
      this.#count("late");
      this.network.deliver(from, to, message);
    });
  }

  // Disks and logs.

  #onOutput(node: TestNode, output: Output): void {
    this.#sabotage?.(node.raft, output);
    this.watch.onOutput(node, output);
    for (const event of output.events) {
      if (event.type === "role" && event.role !== "follower") this.#echo(node);
      if (event.type === "role" && event.role === "leader" && this.#once(4)) this.#strike(node);
      if (event.type === "ready" && this.#once(3)) this.#swap(node);
      if (event.type === "commit" && this.#once(60)) this.#strike(node);
      if (event.type === "truncated" && this.#once(5)) this.#strike(node);
    }
    const { hardState, reset, entries } = output;
    if (reset !== undefined && this.#once(3)) this.#strike(node);
    if (hardState !== undefined || reset !== undefined || entries.length > 0) {
      if (output.hardState !== undefined && this.#once(12)) this.#strike(node);
      this.#writeSoon(node);
    }
    for (const load of output.loads) this.#loadSoon(node, load);
    for (const request of output.snapshots) this.#sendSnapshot(node, request);
  }

  #onSent(from: MemberId, to: MemberId, message: Message): void {
    const node = this.network.node(from);
    this.watch.onSent(node, to, message);
    const isEcho = message.type.endsWith("-response") || message.type === "timeout-now";
    if (isEcho) this.#remember(from, to, message);
    const isVote = message.type === "request-vote-response" && message.granted;
    if (isVote && this.#once(10)) this.#strike(node);
    if (message.type === "append-entries-response" && this.#once(100)) this.#strike(node);
  }

  #writeSoon(node: TestNode): void {
    const { core } = node;
    if (core === undefined || this.#busyDisks.has(core)) return;
    this.#busyDisks.add(core);
    const isSlow = this.#slowDisks.has(node.id) && !this.#isCalm;
    this.#schedule(isSlow ? this.#draw(T) : this.#draw(4), () => this.#write(node, core));
  }

  #write(node: TestNode, core: Raft): void {
    this.#busyDisks.delete(core);
    if (node.core !== core) return;
    if (node.paused) {
      this.#schedule(5, () => this.#write(node, core));
      this.#busyDisks.add(core);
      return;
    }
    this.network.persist(node.id, this.#once(2) ? 1 : 1 + this.#draw(8));
    if (node.core === core && node.pending.length > 0) this.#writeSoon(node);
  }

  /** A completion that was reported before is reported again. */
  #completeAgain(node: TestNode): void {
    if (!node.isUp || node.paused) return;
    const last = (node.pending[0]?.number ?? node.raft.state.persistence.newestPending + 1) - 1;
    if (last < 1) return;
    node.raft.persisted(this.network.nowMs, 1 + this.#draw(last));
    this.network.pump(node);
  }

  #loadSoon(node: TestNode, load: LoadRequest): void {
    const { core } = node;
    this.#count("loads");
    this.#schedule(this.#draw(10), () => {
      if (node.core !== core || core === undefined) return;
      const { nowMs } = this.network;
      if (!this.#isCalm && this.#once(5)) core.loadFailed(nowMs, load);
      else core.loaded(nowMs, load, node.written.read(load.from, load.to, load.bytesMax));
      this.network.pump(node);
    });
  }

  // Snapshots.

  /** Lets go of some of what is applied. */
  #compact(node: TestNode): void {
    if (!node.isUp || node.paused || this.#compactions === 0) return;
    const { log, applied, persistence } = node.raft.state;
    const upTo = Math.min(applied, persistence.stableIndex);
    const index = Math.max(0, upTo - this.#draw(this.#compactions));
    if (index <= log.startIndex) return;
    this.#count("compactions");
    this.network.compact(node.id, index);
  }

  /** What it was when it was asked for, or something newer, arrives after a while. */
  #sendSnapshot(node: TestNode, request: SnapshotRequest): void {
    const { core } = node;
    const { log, applied } = node.raft.state;
    if (applied < log.startIndex) throw new Error(`${node.id} has no snapshot to send`);
    const index = applied - this.#draw(Math.min(4, applied - log.startIndex + 1));
    const point = this.network.pointOf(node.id, index);
    const transferMs = this.#draw(this.#once(4) ? 4 * T : 20);
    const isLost = !this.#isCalm && this.#once(5);
    if (!isLost) this.#installSoon(node.id, request, point, transferMs);
    if (!this.#isCalm && this.#once(6)) {
      this.#installSoon(node.id, request, point, transferMs + this.#draw(T));
    }
    this.#schedule(transferMs + this.#draw(T), () => {
      if (node.core !== core || core === undefined) return;
      const { nowMs } = this.network;
      if (isLost) core.snapshotFailed(nowMs, request.peer);
      else core.snapshotSent(nowMs, request.peer, index);
      this.network.pump(node);
    });
  }

  /** One that was on its way for some reason of the past. */
  #strayInstall(): void {
    const from = this.#anyLeader();
    if (!from.isUp || this.#compactions === 0) return;
    const { applied, term, log } = from.raft.state;
    if (applied <= log.startIndex) return;
    const point = this.network.pointOf(from.id, applied);
    this.#installSoon(from.id, { peer: this.#any().id, term }, point, this.#draw(20));
  }

  #installSoon(
    from: MemberId,
    request: SnapshotRequest,
    point: SnapshotPoint,
    delayMs: number,
  ): void {
    this.#schedule(delayMs, () => {
      const peer = this.network.node(request.peer);
      if (!peer.isUp || peer.paused || peer.raft.state.term < request.term) return;
      const result = peer.raft.installSnapshot(this.network.nowMs, from, point);
      this.#count(`snapshot ${result}`);
      this.network.pump(peer);
    });
  }

  // The end.

  #heal(): void {
    const { network } = this;
    this.#isCalm = true;
    network.heal();
    for (const node of network.nodes.values()) {
      network.resume(node.id);
      this.#restart(node);
    }
    const nodes = [...network.nodes.values()];
    const untilMs = this.#nowMs + HEALED_MS;
    const isWell = (): boolean => nodes.every((node) => node.texts.at(-1) === "last");
    while (!isWell() || this.watch.openReads.size > 0) {
      if (this.#nowMs >= untilMs) {
        throw new Error(`not healed within ${HEALED_MS} ms:\n${nodes.map(portrait).join("\n")}`);
      }
      this.#runTo(this.#nowMs + T);
      const leader = network.leader();
      if (leader !== undefined && !isWell()) network.propose(leader.id, "last");
    }
    // All have applied the same, as far as they are; "last" may stand there more than once.
    const longest = nodes.map(({ texts }) => texts).reduce((a, b) => (a.length < b.length ? b : a));
    for (const { id, texts } of nodes) {
      if (texts.some((text, i) => text !== longest[i])) throw new Error(`${id} differs`);
    }
  }
}

/** What a member looks like, for a failure. */
function portrait(node: TestNode): string {
  if (!node.isUp) return `${node.id} is down`;
  const { role, term, leader, commit, lastIndex, persisted, ready, peers } = node.raft.status();
  const { reads } = node.raft.state;
  return (
    `${node.id} ${role} of term ${term}, leader ${leader}, ready ${ready}, log ${lastIndex}, ` +
    `durable ${persisted}, commit ${commit}, reads ${reads.size}, writes ${node.pending.length}, ` +
    `paused ${node.paused} ${JSON.stringify(peers)}`
  );
}
