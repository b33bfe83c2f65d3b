/**
 * The engine over any ports: opens the directory, the log and the listener, puts host and group
 * together, and takes everything down again in the right order, also where opening fails half-way.
 *
 * Nothing in here knows Node: node-open.ts brings the real ports, the simulator its own.
 */
import type { RaftInputs, RecoveredGroup } from "../core/contract.ts";
import { Raft } from "../core/raft.ts";
import type { Log } from "../log/log.ts";
import { openLog } from "../log/open-log.ts";
import { EngineJournal } from "../machine/engine-journal.ts";
import type { MachineHost } from "../machine/machine-host.ts";
import { openSnapshots } from "../snapshot/snapshot-directory.ts";
import { NO_CLUSTER } from "../transport/transport.ts";
import { toHex } from "../util/bytes.ts";
import { QuorateError, messageOf } from "../util/error.ts";
import { GROUP, checkLogFits, openDataDir } from "./data-dir.ts";
import type { DataDir } from "./data-dir.ts";
import { Group } from "./group.ts";
import type { GroupContext } from "./group-context.ts";
import { Host } from "./host.ts";
import type { Identity } from "./identity.ts";
import { LIMITS } from "./limits.ts";
import { Observers } from "./observers.ts";
import { listedAddress } from "./options.ts";
import type { EngineOptions } from "./options.ts";
import { recoverBeside } from "./open-beside-machine.ts";
import { recoverGroup } from "./open-snapshots.ts";
import type { Beginning, RecoverFrom } from "./open-snapshots.ts";
import { Peering } from "./peering.ts";
import type { EnginePorts } from "./ports.ts";
import type { CloseOptions } from "./replica.ts";
import { storageError } from "./storage-error.ts";

const NONCE_HALF = 2 ** 24;

/** What an engine consists of while it runs. */
interface EngineParts {
  readonly ports: EnginePorts;
  readonly options: EngineOptions;
  readonly dataDir: DataDir;
  readonly log: Log;
  readonly observers: Observers;
  readonly host: Host;
  readonly peering: Peering;
  readonly group: Group;
  readonly machine: MachineHost<unknown>;
}

/** An open engine. */
export class Engine {
  readonly ports: EnginePorts;
  readonly options: EngineOptions;
  readonly log: Log;
  readonly observers: Observers;
  readonly host: Host;
  readonly peering: Peering;
  readonly group: Group;
  readonly #dataDir: DataDir;
  readonly #machine: MachineHost<unknown>;
  #closing: Promise<void> | undefined;

  /** @internal Use {@link openEngine}. */
  constructor(parts: EngineParts) {
    this.ports = parts.ports;
    this.options = parts.options;
    this.log = parts.log;
    this.observers = parts.observers;
    this.host = parts.host;
    this.peering = parts.peering;
    this.group = parts.group;
    this.#dataDir = parts.dataDir;
    this.#machine = parts.machine;
  }

  /** Whether it is closed or on its way there: no new call is taken. */
  get isClosing(): boolean {
    return this.#closing !== undefined;
  }

  /** Ends every call and lets go of everything; idempotent, and never rejects. */
  close(options: CloseOptions = {}): Promise<void> {
    const { handOver = true } = options;
    if (!handOver) this.group.hurry();
    this.#closing ??= this.#close(handOver);
    return this.#closing;
  }

