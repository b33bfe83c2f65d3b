/**
 * Kills a machine on disk and cuts its power, on a simulated disk, while any of its operations is
 * in flight, and looks at what is left:
 *
 *  - *records*: it is at the end of some batch, whole, and has the records of exactly that one;
 *  - *durable*: a batch that was there when a `sync` was called is not lost after it has resolved;
 *  - *restored*: a death in the midst of a `restore` leaves what was before or what comes after,
 *    and only the latter once it has resolved.
 *
 * The story of a life: batches, every third of them synced; a restore from another machine's
 * stream; a sync. It is lived through once to count the operations of the disk, then once more for
 * each of them and each way to die. From what a death leaves the rest is applied again.
 */
import { SimDisk } from "../disk/sim-disk.ts";
import type { DiskStateMachine } from "../machine/disk-machine.ts";
import type { MachineStorage } from "../machine/machine-storage.ts";
import type { Codec } from "../machine/state-machine.ts";
import { crc32 } from "../util/checksum.ts";
import { messageOf } from "../util/error.ts";
import { SeededRandom } from "../util/random.ts";
import {
  batchOf,
  DiskMachineCheckError,
  DiskMachineSteps,
  expectSame,
  recordsOf,
} from "./disk-machine-steps.ts";

/** What is checked, and with what. */
export interface DiskMachineCrashOptions<Command, Query> {
  /** A machine on what is stored there: on nothing, or on what another life has left. */
  readonly machine: (storage: MachineStorage) => DiskStateMachine<Command, Query>;
  /** Applied in this order. Some dozens that touch, change and remove what was there before. */
  readonly commands: readonly Command[];
  /** Asked of every machine that was left; the answers in the same state have to be equal. */
  readonly queries?: readonly Query[];
  /** As in `openReplica`; default JSON. */
  readonly codec?: Codec<Command>;
  /** As in `MachineStorage`. Default 1. */
  readonly changesPerCommit?: number;
}

/** How far a life came. */
interface Progress {
  /** So many batches cannot be lost any more. */
  durable: number;
  /** And more than so many were never begun. */
  begun: number;
  restore: "ahead" | "under way" | "done";
}

interface Opened<Command, Query> {
  readonly machine: DiskStateMachine<Command, Query>;
  readonly at: number;
}

const DIRECTORY = "/data/machine";

/**
 * Checks what kills and power cuts leave of a machine whose storage is a `MachineStorage`.
 * Resolves to how many deaths there were.
 *
 * @throws DiskMachineCheckError with the promise that is broken, and the death that broke it.
 * @example
 * ```ts
 * await checkDiskMachineCrashes({
 *   machine: (storage) => onSimDisk(new Notes(), storage),
 *   commands: Array.from({ length: 40 }, (_, i) => put(`n${i % 7}`, String(i))),
 * });
 * ```
 */
export async function checkDiskMachineCrashes<Command, Query>(
  options: DiskMachineCrashOptions<Command, Query>,
): Promise<number> {
  const check = new CrashCheck(options);
  const operations = await check.wholeLife();
  let deaths = 0;
  for (let n = 1; n <= operations; n++) {
    for (const how of ["kill", "crash"] as const) {
      try {
        if (await check.death(n, how)) deaths++;
      } catch (cause) {
        const rule = cause instanceof DiskMachineCheckError ? cause.rule : "throws";
        const what = how === "kill" ? "the process was killed" : "the power was cut";
        const text = `${what} in operation ${n} of the disk: ${messageOf(cause)}`;
        throw new DiskMachineCheckError(rule, text, cause);
      }
    }
  }
  return deaths;
}

class CrashCheck<Command, Query> {
  readonly #options: DiskMachineCrashOptions<Command, Query>;
  readonly #steps: DiskMachineSteps<Command, Query>;
  /** What the machine is restored from: all batches. */
  readonly #stream: Uint8Array[] = [];

