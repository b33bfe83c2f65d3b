/**
 * A harbour without an engine, for tests of clients and checks: one log, some members that apply it
 * at their own pace, and answers that come late, get lost or are refusals. It is linearizable by
 * construction, unless a defect is planted.
 */
import { crc32 } from "../../util/checksum.ts";
import type { Random } from "../../util/random.ts";
import type { DurableView, MemberView, Observer, SimOperation } from "../observer.ts";
import { between, chance, RandomStreams } from "../random-streams.ts";
import { Schedule } from "../schedule.ts";
import { ShadowLog } from "../shadow-log.ts";
import type { KvCommand, KvQuery } from "./kv-machine.ts";
import { KvMachine } from "./kv-machine.ts";
import { resultHash } from "./sim-codec.ts";
import type { Call, CallTerms, Harbour } from "./workload.ts";

/** A defect, by what goes wrong. */
export type Planted =
  | "stale-read"
  | "lost-write"
  | "double-write"
  | "refused-write-happens"
  | "local-read-goes-back"
  | "answer-of-another-write"
  | "write-after-its-answer";

/** How the harbour behaves; shares per mille. */
export interface FakeOptions {
  readonly seed: number;
  readonly members?: number;
  readonly refusedShare?: number;
  readonly unknownShare?: number;
  /** How often the defect shows. */
  readonly planted?: Planted;
  readonly plantedShare?: number;
  readonly answerUs?: number;
}

/** A member without anything behind it. */
export class FakeMember implements MemberView {
  readonly incarnation = undefined;
  readonly id: string;
  readonly number: number;
  life = 1;
  state: MemberView["state"] = "up";
  readonly core: undefined = undefined;
  readonly durable: DurableView = { term: 0, vote: undefined, log: new ShadowLog(crc32) };
  machine: KvMachine = new KvMachine();
  appliedTo = 0;

  constructor(number: number) {
    this.number = number;
    this.id = `n${number + 1}`;
  }
}

/** The harbour. */
export class FakeHarbour implements Harbour<unknown, unknown> {
  readonly members: FakeMember[];
  readonly schedule: Schedule;
  readonly streams: RandomStreams;
  readonly observers: Observer[] = [];
  readonly operations: SimOperation[] = [];
  readonly timeoutsMs: number[] = [];
  isOver = false;
  open = 0;
  openMax = 0;
  readonly #options: Required<Omit<FakeOptions, "planted">> & Pick<FakeOptions, "planted">;
  readonly #random: Random;
  readonly #log: SimOperation[] = [];

