/**
 * How members with the same static list become one cluster, once and for ever.
 *
 * The danger. A member is its directory. Before there is a cluster nobody can tell a member that
 * starts for the first time from one that has lost everything, so two different first
 * configurations could be agreed on: one with the lost directory, one with its successor. If a
 * majority of the ids worked under each, acknowledged writes would be gone and two clusters would
 * answer to the same clients.
 *
 * The rules.
 *  1. *One decides.* The first member of the list (by id) alone puts the configuration together. It
 *     does so when it is connected at that moment with every other member, unformed and with the
 *     same list, and takes the incarnations that those connections have proven. The rest adopt.
 *  2. *Durable, then told.* A configuration is durable in the identity file, then in the log, and
 *     only then told to anybody. One incarnation adopts one configuration, once.
 *  3. *Only one's own.* A member adopts a configuration only if it names this very incarnation and
 *     exactly the members of its own list. Any formed member may tell it, so the decider may be
 *     gone.
 *  4. *Cluster id = hash of the configuration, incarnations included.* Formed members talk only
 *     within one cluster id; after forming, a member dials everybody anew, so that no connection
 *     that was greeted before outlives the forming (peering.ts).
 *
 * Why one lost directory cannot make two working clusters. Let C1 and C2 be decided over the same
 * list. The decider adopted C1 and would not decide again, so C2 was decided by a second
 * incarnation of it. To decide, that one was connected with all others while they were unformed,
 * hence C1 had been adopted by the lost incarnation at most, and (with two members or more) had no
 * majority and had committed nothing. Adoptions of C1 that are still on their way then (a dead
 * member's last message) leave each id on one side only, so only one side can have a majority. If
 * another member is lost after C1 was formed, nobody can decide C2: the decider is formed, and
 * refuses the empty directory by name.
 *
 * What a crash leaves. `new`: nothing has happened. `forming`: decided, perhaps told to nobody; the
 * start goes on with exactly this configuration. The log holds its first entry or does not; either
 * way it is brought to hold it. `formed`: done.
 *
 * A member that comes back empty *before* the decision simply counts with its new incarnation.
 * After it, it is refused until it is replaced. Bootstrapping is the same with a list of one and a
 * random cluster id.
 */
import { memberOf, votersOnly } from "../core/configuration.ts";
import { decodeConfiguration, encodeConfiguration } from "../core/configuration-codec.ts";
import type { Configuration, Incarnation, MemberId } from "../core/configuration.ts";
import { EMPTY_GROUP } from "../core/contract.ts";
import type { RecoveredGroup } from "../core/contract.ts";
import { EntryBatch, EntryKind, packEntries } from "../core/entry.ts";
import type { Log } from "../log/log.ts";
import { NO_CLUSTER } from "../transport/transport.ts";
import type { ClusterId, Hello } from "../transport/transport.ts";
import { assert } from "../util/assert.ts";
import { equalBytes, fromHex, toHex, utf8 } from "../util/bytes.ts";
import type { Checksum } from "../util/checksum.ts";
import { QuorateError, messageOf } from "../util/error.ts";
import type { Identity, IdentityFile } from "./identity.ts";
import type { Digest } from "./ports.ts";
import type { StaticMember } from "./replica.ts";

/** Term and index of the entry that holds the first configuration: the same on every member. */
const FIRST_TERM = 1;
const FIRST_INDEX = 1;

/** What a member must know to form a cluster with others. */
export interface FormationSelf {
  readonly id: MemberId;
  readonly incarnation: Incarnation;
  readonly members: readonly StaticMember[];
}

/** The members of a static list on their way to a cluster. */
export class Formation {
  readonly #self: FormationSelf;
  readonly #digest: Digest;
  /** Incarnations proven by the connections that are open now. */
  readonly #present = new Map<MemberId, Incarnation>();
  /** SHA-256 of the list, as hex. */
  readonly listDigest: string;

  constructor(self: FormationSelf, digest: Digest) {
    this.#self = self;
    this.#digest = digest;
    this.listDigest = digestOfList(self.members, digest);
  }

  /** Our connection to an unformed member of the list is open. */
  connected(remote: Hello): void {
    if (remote.clusterId === NO_CLUSTER) this.#present.set(remote.id, remote.incarnation);
  }

  disconnected(peer: MemberId): void {
    this.#present.delete(peer);
  }

