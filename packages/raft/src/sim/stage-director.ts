/**
 * A world told what to do, step by step: for stories in which one thing has to happen at exactly
 * one moment, and which random runs therefore reach too rarely.
 *
 * Nothing is left to chance that the story is about. Every message takes a millisecond, every write
 * half of one, clocks agree, and no client works but the one in the story. What is drawn (election
 * timeouts, what a power cut leaves of a write in flight) comes from the seed. All invariants of a
 * run watch. A promise that is broken, or a step that does not come about, ends the story: the
 * {@link SimViolation} is thrown from the step that ran into it.
 *
 * What the network loses or keeps is said by rules on messages; cuts are those of the network
 * itself, where the connections notice.
 */
import type { MemberId } from "../core/configuration.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import { QuorateError } from "../util/error.ts";
import { INVARIANTS_OF_A_RUN } from "./invariants/catalogue.ts";
import { MemberDisk } from "./member-disk.ts";
import type { DiskFailure } from "./member-disk.ts";
import type { SimOperation } from "./observer.ts";
import { SimViolation } from "./observer.ts";
import type { SimOptions } from "./options.ts";
import { Recovery } from "./recovery.ts";
import type { RunSubject } from "./run.ts";
import type { SimMember } from "./sim-member.ts";
import { SimWorld } from "./sim-world.ts";
import { keyValueSubject } from "./workload/kv-subject.ts";
import type { KvCommand, KvFound, KvQuery } from "./workload/kv-machine.ts";
import type { Call } from "./workload/workload.ts";
import { WorldStage } from "./world-stage.ts";

/** Election timeout of a story, in ms; heartbeats are a tenth of it. */
export const STORY_TIMEOUT_MS = 200;

const MS = 1_000;
/** How long a step may take to come about: far longer than any of them does. */
const COMES_MS = 20 * STORY_TIMEOUT_MS;
const CALL_MS = 60_000;

/** What a story begins with. */
export interface StoryOptions {
  /** Default 3. */
  readonly members?: number;
  readonly spares?: number;
  /** Decides what is drawn. Default 1. */
  readonly seed?: number;
  readonly segmentBytes?: number;
  /** Default: an hour. */
  readonly sessionTimeoutMs?: number;
  /** Default false. */
  readonly leaseReads?: boolean;
  /** What members are told that clocks keep to. Default 10,000. */
  readonly driftBoundPpm?: number;
  /** Bounds of the core that are set lower, as in {@link SimOptions}. */
  readonly limits?: Readonly<Record<string, number>>;
  /** Default `messages`. */
  readonly mode?: SimOptions["network"]["mode"];
  /** Another machine than the key-value one. */
  readonly subject?: RunSubject;
  /** Disks have a past outside of this world, so nothing is demanded of it. Default false. */
  readonly hasPast?: boolean;
}

/** Which messages: who says what to whom. */
export type Which = (from: MemberId, to: MemberId, message: PeerMessage) => boolean;

/** A rule about messages, until it is ended. */
export interface Rule {
  /** From now on these messages pass again. What is kept stays kept. */
  end(): void;
  /** Lets go what was kept: all of it, or those, or so many of those. Returns how many. */
  release(which?: Which, count?: number): number;
}

/** Tells a world what to do. */
export class Director {
  readonly world: SimWorld;
  readonly stage: WorldStage;
  readonly #subject: RunSubject;
  #rules: { readonly which: Which; readonly verdict: "drop" | "hold" }[] = [];