  async #close(handsOver: boolean): Promise<void> {
    this.observers.emit({ type: "closing" });
    if (handsOver && this.group.state === "running") {
      this.observers.deliver();
      await this.group.leave();
    }
    this.group.close();
    this.host.stop();
    await Promise.allSettled([this.ports.transport.close()]);
    await Promise.allSettled([this.peering.settled()]);
    await this.group.snapshots.settled();
    await Promise.allSettled([closed(this.#machine)]);
    await Promise.allSettled([this.log.close()]);
    await Promise.allSettled([this.#dataDir.lock.release()]);
    this.observers.emit({ type: "closed" });
    this.observers.deliver();
  }
}

/** Opens a member on its directory and begins to listen. */
export async function openEngine(
  ports: EnginePorts,
  options: EngineOptions,
  machine: MachineHost<unknown>,
): Promise<Engine> {
  let dataDir: DataDir | undefined;
  let log: Log | undefined;
  let engine: Engine | undefined;
  try {
    dataDir = await openDataDir(ports.disk, options.dataDir, ports.checksum);
    let identity = await settleIdentity(ports, options, dataDir);
    const { disk, checksum, clock, random } = ports;
    const { segmentBytes } = options;
    const directory = dataDir.logPath;
    log = await openLog({ disk, directory, checksum, clock, random, segmentBytes });
    const store = await openSnapshots({ ...ports, directory: dataDir.snapshotPath });
    const clusterId = identity.state === "formed" ? identity.clusterId : undefined;
    const path = dataDir.path;
    const journal = new EngineJournal(checksum);
    const from = { store, log, group: GROUP, clusterId, path };
    const { recovered, snapshot } = await begin({ from, identity, machine, journal });
    identity = await remembered(dataDir, identity, machine);
    checkLogFits(dataDir, { lastIndex: recovered.lastIndex, term: recovered.hardState.term });
    const snapshots = { store, initial: snapshot };
    engine = assemble({ ports, options, dataDir, log, identity, machine, journal, snapshots });
    await ports.transport.listen(engine.host);
    await engine.peering.begin(recovered);
    return engine;
  } catch (error) {
    if (engine !== undefined) await engine.close({ handOver: false });
    else {
      await Promise.allSettled([ports.transport.close()]);
      await Promise.allSettled([closed(machine)]);
      await Promise.allSettled([log?.close()]);
      await Promise.allSettled([dataDir?.lock.release()]);
    }
    throw storageError(error, `${options.dataDir} cannot be opened`);
  }
}

/** What core and machine begin with; a machine on disk is opened for it. */
async function begin(by: {
  readonly from: RecoverFrom;
  readonly identity: Identity;
  readonly machine: MachineHost<unknown>;
  readonly journal: EngineJournal;
}): Promise<Beginning> {
  const { from, machine, journal } = by;
  if (machine.kind === "memory") return recoverGroup(from);
  try {
    journal.open(await machine.open());
  } catch (cause) {
    if (QuorateError.is(cause)) throw cause;
    const message = `the state machine of ${from.path} cannot be opened: ${messageOf(cause)}`;
    throw new QuorateError("STORAGE_FAILED", message, { cause });
  }
  const formerClusters = by.identity.formerClusters ?? [];
  return recoverBeside({ ...from, machine: journal.opened, formerClusters });
}

/** The identity says where the machine is, for whoever looks at the directory without it. */
async function remembered(
  { identityFile }: DataDir,
  identity: Identity,
  { kind }: MachineHost<unknown>,
): Promise<Identity> {
  if ((identity.machine === "disk") === (kind === "disk")) return identity;
  const { machine: _, ...others } = identity;
  const now: Identity = kind === "disk" ? { ...others, machine: "disk" } : others;
  await identityFile.write(now);
  return now;
}

/** Closes a machine on disk, if it was opened or not. */
async function closed(machine: MachineHost<unknown>): Promise<void> {
  if (machine.kind === "disk") await machine.close();
}

/** Finds out who this directory is, or makes it somebody. */
async function settleIdentity(
  ports: EnginePorts,
  options: EngineOptions,
  dataDir: DataDir,
): Promise<Identity> {
  const { identity, path } = dataDir;
  const { id, start } = options;
  if (identity !== undefined && identity.id !== id) {
    throw new QuorateError(
      "DATA_DIR_INVALID",
      `${path} belongs to member ${identity.id}, but this member is ${id}: one of them has the ` +
        `wrong directory`,
    );
  }
  if (start === undefined && (identity === undefined || identity.state === "new")) {
    throw new QuorateError(
      "OPTION_INVALID",
      `${path} is empty and no way to start was given: say start: { bootstrap: true } for a new ` +
        `cluster, start: { members: […] } with the same list on every member, or start: { join: […] } ` +
        `with addresses of members`,
    );
  }
  if (identity?.state !== "formed") checkListed(options);
  if (identity !== undefined) return identity;
  const incarnation = toHex(Uint8Array.from({ length: 16 }, () => ports.random.below(256)));
  const fresh: Identity = {
    id,
    incarnation,
    state: "new",
    clusterId: NO_CLUSTER,
    configuration: "",
  };
  await dataDir.identityFile.write(fresh);
  return fresh;
}

/** Nobody would find a member that begins with one address in the list and says another. */
function checkListed({ start, id, advertise }: EngineOptions): void {
  const listed = listedAddress(start, id);
  if (listed === undefined || listed === advertise) return;
  throw new QuorateError(
    "OPTION_INVALID",
    `advertise says ${advertise}, but start.members has ${listed} for ${id}`,
  );
}

function assemble(from: {
  readonly ports: EnginePorts;
  readonly options: EngineOptions;
  readonly dataDir: DataDir;
  readonly log: Log;
  readonly identity: Identity;
  readonly machine: MachineHost<unknown>;
  readonly journal: EngineJournal;
  readonly snapshots: GroupContext["snapshots"];
}): Engine {
  const { ports, options, dataDir, log, identity, machine, journal, snapshots } = from;
  const { clock, transport, checksum, random } = ports;
  const observers = new Observers();
  const { electionTimeoutMs } = options;
  const host = new Host({ clock, transport, log, observers, electionTimeoutMs });
  const startNonce = random.below(NONCE_HALF) * NONCE_HALF + random.below(NONCE_HALF);
  const group = new Group({
    number: GROUP,
    id: identity.id,
    options,
    clock,
    log,
    transport,
    observers,
    machine,
    journal,
    snapshots,
    clusterId: () => peering.identity.clusterId,
    startNonce,
    makeCore: (recovered, nowMs) =>
      makeCore({ ports, options, identity, startNonce }, recovered, nowMs),
    wake: () => host.wake(),
    configured: (configuration) => peering.configured(configuration),
    committed: (committed) => peering.committed(committed),
    newcomers: () => peering,
    condemned: (error, reason) => peering.condemned(error, reason),
    left: (reason) => peering.left(reason),
  });
  const peering: Peering = new Peering(
    {
      ports,
      options,
      store: { identityFile: dataDir.identityFile, log, group: GROUP, checksum },
      machineVersion: machine.version,
      emit: (event) => {
        observers.emit(event);
        host.wake();
      },
      formed: (recovered) => group.start(recovered),
      acquainted: () => group.acquainted(),
      removed: (error, index) => group.remove(error, index),
      failed: (error) => host.failAll(error),
    },
    identity,
  );
  host.use(peering);
  host.addGroup(group);
  return new Engine({ ports, options, dataDir, log, observers, host, peering, group, machine });
}

function makeCore(
  from: {
    readonly ports: EnginePorts;
    readonly options: EngineOptions;
    readonly identity: Identity;
    readonly startNonce: number;
  },
  recovered: RecoveredGroup,
  nowMs: number,
): RaftInputs {
  const { ports, options, identity, startNonce } = from;
  const raftOptions = {
    id: identity.id,
    incarnation: identity.incarnation,
    electionTimeoutMs: options.electionTimeoutMs,
    heartbeatIntervalMs: options.heartbeatIntervalMs,
    appendBytesMax: LIMITS.appendBytesMax,
    inflightMessagesMax: LIMITS.inflightMessagesMax,
    inflightBytesMax: LIMITS.inflightBytesMax,
    uncommittedBytesMax: LIMITS.uncommittedBytesMax,
    tailBytesMax: LIMITS.tailBytesMax,
    tailSpareBytes: LIMITS.tailSpareBytes,
    readsMax: LIMITS.pendingReadsMax,
    leaseReads: options.leaseReads,
    clockDriftBoundPpm: options.clockDriftBoundPpm,
    checksum: ports.checksum,
    random: ports.random,
    startNonce,
  };
  return ports.core?.(raftOptions, recovered, nowMs) ?? new Raft(raftOptions, recovered, nowMs);
}
