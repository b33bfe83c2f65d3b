/**
 * What the checks of machines on disk have in common: commands in batches, records that say which
 * batch they are of, and what a machine looks like after each.
 */
import { jsonCodec } from "../machine/json-codec.ts";
import type { DiskBatch, DiskStateMachine, EngineRecord } from "../machine/disk-machine.ts";
import type { Codec } from "../machine/state-machine.ts";
import { equalBytes, fromUtf8, utf8 } from "../util/bytes.ts";

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

/** Batches of commands, and what comes of them. */
export class DiskMachineSteps<Command, Query> {
  readonly #encoded: readonly Uint8Array[];
  readonly #codec: Codec<Command>;
  readonly #queries: readonly Query[];
  /** What a machine looks like after so many batches. */
  readonly states: string[] = [];

  constructor(options: {
    readonly commands: readonly Command[];
    readonly queries?: readonly Query[];
    readonly codec?: Codec<Command>;
  }) {
    this.#codec = options.codec ?? jsonCodec<Command>();
    this.#encoded = options.commands.map((command) => this.#codec.encode(command));
    this.#queries = options.queries ?? [];
  }

  get batchCount(): number {
    return Math.ceil(this.#encoded.length / BATCH);
  }

  get indexesOfAll(): number[] {
    return this.#encoded.map((_, i) => i);
  }

  indexesOf(batch: number): number[] {
    const from = batch * BATCH;
    const count = Math.min(BATCH, this.#encoded.length - from);
    return Array.from({ length: count }, (_, i) => from + i);
  }

  /** Applies commands as one batch, whose records say which one it was. */
  async apply(
    machine: DiskStateMachine<Command, Query>,
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
        expectSame("records", results.length, entries.length, "results given for the records");
        return recordsOf(number + 1);
      },
    };
    const results = await machine.apply(batch);
    expectSame("records", isAsked, 1, "how often the records of a batch are asked for");
    expectSame("batches", results.length, entries.length, "results of a batch");
    return results;
  }

  async stateOf(machine: DiskStateMachine<Command, Query>): Promise<string> {
    const checkpoint = machine.checkpoint();
    const chunks: Uint8Array[] = [];
    for await (const chunk of checkpoint.stream()) chunks.push(chunk.slice());
    checkpoint.release();
    const answers: unknown[] = [];
    for (const query of this.#queries) answers.push(await machine.query(query));
    return `${hexOf(chunks)} ${JSON.stringify(answers)}`;
  }
}

/** The part of a state that its stream is. */
export function streamPart(state: string): string {
  return state.slice(0, state.indexOf(" "));
}

// eslint-disable-next-line max-params -- as every assertion has them, and the rule
/** Throws where both are not the same. */
export function expectSame(
  rule: DiskMachineRule,
  actual: unknown,
  wanted: unknown,
  what: string,
): void {
  const [a, w] = [JSON.stringify(actual) ?? "nothing", JSON.stringify(wanted) ?? "nothing"];
  if (a === w) return;
  throw new DiskMachineCheckError(rule, `${what}: want ${clip(w)}, got ${clip(a)}`);
}

const KEY = "steps/0";

/** The records of a batch. */
export function recordsOf(batch: number): EngineRecord[] {
  return [
    { key: "base", value: new Uint8Array(3_000).fill(batch & 255) },
    { key: KEY, value: utf8(String(batch)) },
  ];
}

/** The batch that the records are of. */
export function batchOf(records: readonly EngineRecord[]): number {
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

/** Pieces of bytes as one text. */
export function hexOf(chunks: readonly Uint8Array[]): string {
  let text = "";
  for (const chunk of chunks) for (const byte of chunk) text += byte.toString(16).padStart(2, "0");
  return text;
}

function clip(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 199)}…`;
}