  /** A cluster of which nobody was started; see {@link Director.begin}. */
  constructor(options: StoryOptions) {
    const simOptions = storyOptions(options);
    this.#subject = options.subject ?? keyValueSubject(simOptions);
    this.world = new SimWorld(simOptions, this.#subject);
    this.stage = new WorldStage(this.world);
    for (const invariant of options.hasPast === true ? [] : INVARIANTS_OF_A_RUN) {
      this.world.audience.add(invariant.watch(this.world));
    }
    const checks = options.hasPast === true ? [] : this.#subject.checks(this.world);
    for (const check of checks) this.world.audience.add(check);
    this.world.network.rule = (from, to, message) => {
      for (const rule of this.#rules) if (rule.which(from, to, message)) return rule.verdict;
      return "pass";
    };
  }

  /** A cluster that has just been formed; nobody leads yet. */
  static async begin(options: StoryOptions = {}): Promise<Director> {
    const director = new Director(options);
    for (const member of director.world.members) member.start();
    const members = director.world.members.filter((member) => !member.isFree);
    const isFormed = (): boolean => members.every(({ core }) => core !== undefined);
    await director.until(isFormed, "the members form a cluster");
    return director;
  }

  /** A member. */
  of(id: MemberId): SimMember {
    return this.world.members[Number(id.slice(1)) - 1]!;
  }

  // ---- time

  /** Lets so much time pass. */
  async us(us: number): Promise<void> {
    await this.world.runFor(us);
    this.#check();
  }

  async ms(ms: number): Promise<void> {
    await this.us(ms * MS);
  }

  /** Lets time pass until that is so. It is looked at after every step. */
  async until(isSo: () => boolean, what: string, withinMs: number = COMES_MS): Promise<void> {
    const endUs = this.world.nowUs() + withinMs * MS;
    await this.world.run(() => isSo() || this.world.nowUs() > endUs);
    this.#check();
    if (!isSo()) throw new SimViolation("story", `${what}: not within ${withinMs} ms`);
  }

  /** Something that has to be so now. */
  expect(isSo: boolean, what: string): void {
    this.#check();
    if (!isSo) throw new SimViolation("story", `${what}: that is not so`);
  }

  /** The same, for what an observer sees: the story ends after that step. */
  claim(isSo: boolean, what: string): void {
    if (!isSo) throw new SimViolation("story", `${what}: that is not so`);
  }

  // ---- messages

  lose(which: Which): Rule {
    return this.#rule(which, "drop");
  }

  hold(which: Which): Rule {
    return this.#rule(which, "hold");
  }

  /** Keeps the first such message and lets all others pass. */
  holdFirst(which: Which): Rule {
    let first: PeerMessage | undefined;
    return this.#rule((from, to, message) => {
      if (!which(from, to, message)) return false;
      first ??= message;
      return message === first;
    }, "hold");
  }

  /** Nothing passes between these and all others, in either direction. */
  isolate(...ids: MemberId[]): void {
    this.#between(ids, (a, b) => this.world.network.cut(a, b));
  }

  /** Ends {@link isolate}. */
  rejoin(...ids: MemberId[]): void {
    this.#between(ids, (a, b) => this.world.network.heal(a, b));
  }

  /** Nothing of what `from` says reaches `to`. */
  cut(from: MemberId, to: MemberId): void {
    this.world.network.cut(this.of(from).address, this.of(to).address);
  }

  // ---- leaders

  /** Waits until this member leads and has committed an entry of its term; nobody else runs. */
  async elect(id: MemberId): Promise<void> {
    await this.#elect(id, () => this.of(id).core?.isReady === true);
  }

  /** Waits until this member leads, whatever it has committed; nobody else runs. */
  async electOnly(id: MemberId): Promise<void> {
    await this.#elect(id, () => this.of(id).core?.role === "leader");
  }

  /** The member that leads, if one of these does and has committed an entry of its term. */
  leader(...ids: MemberId[]): SimMember | undefined {
    const { members } = this.world;
    return members.find(({ id, core }) => core?.isReady === true && isOf(ids, id));
  }

  /** Whether a committed configuration that is not joint has this voter. */
  votes(id: MemberId): boolean {
    const { configuration } = this.world.governing ?? {};
    if (configuration === undefined || configuration.outgoing.length > 0) return false;
    return configuration.voters.includes(id);
  }

  // ---- members

  power(id: MemberId): void {
    this.of(id).die("power");
  }

  kill(id: MemberId): void {
    this.of(id).die("kill");
  }

  /** Starts a member and waits until it takes part. */
  async start(id: MemberId): Promise<void> {
    const member = this.of(id);
    member.start();
    await this.until(() => member.isUp && member.core !== undefined, `${id} starts`);
  }

