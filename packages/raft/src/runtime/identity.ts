/**
 * Who this data directory is: `identity.json`.
 *
 *   { "format": 1, "id": "n1", "incarnation": "32 hex",
 *     "state": "new" | "forming" | "joining" | "formed" | "recovering" | "removed",
 *     "clusterId": "32 hex", "configuration": "hex", "formerClusters": ["32 hex"],
 *     "invitedBy": 12, "reason": "…", "machine": "disk", "crc": "8 hex" }
 *
 * `incarnation` is drawn once, when the directory is made: a member that lost its directory comes
 * back under another one, and so cannot vote twice. `state` moves one way:
 *
 *   new ──▶ forming ──▶ formed ──▶ removed        with a list, or bootstrapped (formation.ts)
 *     └───▶ joining ──────▲                       invited by a cluster (invitation.ts)
 *
 *   new      nothing was agreed; clusterId is zeros, configuration is empty
 *   forming  the first configuration is decided; it may or may not be in the log yet
 *   joining  it belongs to the cluster that has invited it; the log may or may not say so yet
 *   formed   the log says so, durably: from now on a missing log is a loss and never a beginning
 *   recovering   a quorum was lost and this member is to go on alone (recover-quorum.ts): between
 *            the decision and the entry that carries it out. It does not start; then `formed`
 *   removed  it must not be used any more, and `reason` says why: nothing starts on it again
 *
 * `configuration` is the payload of the log's first entry and stays, so that a member which was
 * away during formation can still be told. Where the member was invited it is the configuration
 * that named it, and `invitedBy` is its index: until its log comes, it has nothing else that says
 * who the others are. `formerClusters` are the ids that this cluster had before its quorum was
 * lost, oldest first. `machine` says that the state machine is on disk: the log may then begin
 * behind a place up to which there is no snapshot. The last four fields are absent where they say
 * nothing. `crc` covers the text of the object without it. The file is replaced as a whole: written
 * beside, synced, renamed, directory synced.
 */
import { isMemberId } from "../core/configuration.ts";
import { decodeConfiguration } from "../core/configuration-codec.ts";
import type { Configuration, Incarnation, MemberId } from "../core/configuration.ts";
import type { Disk } from "../disk/disk.ts";
import { NO_CLUSTER } from "../transport/transport.ts";
import type { ClusterId } from "../transport/transport.ts";
import { fromHex, fromUtf8, utf8 } from "../util/bytes.ts";
import type { Checksum } from "../util/checksum.ts";
import { QuorateError, messageOf } from "../util/error.ts";

/** How far a directory has come on its way into a cluster. */
export type IdentityState = "new" | "forming" | "joining" | "formed" | "recovering" | "removed";

/** The content of the file. */
export interface Identity {
  readonly id: MemberId;
  readonly incarnation: Incarnation;
  readonly state: IdentityState;
  readonly clusterId: ClusterId;
  /** As hex: payload of the first entry, or of the inviting configuration; empty while `new`. */
  readonly configuration: string;
  /** Ids of the cluster before its quorum was lost and recovered from, oldest first. */
  readonly formerClusters?: readonly ClusterId[];
  /** The index of the configuration by which it was invited; absent where it was not. */
  readonly invitedBy?: number;
  /** Why it must not be used any more; only where it was removed. */
  readonly reason?: string;
  /** Its state machine is on disk; absent: in memory. */
  readonly machine?: "disk";
}

const FORMAT = 1;
const STATES: readonly string[] = ["new", "forming", "joining", "formed", "recovering", "removed"];
const FILE = "identity.json";
const TEMPORARY = "identity.json.tmp";
const BYTES_MAX = 1_048_576;
const HEX_32 = /^[0-9a-f]{32}$/;
const HEX = /^(?:[0-9a-f]{2})*$/;

/** The identity file of one directory. */
export class IdentityFile {
  readonly path: string;
  readonly #directory: string;
  readonly #disk: Disk;
  readonly #checksum: Checksum;

  constructor(disk: Disk, directory: string, checksum: Checksum) {
    this.#disk = disk;
    this.#directory = directory;
    this.#checksum = checksum;
    this.path = `${directory}/${FILE}`;
  }

