/**
 * Holds a machine on disk against its contract (machine/disk-machine.ts):
 *
 *  - *batches*: what commands lead to does not depend on how they are cut into batches;
 *  - *records*: the engine's records are stored with the effects of their batch: wherever a machine
 *    is found afterwards, it has the records of exactly the batch that it is at the end of;
 *  - *durable*: what was applied before a `sync` is there after the machine was opened anew;
 *  - *point-in-time*: a checkpoint does not show what is applied while it is read;
 *  - *restored*: a machine that had another state becomes what a stream says, with the records that
 *    go with it, also after it was opened anew; and stays what it was where the stream breaks off.
 *
 * Machines are compared by the bytes of their streams: the same commands have to lead to the same.
 * A process that is killed and a power cut are not part of this: a check in one process cannot make
 * them. A machine that is made of keys and values has both in the simulator.
 */
import { jsonCodec } from "../machine/json-codec.ts";
import type { DiskBatch, DiskStateMachine, EngineRecord } from "../machine/disk-machine.ts";
import type { Codec } from "../machine/state-machine.ts";
import { equalBytes, fromUtf8, utf8 } from "../util/bytes.ts";
import { messageOf } from "../util/error.ts";

/** What is checked, and with what. */
export interface DiskMachineCheckOptions<Command, Query> {
  /**
   * A new, empty place for a machine: each call of what it gives makes a new machine object on what
   * is stored there. The one before was closed then.
   */
  readonly place: () => Promise<() => DiskStateMachine<Command, Query>>;
  /** Applied in this order. Some dozens that touch, change and remove what was there before. */
  readonly commands: readonly Command[];
  /** Asked after each step; the answers of machines in the same state have to be equal. */
  readonly queries?: readonly Query[];
  /** As in `openReplica`; default JSON. */
  readonly codec?: Codec<Command>;
}

/** Which promise is broken. */
export type DiskMachineRule =
  | "batches"
  | "records"
  | "durable"
  | "point-in-time"
  | "restored"
  | "throws";

/** A machine on disk does not keep what its contract promises. */
export class DiskMachineCheckError extends Error {
  override readonly name = "DiskMachineCheckError";
  readonly rule: DiskMachineRule;

  constructor(rule: DiskMachineRule, message: string, cause?: unknown) {
    super(`[${rule}] ${message}`, cause === undefined ? {} : { cause });
    this.rule = rule;
  }
}

/** Commands in one batch. */
const BATCH = 4;

/**
 * Checks a machine on disk.
 *
 * @throws DiskMachineCheckError with the promise that is broken.
 * @example
 * ```ts
 * test("Accounts keeps the contract", () =>
 *   checkDiskMachine({
 *     place: async () => {
 *       const path = await mkdtemp(join(tmpdir(), "accounts-"));
 *       return () => new Accounts(path);
 *     },
 *     commands: Array.from({ length: 60 }, (_, i) => deposit(`a${i % 7}`, i)),
 *     queries: [{ type: "total" }],
 *   }));
 * ```
 */
export async function checkDiskMachine<Command, Query>(
  options: DiskMachineCheckOptions<Command, Query>,
): Promise<void> {
  const check = new Check(options);
  try {
    await check.batches();
    await check.records();
    await check.pointInTime();
    await check.restored();
  } catch (error) {
    if (error instanceof DiskMachineCheckError) throw error;
    throw new DiskMachineCheckError("throws", `the machine threw: ${messageOf(error)}`, error);
  }
}

type Machine<Command, Query> = DiskStateMachine<Command, Query>;

class Check<Command, Query> {
  readonly #options: DiskMachineCheckOptions<Command, Query>;
  readonly #encoded: readonly Uint8Array[];
  readonly #codec: Codec<Command>;
  /** What a machine looks like after so many batches. */
  readonly #states: string[] = [];

  constructor(options: DiskMachineCheckOptions<Command, Query>) {
    this.#options = options;
    this.#codec = options.codec ?? jsonCodec<Command>();
    this.#encoded = options.commands.map((command) => this.#codec.encode(command));
  }