  /** Starts a member that has to refuse, with this error. After that the story is over. */
  async refuses(id: MemberId, code: string): Promise<void> {
    const member = this.of(id);
    member.start();
    const { world } = this;
    await world.run(() => member.isUp || member.state === "lost");
    const error = world.violation?.error;
    const cause = error instanceof SimViolation ? error.cause : undefined;
    if (QuorateError.is(cause) && cause.code === code) return;
    this.#check();
    throw new SimViolation("story", `${id} starts; it has to refuse with ${code}`);
  }

  // ---- disks

  /** The data directory of a member that is down is lost, but for the files that are named. */
  loseDirectory(id: MemberId, ...kept: string[]): void {
    const member = this.of(id);
    const { schedule, options, streams } = this.world;
    const random = streams.stream(`another disk of ${id}`);
    const disk = new MemberDisk({ schedule, options: options.disk, random });
    for (const name of kept) {
      const path = `/data/${id}/${name}`;
      disk.disk.place(path, member.disk.disk.image(path));
    }
    (member as { disk: MemberDisk }).disk = disk;
  }

  /** The next such operation on a segment of the log fails. */
  failNext(id: MemberId, what: DiskFailure): void {
    this.of(id).disk.failNext(what);
  }

  /** Changes bytes on the medium of a member that is down, from where this text stands on. */
  rot(id: MemberId, text: string, change: { readonly bytes: number; readonly to: number }): void {
    const { disk } = this.of(id).disk;
    for (const path of disk.paths()) {
      const image = disk.image(path);
      const at = findText(image, text);
      if (at < 0) continue;
      for (let i = at; i < at + change.bytes; i++) disk.flip(path, i, image[i]! ^ change.to);
      return;
    }
    throw new SimViolation("story", `the disk of ${id} does not hold "${text}"`);
  }

  // ---- calls

  put(id: MemberId, key: string, value: string): SimOperation {
    return this.#write(id, { type: "put", key, value });
  }

  append(id: MemberId, key: string, value: string): SimOperation {
    return this.#write(id, { type: "append", key, value });
  }

  /** A linearizable read. */
  get(id: MemberId, key: string): SimOperation {
    return this.#read(id, { kind: "read", query: { type: "get", key } });
  }

  /** A read by lease. */
  getByLease(id: MemberId, key: string): SimOperation {
    return this.#read(id, { kind: "lease-read", query: { type: "get", key } });
  }

  /** A read that may be so old. */
  getStale(id: MemberId, key: string, maxStalenessMs: number): SimOperation {
    return this.#read(id, { kind: "stale-read", query: { type: "get", key }, maxStalenessMs });
  }

  /**
   * Makes the first write of a member, which opens its session: two entries, which all members
   * have when it is done. What it writes later takes one entry each, at once.
   */
  async open(id: MemberId): Promise<void> {
    await this.done(this.put(id, "open", `|${id}`));
    const { lastIndex } = this.of(id).core!.log;
    const isUp = this.world.members.filter((member) => member.isUp);
    await this.until(
      () => isUp.every(({ core }) => core!.commit >= lastIndex),
      `everybody has the first write of ${id}`,
    );
  }

  /** Waits for an operation and returns its result; it has to be done. */
  async done(operation: SimOperation): Promise<unknown> {
    await this.ended(operation);
    const { kind, outcome, error } = operation;
    if (outcome === "done") return operation.result;
    throw new SimViolation("story", `a ${kind} ended as ${outcome}: ${error}`);
  }

  /** Waits for the end of an operation, whichever. */
  async ended(operation: SimOperation): Promise<void> {
    const { kind, member } = operation;
    await this.until(() => operation.outcome !== "open", `a ${kind} at ${member.id} ends`);
  }

  /** Reads a key and compares. */
  async finds(id: MemberId, key: string, value: string | null): Promise<void> {
    const found = (await this.done(this.get(id, key))) as KvFound;
    this.expect(found.value === value, `${id} finds ${key} = ${value}, not ${found.value}`);
  }

  // ---- the end