  /** Reads the file; undefined where there is none. Rejects with DATA_DIR_INVALID. */
  async read(): Promise<Identity | undefined> {
    if (!(await this.#disk.exists(this.path))) return undefined;
    const file = await this.#disk.open(this.path, { mode: "read" });
    try {
      const size = await file.size();
      if (size > BYTES_MAX) throw this.#invalid(`has ${size} bytes`);
      const bytes = new Uint8Array(size);
      const got = await file.read(bytes, 0);
      return this.#parse(bytes.subarray(0, got));
    } finally {
      await file.close();
    }
  }

  /** Replaces the file; when it resolves, the new content is durable. */
  async write(identity: Identity): Promise<void> {
    const temporary = `${this.#directory}/${TEMPORARY}`;
    if (await this.#disk.exists(temporary)) await this.#disk.remove(temporary);
    const file = await this.#disk.open(temporary, { mode: "create" });
    try {
      await file.write(encodeIdentity(identity, this.#checksum), 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await this.#disk.rename(temporary, this.path);
    await this.#disk.syncDirectory(this.#directory);
  }

  #parse(bytes: Uint8Array): Identity {
    let fields: Record<string, unknown>;
    try {
      fields = JSON.parse(fromUtf8(bytes)) as Record<string, unknown>;
    } catch (cause) {
      throw this.#invalid(`is not JSON (${messageOf(cause)})`);
    }
    if (typeof fields !== "object" || fields === null) throw this.#invalid("is not a JSON object");
    if (typeof fields["format"] === "number" && fields["format"] > FORMAT) {
      throw new QuorateError(
        "FORMAT_UNSUPPORTED",
        `${this.path} has format ${fields["format"]}, this version knows ${FORMAT}: upgrade it`,
      );
    }
    const identity = identityOf(fields);
    if (identity === undefined) throw this.#invalid("lacks fields or has malformed ones");
    const text = fromUtf8(encodeIdentity(identity, this.#checksum));
    if (text.trimEnd() !== fromUtf8(bytes).trimEnd()) throw this.#invalid("fails its checksum");
    return identity;
  }

  #invalid(why: string): IdentityDamage {
    return new IdentityDamage(this.path, why);
  }
}

/** DATA_DIR_INVALID for an identity file that cannot be believed, with the reason in a field. */
export class IdentityDamage extends QuorateError {
  readonly why: string;

  constructor(path: string, why: string) {
    super(
      "DATA_DIR_INVALID",
      `${path} ${why}: it is damaged. Put it back from where it was lost, or replace this ` +
        `member; without its identity its old votes are not known to be its own`,
    );
    this.why = why;
  }
}

/** The first configuration of its cluster; undefined where it has none, or was invited. */
export function firstConfigurationOf(identity: Identity): Configuration | undefined {
  return identity.invitedBy === undefined ? knownConfigurationOf(identity) : undefined;
}

/** The configuration by which it belongs to its cluster; undefined while it is `new`. */
export function knownConfigurationOf(identity: Identity): Configuration | undefined {
  if (identity.configuration === "") return undefined;
  return decodeConfiguration(fromHex(identity.configuration));
}

function encodeIdentity(identity: Identity, checksum: Checksum): Uint8Array {
  const { id, incarnation, state, clusterId, configuration } = identity;
  const own = { id, incarnation, state, clusterId, configuration };
  const fields = { format: FORMAT, ...own, ...rareFieldsOf(identity) };
  const crc = checksum(utf8(JSON.stringify(fields)))
    .toString(16)
    .padStart(8, "0");
  return utf8(`${JSON.stringify({ ...fields, crc })}\n`);
}

/** The fields that most identities do not have, in the order in which they are written. */
function rareFieldsOf(of: Partial<Identity>): Partial<Identity> {
  const { formerClusters = [], invitedBy, reason, machine } = of;
  return {
    ...(formerClusters.length === 0 ? {} : { formerClusters }),
    ...(invitedBy === undefined ? {} : { invitedBy }),
    ...(reason === undefined ? {} : { reason }),
    ...(machine === undefined ? {} : { machine }),
  };
}

function identityOf(fields: Partial<Record<keyof Identity, unknown>>): Identity | undefined {
  const { id, incarnation, state, clusterId, configuration } = fields as Partial<Identity>;
  if (typeof id !== "string" || !isMemberId(id)) return undefined;
  if (typeof incarnation !== "string" || !HEX_32.test(incarnation)) return undefined;
  if (state === undefined || !STATES.includes(state)) return undefined;
  if (typeof clusterId !== "string" || !HEX_32.test(clusterId)) return undefined;
  if (typeof configuration !== "string" || !HEX.test(configuration)) return undefined;
  if ((state === "new") !== (clusterId === NO_CLUSTER)) return undefined;
  if (!hasGoodRareFields(fields)) return undefined;
  const own = { id, incarnation, state, clusterId, configuration };
  const identity: Identity = { ...own, ...rareFieldsOf(fields as Partial<Identity>) };
  return isOfItsState(identity) ? identity : undefined;
}

function hasGoodRareFields(fields: Partial<Record<keyof Identity, unknown>>): boolean {
  const { formerClusters, invitedBy, reason, machine } = fields;
  if (machine !== undefined && machine !== "disk") return false;
  if (formerClusters !== undefined) {
    if (!Array.isArray(formerClusters) || formerClusters.length === 0) return false;
    if (!formerClusters.every(isClusterId)) return false;
  }
  if (invitedBy !== undefined && !(Number.isSafeInteger(invitedBy) && Number(invitedBy) > 0)) {
    return false;
  }
  return reason === undefined || typeof reason === "string";
}

/** A member belongs to its cluster by a first configuration or by an invitation. */
function isOfItsState({ state, configuration, invitedBy, reason }: Identity): boolean {
  if ((state === "removed") !== (reason !== undefined)) return false;
  if ((state === "new") !== (configuration === "")) return false;
  const isInvited = invitedBy !== undefined;
  if (state === "joining") return isInvited;
  return !isInvited || state === "formed" || state === "removed";
}

function isClusterId(value: unknown): value is ClusterId {
  return typeof value === "string" && HEX_32.test(value);
}