  constructor(options: DiskMachineCrashOptions<Command, Query>) {
    this.#options = options;
    this.#steps = new DiskMachineSteps(options);
  }

  /** A life that nothing cuts short, and what it leads to: how many operations the disk had. */
  async wholeLife(): Promise<number> {
    const steps = this.#steps;
    const { machine: source } = await this.#opened(await newDisk());
    steps.states.push(await steps.stateOf(source));
    for (let n = 0; n < steps.batchCount; n++) {
      await steps.apply(source, steps.indexesOf(n), n);
      steps.states.push(await steps.stateOf(source));
    }
    const checkpoint = source.checkpoint();
    for await (const chunk of checkpoint.stream()) this.#stream.push(chunk.slice());
    checkpoint.release();
    await source.close();
    const disk = await newDisk();
    await this.#live(disk, { durable: 0, begun: 0, restore: "ahead" });
    return disk.operations;
  }

  /** Dies at that operation, and looks at what is left; false where there was no such operation. */
  async death(n: number, how: "kill" | "crash"): Promise<boolean> {
    const random = new SeededRandom(n);
    const disk = await newDisk(random);
    disk.dieWhen((operation) => operation.n === n, random, how);
    const progress: Progress = { durable: 0, begun: 0, restore: "ahead" };
    try {
      await this.#live(disk, progress);
    } catch (error) {
      // What the death makes it throw is all right.
      if (disk.successor === undefined) throw error;
    }
    // Its operations need not be the same in every life: then this one was over before.
    if (disk.successor === undefined) return false;
    await this.#examine(disk.successor, progress);
    return true;
  }

  async #live(disk: SimDisk, progress: Progress): Promise<void> {
    const steps = this.#steps;
    const { machine } = await this.#opened(disk);
    const half = steps.batchCount >> 1;
    for (let n = 0; n < half; n++) {
      progress.begun = n + 1;
      await steps.apply(machine, steps.indexesOf(n), n);
      if (n % 3 !== 1) continue;
      await machine.sync();
      progress.durable = n + 1;
    }
    progress.restore = "under way";
    await machine.restore(streamOf(this.#stream), recordsOf(steps.batchCount));
    progress.restore = "done";
    progress.durable = steps.batchCount;
    await machine.sync();
    await machine.close();
  }

  async #examine(disk: SimDisk, progress: Progress): Promise<void> {
    const steps = this.#steps;
    const { machine, at } = await this.#opened(disk);
    const state = await steps.stateOf(machine);
    expectSame("records", state, steps.states[at], `what is left, by its records ${at} batches`);
    if (at < progress.durable) {
      const rule = progress.restore === "done" ? "restored" : "durable";
      const text = `${progress.durable} batches were durable, ${at} are there`;
      throw new DiskMachineCheckError(rule, text);
    }
    if (at > progress.begun && (progress.restore === "ahead" || at !== steps.batchCount)) {
      throw new DiskMachineCheckError("records", `${at} batches, of which ${progress.begun} began`);
    }
    for (let n = at; n < steps.batchCount; n++) {
      await steps.apply(machine, steps.indexesOf(n), n);
    }
    await machine.sync();
    expectSame("records", await steps.stateOf(machine), steps.states.at(-1), "what followed");
    await machine.close();
  }

  /** A machine, and the batch at whose end it was found. */
  async #opened(disk: SimDisk): Promise<Opened<Command, Query>> {
    const { changesPerCommit = 1, machine: make } = this.#options;
    const storage = { disk, directory: DIRECTORY, checksum: crc32, changesPerCommit };
    const machine = make(storage);
    return { machine, at: batchOf(await machine.open()) };
  }
}

async function newDisk(random?: SeededRandom): Promise<SimDisk> {
  const disk = new SimDisk(random === undefined ? {} : { random });
  await disk.makeDirectory("/data");
  await disk.syncDirectory("/");
  return disk;
}

async function* streamOf(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}