  /**
   * Everything is healed and everybody started. There has to be a leader, everybody has to serve,
   * agree and fall quiet.
   */
  async end(): Promise<void> {
    this.#rules = [];
    this.world.network.release();
    for (const member of this.world.members) member.disk.healAll();
    await new Recovery(this.world, this.stage, this.#subject).run();
    this.#check();
  }

  #read(id: MemberId, call: Call<KvCommand, KvQuery>): SimOperation {
    return this.world.call(this.of(id), call, TERMS, () => {});
  }

  #write(id: MemberId, command: KvCommand): SimOperation {
    return this.world.call(this.of(id), { kind: "write", command }, TERMS, () => {});
  }

  async #elect(id: MemberId, isDone: () => boolean): Promise<void> {
    const others = this.lose((from, _to, { type }) => type === "pre-vote" && from !== id);
    await this.until(isDone, `${id} becomes leader`);
    others.end();
  }

  #rule(which: Which, verdict: "drop" | "hold"): Rule {
    const rule = { which, verdict };
    const kept: Set<PeerMessage> = new Set();
    if (verdict === "hold") {
      rule.which = (from, to, message) => {
        const isKept = which(from, to, message);
        if (isKept) kept.add(message);
        return isKept;
      };
    }
    this.#rules.push(rule);
    return {
      end: () => {
        this.#rules = this.#rules.filter((other) => other !== rule);
      },
      release: (chosen = () => true, count = Number.MAX_SAFE_INTEGER) => {
        let released = 0;
        this.world.network.release((from, to, message) => {
          if (released === count || !kept.has(message) || !chosen(from, to, message)) return false;
          released++;
          return kept.delete(message);
        });
        return released;
      },
    };
  }

  #between(ids: readonly MemberId[], act: (a: string, b: string) => void): void {
    for (const inside of this.world.members) {
      if (!ids.includes(inside.id)) continue;
      for (const outside of this.world.members) {
        if (ids.includes(outside.id)) continue;
        act(inside.address, outside.address);
        act(outside.address, inside.address);
      }
    }
  }

  #check(): void {
    if (this.world.violation !== undefined) throw this.world.violation.error;
  }
}

const TERMS = { timeoutMs: CALL_MS, client: "story" } as const;

function storyOptions(story: StoryOptions): SimOptions {
  const delay = { minUs: MS, maxUs: MS, tailShare: 0, tailMaxUs: MS };
  const write = { minUs: 500, maxUs: 500, tailShare: 0, tailMaxUs: 500 };
  return {
    seed: story.seed ?? 1,
    members: story.members ?? 3,
    ...(story.spares === undefined ? {} : { spares: story.spares }),
    electionTimeoutMs: STORY_TIMEOUT_MS,
    heartbeatIntervalMs: STORY_TIMEOUT_MS / 10,
    leaseReads: story.leaseReads ?? false,
    ...(story.sessionTimeoutMs === undefined ? {} : { sessionTimeoutMs: story.sessionTimeoutMs }),
    segmentBytes: story.segmentBytes ?? 65_536,
    limits: story.limits ?? {},
    faultyMs: 0,
    network: {
      mode: story.mode ?? "messages",
      delay,
      lossShare: 0,
      duplicateShare: 0,
      bytesPerSecond: 0,
    },
    disk: { write, other: { ...write, minUs: 200, maxUs: 200 } },
    clock: {
      rateSpreadPpm: 0,
      driftBoundPpm: story.driftBoundPpm ?? 10_000,
      lateShare: 0,
      lateMaxUs: 0,
      turnUs: 50,
    },
    nemeses: [],
    clients: {
      closed: 0,
      open: 0,
      openPerSecond: 0,
      thinkMaxMs: 0,
      timeoutMaxMs: MS,
      keys: 4,
      readShare: 500,
      localReadShare: 0,
      leaseReadShare: 0,
      staleReadShare: 0,
      stalenessMaxMs: 0,
      valueBytesMax: 32,
    },
  };
}

function isOf(ids: readonly MemberId[], id: MemberId): boolean {
  return ids.length === 0 || ids.includes(id);
}

function findText(bytes: Uint8Array, text: string): number {
  for (let at = 0; at + text.length <= bytes.length; at++) {
    let i = 0;
    while (i < text.length && bytes[at + i] === text.charCodeAt(i)) i++;
    if (i === text.length) return at;
  }
  return -1;
}
