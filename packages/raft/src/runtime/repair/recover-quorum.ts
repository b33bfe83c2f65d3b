/**
 * The steps by which one member goes on alone after the quorum of its cluster is lost.
 *
 *   1  identity.json   recovering: a new cluster id, a new incarnation, the new configuration
 *   2  snapshot/       each whole snapshot is written anew under the new cluster id, and takes the
 *                      name of the old one in one step
 *   3  log             one data-synced write: a new term, and the new configuration as an entry
 *                      behind all others
 *   4  identity.json   formed
 *
 * The new configuration is this member alone. Several survivors would have to be brought to one
 * log first, on several machines and by hand; one that others then join does the same by itself.
 *
 * The fence. The members that were given up may come back, with a majority even, and know nothing
 * of this. They must neither be counted nor be heard, nor may their log be mixed with this one: the
 * same index and a higher term could mean another entry. So what goes on is another cluster: its id
 * is new, and every connection proves its cluster before anything else (admission.ts). The
 * incarnation is new, too: the old one may have votes and acknowledgements in the old cluster, and
 * copies of the old directory still bear it; here nothing is to be said in its name. The ids that
 * the cluster had before are kept in the identity, so that whoever comes back is told what
 * happened.
 *
 * What a crash leaves. Before 1: the old member. After 1: a directory on which nothing starts, and
 * on which this can be run once more; the identity says what was decided, so it comes to the same
 * end. The identity goes first because of the fence: the other way round, a member of the *old*
 * cluster could start with a configuration that lets it decide alone. In 2: snapshots of both
 * clusters; those of the old one are still to be done. After 3, also where the write was torn: run
 * once more, it finds its entry at the end of the log, or writes it. After 4: done.
 *
 * Why snapshots say their cluster at all: one that lies in the wrong directory is noticed. Why they
 * are written anew, and the old id is not believed for ever: they are sent to those who join, who
 * know nothing of what was before.
 */
import { encodeConfiguration } from "../../core/configuration-codec.ts";
import { memberOf, votersOnly } from "../../core/configuration.ts";
import type { Incarnation } from "../../core/configuration.ts";
import type { RecoveredGroup } from "../../core/contract.ts";
import { EntryBatch, EntryKind, packEntries } from "../../core/entry.ts";
import type { DiskLock } from "../../disk/disk.ts";
import { DiskError } from "../../disk/disk.ts";
import type { Log } from "../../log/log.ts";
import { openLog } from "../../log/open-log.ts";
import { openSnapshots } from "../../snapshot/snapshot-directory.ts";
import type { SnapshotReader, SnapshotStore } from "../../snapshot/snapshot.ts";
import type { ClusterId } from "../../transport/transport.ts";
import { assertDefined } from "../../util/assert.ts";
import { fromHex, toHex } from "../../util/bytes.ts";
import type { Clock } from "../../util/clock.ts";
import { QuorateError, messageOf } from "../../util/error.ts";
import type { Random } from "../../util/random.ts";
import { GROUP } from "../data-dir.ts";
import { IdentityFile } from "../identity.ts";
import { recoverGroup } from "../open-snapshots.ts";
import type { Identity } from "../identity.ts";
import { storageError } from "../storage-error.ts";
import { inspectDirectory } from "./inspect-data-dir.ts";
import type { InspectPorts } from "./inspect-data-dir.ts";
import type { Inspection } from "./inspection.ts";
import { planQuorumRecovery } from "./quorum-loss.ts";
import type { QuorumRecoveryPlan, Survivor } from "./quorum-loss.ts";

/** What recovering needs. */
export interface RecoverPorts extends InspectPorts {
  readonly clock: Clock;
  readonly random: Random;
}

/** What was done. */
export interface QuorumRecovery {
  readonly path: string;
  /** The new id of the cluster. */
  readonly clusterId: ClusterId;
  readonly incarnation: Incarnation;
  /** Where the new configuration is in the log. */
  readonly index: number;
  readonly term: number;
}

/**
 * Has the member with the newest log of `plan` go on alone. `confirm` repeats the id of the cluster
 * that is given up.
 *
 * Rejects with OPTION_INVALID where it does not; with DATA_DIR_LOCKED; with DATA_DIR_INVALID where
 * the directory is not any more as it was planned for.
 */
export async function recoverDirectory(
  ports: RecoverPorts,
  plan: QuorumRecoveryPlan,
  confirm: string,
): Promise<QuorumRecovery> {
  if (confirm !== plan.clusterId) {
    throw new QuorateError(
      "OPTION_INVALID",
      `what confirms the recovery is the id of the cluster, ${plan.clusterId}; nothing was changed`,
    );
  }
  const chosen = assertDefined(plan.survivors[0], "a plan has a survivor");
  const lock = await lockDirectory(ports, chosen.path);
  try {
    await requireUnchanged(ports, chosen, plan.clusterId);
    return await carryOut(ports, chosen.path);
  } catch (error) {
    throw storageError(error, `${chosen.path} was not recovered; it can be tried once more`);
  } finally {
    await lock.release();
  }
}

async function lockDirectory({ disk }: RecoverPorts, path: string): Promise<DiskLock> {
  try {
    return await disk.lock(`${path}/lock`);
  } catch (cause) {
    if (!(cause instanceof DiskError) || cause.reason !== "locked") throw cause;
    throw new QuorateError("DATA_DIR_LOCKED", `${path} is in use (${messageOf(cause)})`, { cause });
  }
}

