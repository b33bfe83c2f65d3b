/** The command line of `upkeep`. */
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { STORES } from "./growth-options.ts";
import type { Store } from "./growth-options.ts";
import { listOf, UsageError, wholeNumber } from "./options.ts";

/** What to measure. */
export interface UpkeepOptions {
  readonly stores: readonly Store[];
  /** Of values in the store. */
  readonly mib: number;
  /** Writes meanwhile. */
  readonly ratePerSecond: number;
  readonly repeats: number;
  readonly directory: string;
  readonly allowMemory: boolean;
  readonly json: boolean;
  readonly name: string | undefined;
}

export function parseUpkeepOptions(args: readonly string[]): UpkeepOptions {
  const values = parse(args);
  return {
    stores: listOf("stores", values.stores, STORES),
    mib: wholeNumber("mib", values.mib),
    ratePerSecond: wholeNumber("rate", values.rate),
    repeats: wholeNumber("repeats", values.repeats),
    directory: values.dir,
    allowMemory: values["allow-memory"],
    json: values.json,
    name: values["no-save"] ? undefined : values.name,
  };
}

/** The command that measures the same again. */
export function upkeepCommand({ stores, mib, ratePerSecond, repeats }: UpkeepOptions): string {
  return [
    `npm run bench -- upkeep --stores ${stores.join(",")}`,
    `--mib ${mib}`,
    `--rate ${ratePerSecond}`,
    `--repeats ${repeats}`,
  ].join(" ");
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        stores: { type: "string", default: STORES.join(",") },
        mib: { type: "string", default: "1024" },
        rate: { type: "string", default: "2000" },
        repeats: { type: "string", default: "3" },
        dir: { type: "string", default: tmpdir() },
        name: { type: "string", default: "upkeep" },
        "no-save": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        "allow-memory": { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
