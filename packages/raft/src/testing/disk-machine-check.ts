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
 * them. Where the machine's storage is a `MachineStorage`, disk-machine-crashes.ts does.
 */
import type { DiskStateMachine } from "../machine/disk-machine.ts";
import type { Codec } from "../machine/state-machine.ts";
import { messageOf } from "../util/error.ts";
import {
  batchOf,
  DiskMachineCheckError,
  DiskMachineSteps,
  expectSame,
  hexOf,
  recordsOf,
  streamPart,
} from "./disk-machine-steps.ts";

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

class Check<Command, Query> {
  readonly #options: DiskMachineCheckOptions<Command, Query>;
  readonly #steps: DiskMachineSteps<Command, Query>;

  constructor(options: DiskMachineCheckOptions<Command, Query>) {
    this.#options = options;
    this.#steps = new DiskMachineSteps(options);
  }

  async batches(): Promise<void> {
    const steps = this.#steps;
    const [make, makeOther] = [await this.#options.place(), await this.#options.place()];
    const [one, all] = [make(), makeOther()];
    expectSame("records", await one.open(), [], "a new machine has no records");
    await all.open();
    const results: unknown[] = [];
    steps.states.push(await steps.stateOf(one));
    for (let n = 0; n < steps.batchCount; n++) {
      for (const index of steps.indexesOf(n)) results.push(...(await steps.apply(one, [index], n)));
      steps.states.push(await steps.stateOf(one));
    }
    const indexes = steps.indexesOfAll;
    expectSame("batches", await steps.apply(all, indexes, 0), results, "results of one batch");
    expectSame("batches", await steps.stateOf(all), steps.states.at(-1), "the state after it");
    await one.close();
    await all.close();
  }

  async records(): Promise<void> {
    const steps = this.#steps;
    const make = await this.#options.place();
    let machine = make();
    await machine.open();
    for (let n = 0; n < steps.batchCount; n++) {
      await steps.apply(machine, steps.indexesOf(n), n);
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
      expectSame("records", await steps.stateOf(machine), steps.states[at], `${at} batches`);
      // What is not there is applied again, as from the log.
      for (let m = at; m <= n; m++) await steps.apply(machine, steps.indexesOf(m), m);
    }
    await machine.close();
  }

  async pointInTime(): Promise<void> {
    const steps = this.#steps;
    const machine = (await this.#options.place())();
    await machine.open();
    const half = steps.batchCount >> 1;
    for (let n = 0; n < half; n++) await steps.apply(machine, steps.indexesOf(n), n);
    const unread = machine.checkpoint();
    const checkpoint = machine.checkpoint();
    let next = half;
    const chunks: Uint8Array[] = [];
    for await (const chunk of checkpoint.stream()) {
      chunks.push(chunk.slice());
      if (next < steps.batchCount) await steps.apply(machine, steps.indexesOf(next), next++);
    }
    checkpoint.release();
    while (next < steps.batchCount) await steps.apply(machine, steps.indexesOf(next), next++);
    unread.release();
    expectSame("point-in-time", hexOf(chunks), streamPart(steps.states[half]!), "a stream");
    const end = steps.states.at(-1);
    expectSame("point-in-time", await steps.stateOf(machine), end, "the machine afterwards");
    await machine.close();
  }

  async restored(): Promise<void> {
    const steps = this.#steps;
    const source = (await this.#options.place())();
    await source.open();
    const half = steps.batchCount >> 1;
    for (let n = 0; n < half; n++) await steps.apply(source, steps.indexesOf(n), n);
    const make = await this.#options.place();
    let machine = make();
    await machine.open();
    await steps.apply(machine, steps.indexesOf(steps.batchCount - 1), 0);
    await machine.sync();
    const before = await steps.stateOf(machine);
    const broken = await machine.restore(cutShort(source), recordsOf(half)).then(
      () => false,
      () => true,
    );
    if (!broken) throw new DiskMachineCheckError("restored", "a stream that breaks off was taken");
    expectSame("restored", await steps.stateOf(machine), before, "after a broken stream");
    const checkpoint = source.checkpoint();
    await machine.restore(checkpoint.stream(), recordsOf(half));
    checkpoint.release();
    for (const _ of [1, 2]) {
      expectSame("restored", await steps.stateOf(machine), steps.states[half], "what it became");
      await machine.close();
      machine = make();
      expectSame("restored", batchOf(await machine.open()), half, "records in another life");
    }
    for (let n = half; n < steps.batchCount; n++) {
      await steps.apply(machine, steps.indexesOf(n), n);
    }
    expectSame("restored", await steps.stateOf(machine), steps.states.at(-1), "what followed");
    await machine.close();
    await source.close();
  }
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
