/**
 * The simulator's own subject: the key-value machine, its clients' calls, and the checks of what
 * they heard.
 */
import type { Codec, StateMachine } from "../../machine/state-machine.ts";
import type { StoreMachine } from "../../store/store-machine.ts";
import type { Observer } from "../observer.ts";
import type { SimOptions } from "../options.ts";
import type { RandomStreams } from "../random-streams.ts";
import { HistoryCheck } from "./history-check.ts";
import { kvCodec } from "./kv-codec.ts";
import { KvMachine } from "./kv-machine.ts";
import { KvStoreMachine } from "./kv-store-machine.ts";
import { KvWorkload } from "./kv-workload.ts";
import { Witness } from "./witness.ts";
import type { Workload } from "./workload.ts";

/** What a run with the key-value machine is about. */
export interface KeyValueSubject {
  readonly machine: () => StateMachine<never, never>;
  readonly storeMachine: () => StoreMachine<never, never>;
  readonly codec: Codec<unknown>;
  readonly workload: Workload<unknown, unknown>;
  /** The checks of one run. */
  readonly checks: (world: { readonly streams: RandomStreams }) => readonly Observer[];
}

/** The subject of one run: its workload remembers what was heard. */
export function keyValueSubject(options: SimOptions): KeyValueSubject {
  // The world handles commands and queries without knowing them.
  return {
    machine: () => new KvMachine() as unknown as StateMachine<never, never>,
    storeMachine: () => new KvStoreMachine() as unknown as StoreMachine<never, never>,
    codec: kvCodec,
    workload: new KvWorkload(options.clients),
    checks: ({ streams }) => [new Witness(), new HistoryCheck(streams.stream("history"))],
  };
}
