/** Worlds of the tests whose machines are on the simulated disks of their members. */
import type { SimDisk } from "../disk/sim-disk.ts";
import type { DiskStateMachine } from "../machine/disk-machine.ts";
import type { ResultOf } from "../machine/state-machine.ts";
import { FileBackend } from "../store/file-backend.ts";
import { textKey } from "../store/keys.ts";
import type { LayerLimits } from "../store/layers.ts";
import { onStore } from "../store/store-machine.ts";
import type { StoreMachine, StoreReader } from "../store/store-machine.ts";
import { fromUtf8, utf8 } from "../util/bytes.ts";
import { crc32 } from "../util/checksum.ts";
import { add, World } from "./world-harness.ts";
import type { Command, Opened, Query } from "./world-harness.ts";

/** Adds up, and counts how often it was asked to over all lives: a repetition shows. */
export class Sum implements StoreMachine<Command, Query> {
  applies = 0;
  apply(command: Command, store: Parameters<StoreMachine<Command, Query>["apply"]>[1]): never {
    this.applies++;
    if (command.type === "boom") throw new Error("boom");
    if (command.type === "add") {
      const sum = sumOf(store) + command.amount;
      store.put(textKey("total"), utf8(String(sum)));
    } else store.put(textKey("pad"), utf8(command.text));
    return sumOf(store) as never;
  }
  query(query: Query, store: StoreReader): ResultOf<Query> {
    if (query.type === "throw") throw new Error("no answer");
    return sumOf(store);
  }
}

function sumOf(store: StoreReader): number {
  const value = store.get(textKey("total"));
  return value === undefined ? 0 : Number(fromUtf8(value));
}

/** A world with such machines. */
export class DiskWorld extends World {
  /** The machine of the newest life of each member, and what happened to it. */
  readonly sums = new Map<string, Sum>();
  /** Stands around the machine of each member. */
  wrap: (machine: DiskStateMachine<Command, Query>) => DiskStateMachine<Command, Query> = (m) => m;

  /** How much a store gathers; the usual where undefined. */
  limits: LayerLimits | undefined;

  constructor(seed = 1) {
    super(seed);
    this.machines = (disk, id) => {
      const sum = new Sum();
      this.sums.set(id, sum);
      return this.wrap(onStore(sum, backend(disk, id), this.limits));
    };
  }
}

/** Where the machine of a member is. */
export function backend(disk: SimDisk, id: string): FileBackend {
  return new FileBackend({ disk, directory: `/data/${id}/machine`, checksum: crc32 });
}

/** How the first member begins. */
export const BOOTSTRAP = { bootstrap: true } as const;

/** Adds 1 so often, one after the other; the last result. */
export async function writes(world: World, { node }: Opened, count: number): Promise<number> {
  let last = 0;
  for (let i = 0; i < count; i++) last = await world.until(node.write(add(1)));
  return last;
}
