/**
 * All kinds of trouble, by the names that stand in the options of a run.
 *
 * The first part comes at random times. The second part watches and strikes at moments that matter:
 * without it, whole classes of defects (votes that are not durable, commits of old terms) are not
 * found by any number of random runs.
 */
import { assertDefined } from "../../util/assert.ts";
import { afterAck } from "./after-ack.ts";
import { afterAppend } from "./after-append.ts";
import { afterCommit } from "./after-commit.ts";
import { afterConfiguration } from "./after-configuration.ts";
import { afterElection } from "./after-election.ts";
import { afterSnapshot } from "./after-snapshot.ts";
import { afterVote } from "./after-vote.ts";
import { bitRot } from "./bit-rot.ts";
import { clockSkew } from "./clock-skew.ts";
import { comings } from "./comings.ts";
import { crashAtDisk } from "./crash-at-disk.ts";
import { crash } from "./crash.ts";
import { diskError } from "./disk-error.ts";
import { diskFull } from "./disk-full.ts";
import { diskStall } from "./disk-stall.ts";
import { flapping } from "./flapping.ts";
import type { Nemesis } from "./nemesis.ts";
import { partition } from "./partition.ts";
import { pause } from "./pause.ts";
import { readInFlight } from "./read-in-flight.ts";
import { reset } from "./reset.ts";
import { restart } from "./restart.ts";
import { roles } from "./roles.ts";
import { slowDisk } from "./slow-disk.ts";
import { slowLink } from "./slow-link.ts";
import { stallLink } from "./stall-link.ts";
import { transfer } from "./transfer.ts";

/** Every nemesis. */
export const NEMESES: readonly Nemesis[] = [
  crash,
  crashAtDisk,
  restart,
  transfer,
  comings,
  roles,
  pause,
  partition,
  flapping,
  slowLink,
  stallLink,
  reset,
  diskStall,
  slowDisk,
  diskError,
  diskFull,
  bitRot,
  clockSkew,
  afterElection,
  afterVote,
  afterAck,
  afterAppend,
  afterCommit,
  afterSnapshot,
  afterConfiguration,
  readInFlight,
];

const BY_KIND: ReadonlyMap<string, Nemesis> = new Map(NEMESES.map((one) => [one.kind, one]));

/** The nemesis of this name. */
export function nemesisOf(kind: string): Nemesis {
  return assertDefined(BY_KIND.get(kind), `there is no nemesis "${kind}"`);
}