/** What was printed before the confirmation must still be true under the lock. */
async function requireUnchanged(
  ports: RecoverPorts,
  planned: Survivor,
  clusterId: ClusterId,
): Promise<void> {
  const found: Inspection = { ...(await inspectDirectory(ports, planned.path)), inUse: undefined };
  const plan = planQuorumRecovery([found]);
  const now = plan.survivors[0]!;
  const same =
    plan.clusterId === clusterId &&
    now.id === planned.id &&
    now.lastTerm === planned.lastTerm &&
    now.lastIndex === planned.lastIndex;
  if (same) return;
  throw new QuorateError(
    "DATA_DIR_INVALID",
    `${planned.path} has changed since it was looked at: look again`,
  );
}

async function carryOut(ports: RecoverPorts, path: string): Promise<QuorumRecovery> {
  const { disk, checksum, digest } = ports;
  const identityFile = new IdentityFile(disk, path, checksum);
  const before = assertDefined(await identityFile.read(), "the identity was inspected");
  const log = await openLog(await logOptions(ports, path));
  try {
    const store = await openSnapshots({ disk, checksum, digest, directory: `${path}/snapshot` });
    // As at every start: a snapshot that came from another member may be ahead of the log.
    const from = { store, log, group: GROUP, clusterId: undefined, path };
    const { recovered: found } = await recoverGroup({
      ...from,
      needsNone: before.machine === "disk",
    });
    const identity = before.state === "recovering" ? before : decide(before, found, ports.random);
    if (identity !== before) await identityFile.write(identity);
    await takeOverSnapshots(store, identity.clusterId);
    const { index, term } = await appendConfiguration(log, found, identity, ports);
    await identityFile.write({ ...identity, state: "formed" });
    const { clusterId, incarnation } = identity;
    return { path, clusterId, incarnation, index, term };
  } finally {
    await log.close();
  }
}

/** Writes the snapshots of the old cluster anew; damaged ones stay what they are. */
async function takeOverSnapshots(store: SnapshotStore, clusterId: ClusterId): Promise<void> {
  for (const id of store.list) {
    const reader = await store.read(id);
    try {
      if (reader.meta.clusterId !== clusterId) await takeOver(store, reader, clusterId);
    } finally {
      await reader.close();
    }
  }
}

async function takeOver(
  store: SnapshotStore,
  reader: SnapshotReader,
  clusterId: ClusterId,
): Promise<void> {
  const writer = await store.create({ ...reader.meta, clusterId });
  try {
    for await (const data of reader.chunks()) await writer.write(data);
    await writer.finish();
  } catch (error) {
    await writer.abort();
    if (!QuorateError.is(error) || error.code !== "SNAPSHOT_DAMAGED") throw error;
  }
}

/** New segments get the size of the last one: that is what the member was set up with. */
async function logOptions(
  { disk, checksum, clock, random }: RecoverPorts,
  path: string,
): Promise<Parameters<typeof openLog>[0]> {
  const directory = `${path}/log`;
  const names = (await disk.list(directory)).filter((name) => name.endsWith(".log"));
  const file = await disk.open(`${directory}/${names.at(-1)}`, { mode: "read" });
  try {
    return { disk, directory, checksum, clock, random, segmentBytes: await file.size() };
  } finally {
    await file.close();
  }
}

/** The identity with which the member goes on. */
function decide(before: Identity, found: RecoveredGroup, random: Random): Identity {
  const { configuration } = found.configurations.at(-1) ?? found.startConfiguration;
  const incarnation = randomHex(random);
  const address = memberOf(configuration, before.id)?.address ?? before.id;
  const alone = {
    ...votersOnly([{ id: before.id, address, incarnation }]),
    refounds: true,
  } as const;
  // By whom it was invited, say, is of the old cluster.
  return {
    id: before.id,
    incarnation,
    state: "recovering",
    clusterId: randomHex(random),
    configuration: toHex(encodeConfiguration(alone)),
    formerClusters: [...(before.formerClusters ?? []), before.clusterId],
    ...(before.machine === undefined ? {} : { machine: before.machine }),
  };
}

/** Puts the configuration behind all entries, in a new term, unless it is there already. */
async function appendConfiguration(
  log: Log,
  found: RecoveredGroup,
  identity: Identity,
  { checksum }: RecoverPorts,
): Promise<{ readonly index: number; readonly term: number }> {
  const newest = found.configurations.at(-1);
  const isThere =
    newest !== undefined &&
    newest.index === found.lastIndex &&
    toHex(encodeConfiguration(newest.configuration)) === identity.configuration;
  if (isThere) return { index: newest.index, term: found.hardState.term };
  const index = found.lastIndex + 1;
  const term = found.hardState.term + 1;
  const payload = fromHex(identity.configuration);
  const entry = EntryBatch.seal(packEntries([{ kind: EntryKind.configuration, payload }]), {
    term,
    firstIndex: index,
    timeMs: found.lastTimeMs,
    checksum,
  });
  const { commit } = found.hardState;
  const hardState = { term, vote: undefined, commit };
  // With that entry durable all is decided, as by a majority of one. It must be so from the first
  // moment on: an older configuration knows this member by its old directory only.
  await log.append([{ group: GROUP, hardState, entries: [entry], commit: index }]);
  return { index, term };
}

function randomHex(random: Random): string {
  return toHex(Uint8Array.from({ length: 16 }, () => random.below(256)));
}