  constructor(options: FakeOptions) {
    this.#options = {
      members: 3,
      refusedShare: 0,
      unknownShare: 0,
      plantedShare: 50,
      answerUs: 5_000,
      ...options,
    };
    this.streams = new RandomStreams(options.seed);
    this.schedule = new Schedule(this.streams.stream("ties"));
    this.#random = this.streams.stream("harbour");
    this.members = Array.from({ length: this.#options.members }, (_, i) => new FakeMember(i));
  }

  nowUs(): number {
    return this.schedule.nowUs;
  }

  after(delayUs: number, act: () => void): void {
    this.schedule.after(delayUs, () => {
      if (!this.isOver) act();
    });
  }

  call(
    member: FakeMember,
    call: Call<unknown, unknown>,
    terms: CallTerms,
    done: (operation: SimOperation) => void,
  ): SimOperation {
    const operation: SimOperation = {
      number: this.operations.length + 1,
      client: terms.client,
      member,
      kind: call.kind,
      input: call.kind === "write" ? call.command : call.query,
      calledUs: this.nowUs(),
      maxStalenessUs: call.kind === "stale-read" ? call.maxStalenessMs * 1_000 : 0,
      outcome: "open",
      result: undefined,
      error: undefined,
      returnedUs: -1,
    };
    this.operations.push(operation);
    this.timeoutsMs.push(terms.timeoutMs);
    this.openMax = Math.max(this.openMax, ++this.open);
    for (const observer of this.observers) observer.called?.(operation);
    if (member.state !== "up") this.#end(operation, "not-done", done);
    else this.#begin(operation, done);
    return operation;
  }

  /** Runs until so much time has passed, then until nothing is left. */
  runFor(us: number): void {
    this.schedule.at(us, () => {
      this.isOver = true;
    });
    for (let due = this.schedule.next(); due !== undefined; due = this.schedule.next()) due.run();
    for (const observer of this.observers) observer.ended?.();
  }

  #begin(operation: SimOperation, done: (operation: SimOperation) => void): void {
    const { refusedShare, unknownShare, answerUs } = this.#options;
    if (operation.kind === "local-read") {
      this.#answer(operation, this.#local(operation), done);
      return;
    }
    const effectUs = between(this.#random, 1, answerUs);
    const returnUs = effectUs + between(this.#random, 1, answerUs);
    const isRefused = chance(this.#random, refusedShare);
    if (isRefused && !this.#plants("refused-write-happens")) {
      this.schedule.after(returnUs, () => this.#end(operation, "not-done", done));
    } else if (operation.kind !== "write") {
      this.#read(operation, effectUs, returnUs, done);
    } else if (chance(this.#random, unknownShare)) {
      const lateUs = effectUs * between(this.#random, 1, 20);
      if (chance(this.#random, 600)) this.schedule.after(lateUs, () => this.#commit(operation));
      this.schedule.after(returnUs, () => this.#end(operation, "unknown", done));
    } else this.#write(operation, { effectUs, returnUs, isRefused }, done);
  }

  #write(
    operation: SimOperation,
    how: { effectUs: number; returnUs: number; isRefused: boolean },
    done: (operation: SimOperation) => void,
  ): void {
    let { effectUs } = how;
    if (this.#plants("write-after-its-answer")) effectUs = how.returnUs + 20_000;
    const isLost = this.#plants("lost-write");
    if (!isLost) this.schedule.after(effectUs, () => this.#commit(operation));
    if (this.#plants("double-write")) {
      this.schedule.after(effectUs + 3, () => this.#commit(operation));
    }
    this.schedule.after(how.returnUs, () => {
      if (how.isRefused) {
        this.#end(operation, "not-done", done);
        return;
      }
      const member = operation.member as FakeMember;
      const index = this.#log.indexOf(operation) + 1;
      this.#applyTo(member, index);
      const wrong = this.#plants("answer-of-another-write");
      const seen = index === 0 || wrong ? this.#madeUp(operation) : this.#results.get(operation);
      this.#answer(operation, seen, done);
    });
  }

  readonly #results: Map<SimOperation, unknown> = new Map();

  /** An answer as it would be if the write came now. */
  #madeUp(operation: SimOperation): unknown {
    const { key } = operation.input as KvCommand;
    const found = (operation.member as FakeMember).machine.query({ type: "get", key });
    return { ok: true, index: this.#log.length + 1, ...found };
  }

  #read(
    operation: SimOperation,
    effectUs: number,
    returnUs: number,
    done: (operation: SimOperation) => void,
  ): void {
    let readIndex = 0;
    if (!this.#plants("stale-read")) {
      this.schedule.after(effectUs, () => {
        readIndex = this.#log.length;
      });
    }
    this.schedule.after(returnUs, () => {
      const member = operation.member as FakeMember;
      this.#applyTo(member, readIndex);
      this.#answer(operation, member.machine.query(operation.input as KvQuery), done);
    });
  }

  #local(operation: SimOperation): unknown {
    const member = operation.member as FakeMember;
    if (chance(this.#random, 300)) this.#applyTo(member, this.#log.length);
    if (this.#plants("local-read-goes-back")) {
      member.machine = new KvMachine();
      member.appliedTo = 0;
    }
    return member.machine.query(operation.input as KvQuery);
  }

  #commit(operation: SimOperation): void {
    this.#log.push(operation);
    // Somebody applies it at once: so a witness knows what a read may see.
    this.#applyTo(this.members[this.#random.below(this.members.length)]!, this.#log.length);
  }

  #applyTo(member: FakeMember, upTo: number): void {
    while (member.appliedTo < upTo) {
      const operation = this.#log[member.appliedTo]!;
      const index = ++member.appliedTo;
      const result = member.machine.apply(operation.input as KvCommand, { index });
      if (!this.#results.has(operation)) this.#results.set(operation, result);
      const command = {
        index,
        term: 1,
        timeMs: 0,
        operation: operation.number,
        commandHash: 0,
        resultHash: resultHash(result, crc32),
      };
      for (const observer of this.observers) observer.applied?.(member, command);
    }
  }

  #plants(defect: Planted): boolean {
    return this.#options.planted === defect && chance(this.#random, this.#options.plantedShare);
  }

  #answer(operation: SimOperation, result: unknown, done: (operation: SimOperation) => void): void {
    operation.result = result;
    this.#end(operation, "done", done);
  }

  #end(
    operation: SimOperation,
    outcome: "done" | "unknown" | "not-done",
    done: (operation: SimOperation) => void,
  ): void {
    this.open--;
    operation.outcome = outcome;
    operation.returnedUs = this.nowUs();
    if (outcome === "not-done") operation.error = "NO_LEADER";
    for (const observer of this.observers) observer.settled?.(operation);
    done(operation);
  }
}