  /** The members of the list that are not connected now. */
  get missing(): MemberId[] {
    const { id, members } = this.#self;
    return members.map((m) => m.id).filter((m) => m !== id && !this.#present.has(m));
  }

  /** The configuration, if this member is the one to decide and can. */
  decide(): Configuration | undefined {
    const { id, incarnation, members } = this.#self;
    const isFirst = members.every((member) => id <= member.id);
    if (!isFirst || this.missing.length > 0) return undefined;
    return votersOnly(
      members.map((member) => ({
        id: member.id,
        address: member.address,
        incarnation: member.id === id ? incarnation : this.#present.get(member.id)!,
      })),
    );
  }

  /** Reads what another member says was agreed; throws, in a sentence, if it is not for us. */
  accept(from: MemberId, payload: Uint8Array): Configuration {
    const { id, incarnation } = this.#self;
    const configuration = readConfiguration(from, payload);
    if (digestOfList(configuration.members, this.#digest) !== this.listDigest) {
      throw new QuorateError(
        "PEER_REFUSED",
        `${from} formed a cluster of another member list than ${id} was started with`,
      );
    }
    const own = memberOf(configuration, id);
    if (own?.incarnation !== incarnation) {
      throw new QuorateError(
        "PEER_REFUSED",
        `${from} formed a cluster with another data directory of ${id}: this one is not part of it`,
      );
    }
    return configuration;
  }
}

/** SHA-256 of a member list in one fixed form: `id=address` lines, sorted. As hex. */
export function digestOfList(members: readonly StaticMember[], digest: Digest): string {
  const lines = members.map((member) => `${member.id}=${member.address}\n`);
  return toHex(digest(utf8(lines.sort().join(""))));
}

/** The cluster id of a configuration: the first half of its hash. */
export function clusterIdOf(configuration: Configuration, digest: Digest): ClusterId {
  return toHex(digest(encodeConfiguration(configuration)).subarray(0, 16));
}

/** What forming needs of the directory. */
export interface FormingStore {
  readonly identityFile: IdentityFile;
  readonly log: Log;
  readonly group: number;
  readonly checksum: Checksum;
}

/** The identity of a member for which this configuration was decided. */
export function formingIdentity(
  identity: Identity,
  configuration: Configuration,
  clusterId: ClusterId,
): Identity {
  assert(identity.state === "new", "a member adopts one configuration, once");
  const payload = toHex(encodeConfiguration(configuration));
  return { ...identity, state: "forming", clusterId, configuration: payload };
}

/**
 * Brings a decided configuration to `formed`: identity, log, identity. May be repeated after a
 * crash at any point of it.
 */
export async function formDurably(store: FormingStore, forming: Identity): Promise<Identity> {
  assert(forming.state === "forming", "only a decided configuration is formed");
  await store.identityFile.write(forming);
  const entry = firstEntry(fromHex(forming.configuration), store.checksum);
  const found = store.log.recovered(store.group);
  if (found.lastIndex === 0) {
    const hardState = { term: FIRST_TERM, vote: undefined, commit: FIRST_INDEX };
    const write = { group: store.group, hardState, entries: [entry], commit: FIRST_INDEX };
    await store.log.append([write]);
  } else {
    await checkFirstEntry(store, entry);
  }
  const formed: Identity = { ...forming, state: "formed" };
  await store.identityFile.write(formed);
  return formed;
}

/** What the core starts from right after forming. */
export function formedGroup(configuration: Configuration): RecoveredGroup {
  return {
    ...EMPTY_GROUP,
    hardState: { term: FIRST_TERM, vote: undefined, commit: FIRST_INDEX },
    lastIndex: FIRST_INDEX,
    termRuns: [{ index: FIRST_INDEX, term: FIRST_TERM }],
    configurations: [{ index: FIRST_INDEX, configuration }],
  };
}

async function checkFirstEntry(store: FormingStore, entry: EntryBatch): Promise<void> {
  const { log, group } = store;
  const [first] = await log.read(group, FIRST_INDEX, FIRST_INDEX, entry.byteLength);
  if (first !== undefined && equalBytes(first.body, entry.body)) return;
  throw new QuorateError(
    "DATA_DIR_INVALID",
    `the log does not begin with the configuration that ${store.identityFile.path} says was agreed: ` +
      `these two do not belong together`,
  );
}

/** The first entry of the log: byte for byte the same on every member. */
function firstEntry(payload: Uint8Array, checksum: Checksum): EntryBatch {
  return EntryBatch.seal(packEntries([{ kind: EntryKind.configuration, payload }]), {
    term: FIRST_TERM,
    firstIndex: FIRST_INDEX,
    timeMs: 0,
    checksum,
  });
}

function readConfiguration(from: MemberId, payload: Uint8Array): Configuration {
  try {
    return decodeConfiguration(payload);
  } catch (cause) {
    throw new QuorateError(
      "PEER_REFUSED",
      `${from} sent a configuration that cannot be read: ${messageOf(cause)}`,
      { cause },
    );
  }
}