  get #batchCount(): number {
    return Math.ceil(this.#encoded.length / BATCH);
  }

  async batches(): Promise<void> {
    const [make, makeOther] = [await this.#options.place(), await this.#options.place()];
    const [one, all] = [make(), makeOther()];
    this.#expect("records", await one.open(), [], "a new machine has no records");
    await all.open();
    const results: unknown[] = [];
    this.#states.push(await this.#stateOf(one));
    for (let n = 0; n < this.#batchCount; n++) {
      for (const index of this.#indexesOf(n)) results.push(...(await this.#apply(one, [index], n)));
      this.#states.push(await this.#stateOf(one));
    }
    const indexes = this.#encoded.map((_, i) => i);
    this.#expect("batches", await this.#apply(all, indexes, 0), results, "results of one batch");
    this.#expect("batches", await this.#stateOf(all), this.#states.at(-1), "the state after it");
    await one.close();
    await all.close();
  }

  async records(): Promise<void> {
    const make = await this.#options.place();
    let machine = make();
    await machine.open();
    for (let n = 0; n < this.#batchCount; n++) {
      await this.#apply(machine, this.#indexesOf(n), n);
      const isSynced = n % 3 === 1;
      // Beside the next batch, as the engine does it.
      if (isSynced) await machine.sync();
      if (n % 3 === 0) continue;
      await machine.close();
      machine = make();
      const at = batchOf(await machine.open());
      if (isSynced && at !== n + 1) {
        throw new DiskMachineCheckError("durable", `${n + 1} batches were synced, ${at} are there`);
      }
      this.#expect("records", await this.#stateOf(machine), this.#states[at], `${at} batches`);
      // What is not there is applied again, as from the log.
      for (let m = at; m <= n; m++) await this.#apply(machine, this.#indexesOf(m), m);
    }
    await machine.close();
  }

  async pointInTime(): Promise<void> {
    const machine = (await this.#options.place())();
    await machine.open();
    const half = this.#batchCount >> 1;
    for (let n = 0; n < half; n++) await this.#apply(machine, this.#indexesOf(n), n);
    const unread = machine.checkpoint();
    const checkpoint = machine.checkpoint();
    let next = half;
    const chunks: Uint8Array[] = [];
    for await (const chunk of checkpoint.stream()) {
      chunks.push(chunk.slice());
      if (next < this.#batchCount) await this.#apply(machine, this.#indexesOf(next), next++);
    }
    checkpoint.release();
    while (next < this.#batchCount) await this.#apply(machine, this.#indexesOf(next), next++);
    unread.release();
    this.#expect("point-in-time", hexOf(chunks), this.#streamPart(this.#states[half]!), "a stream");
    const end = this.#states.at(-1);
    this.#expect("point-in-time", await this.#stateOf(machine), end, "the machine afterwards");
    await machine.close();
  }

  async restored(): Promise<void> {
    const source = (await this.#options.place())();
    await source.open();
    const half = this.#batchCount >> 1;
    for (let n = 0; n < half; n++) await this.#apply(source, this.#indexesOf(n), n);
    const make = await this.#options.place();
    let machine = make();
    await machine.open();
    await this.#apply(machine, this.#indexesOf(this.#batchCount - 1), 0);
    await machine.sync();
    const before = await this.#stateOf(machine);
    const broken = await machine.restore(cutShort(source), recordsOf(half)).then(
      () => false,
      () => true,
    );
    if (!broken) throw new DiskMachineCheckError("restored", "a stream that breaks off was taken");
    this.#expect("restored", await this.#stateOf(machine), before, "after a broken stream");
    const checkpoint = source.checkpoint();
    await machine.restore(checkpoint.stream(), recordsOf(half));
    checkpoint.release();
    for (const _ of [1, 2]) {
      this.#expect("restored", await this.#stateOf(machine), this.#states[half], "what it became");
      await machine.close();
      machine = make();
      this.#expect("restored", batchOf(await machine.open()), half, "records in another life");
    }
    for (let n = half; n < this.#batchCount; n++) {
      await this.#apply(machine, this.#indexesOf(n), n);
    }
    this.#expect("restored", await this.#stateOf(machine), this.#states.at(-1), "what followed");
    await machine.close();
    await source.close();
  }

  // ---- inside

  #indexesOf(batch: number): number[] {
    const from = batch * BATCH;
    const count = Math.min(BATCH, this.#encoded.length - from);
    return Array.from({ length: count }, (_, i) => from + i);
  }

  /** Applies commands as one batch, whose records say which one it was. */
  async #apply(
    machine: Machine<Command, Query>,
    indexes: readonly number[],
    number: number,
  ): Promise<readonly unknown[]> {
    const entries = indexes.map((i) => {
      const command = this.#codec.decode(this.#encoded[i]!);
      return { index: i + 1, term: 1, timeMs: i, version: machine.version ?? 1, command };
    });
    let isAsked = 0;
    const batch: DiskBatch<Command> = {
      entries,
      records: (results) => {
        isAsked++;
        this.#expect("records", results.length, entries.length, "results given for the records");
        return recordsOf(number + 1);
      },
    };
    const results = await machine.apply(batch);
    this.#expect("records", isAsked, 1, "how often the records of a batch are asked for");
    this.#expect("batches", results.length, entries.length, "results of a batch");
    return results;
  }

  async #stateOf(machine: Machine<Command, Query>): Promise<string> {
    const checkpoint = machine.checkpoint();
    const chunks: Uint8Array[] = [];
    for await (const chunk of checkpoint.stream()) chunks.push(chunk.slice());
    checkpoint.release();
    const answers: unknown[] = [];
    for (const query of this.#options.queries ?? []) answers.push(await machine.query(query));
    return `${hexOf(chunks)} ${JSON.stringify(answers)}`;
  }

  #streamPart(state: string): string {
    return state.slice(0, state.indexOf(" "));
  }

  #expect(rule: DiskMachineRule, actual: unknown, wanted: unknown, what: string): void {
    const [a, w] = [JSON.stringify(actual) ?? "nothing", JSON.stringify(wanted) ?? "nothing"];
    if (a === w) return;
    throw new DiskMachineCheckError(rule, `${what}: want ${clip(w)}, got ${clip(a)}`);
  }
}

const KEY = "steps/0";

function recordsOf(batch: number): EngineRecord[] {
  return [
    { key: "base", value: new Uint8Array(3_000).fill(batch & 255) },
    { key: KEY, value: utf8(String(batch)) },
  ];
}

/** The batch that the records are of. */
function batchOf(records: readonly EngineRecord[]): number {
  const found = records.find(({ key }) => key === KEY);
  const batch = found === undefined ? 0 : Number(fromUtf8(found.value));
  const wanted = batch === 0 ? [] : recordsOf(batch);
  const isWhole =
    records.length === wanted.length &&
    wanted.every(({ key, value }) => {
      return records.some((own) => own.key === key && equalBytes(own.value, value));
    });
  if (isWhole) return batch;
  throw new DiskMachineCheckError("records", `the records of batch ${batch} are not all there`);
}

/** The first piece of a stream, and then an error. */
async function* cutShort(
  source: Pick<DiskStateMachine<never, never>, "checkpoint">,
): AsyncGenerator<Uint8Array, void, undefined> {
  const checkpoint = source.checkpoint();
  try {
    for await (const chunk of checkpoint.stream()) {
      yield chunk;
      break;
    }
  } finally {
    checkpoint.release();
  }
  throw new Error("the stream breaks off here");
}

function hexOf(chunks: readonly Uint8Array[]): string {
  let text = "";
  for (const chunk of chunks) for (const byte of chunk) text += byte.toString(16).padStart(2, "0");
  return text;
}

function clip(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 199)}…`;
}
