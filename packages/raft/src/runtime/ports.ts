/**
 * Everything through which the engine touches the outside world. The real ones are in node-*.ts;
 * the simulator brings its own, and runs the same engine over them.
 */
import type { RaftInputs, RaftOptions, RecoveredGroup } from "../core/contract.ts";
import type { Disk } from "../disk/disk.ts";
import type { Transport } from "../transport/transport.ts";
import type { Checksum } from "../util/checksum.ts";
import type { Clock } from "../util/clock.ts";
import type { Random } from "../util/random.ts";

/** SHA-256 of some bytes: 32 bytes. Used for identities only, never on a hot path. */
export type Digest = (bytes: Uint8Array) => Uint8Array;

/** Makes the core of a group. */
export type CoreFactory = (
  options: RaftOptions,
  recovered: RecoveredGroup,
  nowMs: number,
) => RaftInputs;

/** The ports of one host. */
export interface EnginePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  /** Not listening yet; the engine listens with it and closes it. */
  readonly transport: Transport;
  readonly checksum: Checksum;
  readonly digest: Digest;
  /** Who watches the core puts something around it; everybody else leaves this away. */
  readonly core?: CoreFactory;
}
