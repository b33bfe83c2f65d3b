/** What a group needs of its host: the contract between the two. */
import type { MemberId } from "../core/configuration.ts";
import type { RaftInputs, RecoveredGroup } from "../core/contract.ts";
import type { Log } from "../log/log.ts";
import type { EngineJournal } from "../machine/engine-journal.ts";
import type { MachineHost } from "../machine/machine-host.ts";
import type { SnapshotId, SnapshotStore } from "../snapshot/snapshot.ts";
import type { Transport } from "../transport/transport.ts";
import type { Clock } from "../util/clock.ts";
import type { BelongingHooks } from "./belonging.ts";
import type { Newcomers } from "./joins.ts";
import type { EngineOptions } from "./options.ts";
import type { Observers } from "./observers.ts";

/** What a group needs of its host. */
export interface GroupContext extends BelongingHooks {
  readonly number: number;
  readonly id: MemberId;
  readonly options: EngineOptions;
  readonly clock: Clock;
  readonly log: Log;
  readonly transport: Transport;
  readonly observers: Observers;
  readonly machine: MachineHost<unknown>;
  /** What a machine on disk was found with; of one in memory, of no use. */
  readonly journal: EngineJournal;
  /** The store, and what the machine begins with. */
  readonly snapshots: { readonly store: SnapshotStore; readonly initial: SnapshotId | undefined };
  clusterId(): string;
  /** Unique to this start of the process: 48 random bits. */
  readonly startNonce: number;
  readonly makeCore: (recovered: RecoveredGroup, nowMs: number) => RaftInputs;
  /** Asks for a turn. */
  wake(): void;
  /** Who is known beside the core. */
  newcomers(): Newcomers;
  /** This member was removed and has stopped: makes that durable, and tells. */
  left(reason: string): void;
}
