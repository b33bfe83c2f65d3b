/**
 * Who this member is to the others: what it says of itself, whom it talks to, and how it becomes
 * part of a cluster. All questions of identity end here; the core knows members by id only.
 *
 * A core message counts only from a connection whose hello named our cluster. Connections that were
 * greeted while one side was unformed carry nothing but the news of what was formed, and a member
 * that has just formed dials everybody anew with its new hello.
 */

import type { Configuration, MemberId } from "../core/configuration.ts";
import { EMPTY_GROUP } from "../core/contract.ts";
import type { RecoveredGroup } from "../core/contract.ts";
import type { Formation as FormationMessage } from "../transport/peer-message.ts";
import { PROTOCOL_MAX, PROTOCOL_MIN } from "../transport/hello.ts";
import { NO_CLUSTER, NO_FORMATION, RefusalCode } from "../transport/transport.ts";
import type { ClusterId, Hello, PeerAddress, Transport, Verdict } from "../transport/transport.ts";
import { fromHex, toHex } from "../util/bytes.ts";
import { messageOf } from "../util/error.ts";
import { judge } from "./admission.ts";
import {
  clusterIdOf,
  digestOfList,
  formDurably,
  formedGroup,
  Formation,
  formingIdentity,
} from "./formation.ts";
import type { FormingStore } from "./formation.ts";
import { configurationOf } from "./identity.ts";
import type { Identity } from "./identity.ts";
import type { EngineOptions } from "./options.ts";
import type { EnginePorts } from "./ports.ts";
import type { HostEvent } from "./replica.ts";
import { storageError } from "./storage-error.ts";

/** What peering needs of its host. */
export interface PeeringContext {
  readonly ports: EnginePorts;
  readonly options: EngineOptions;
  readonly store: FormingStore;
  emit(event: HostEvent): void;
  /** The member is part of a cluster now: the group may start from there. */
  formed(recovered: RecoveredGroup): void;
  /** Forming could not be made durable. */
  failed(error: unknown): void;
}

/** The identity of this member, and its dealings with others before the core takes part. */
export class Peering {
  readonly #context: PeeringContext;
  readonly #transport: Transport;
  /** Static start on an unformed directory; undefined otherwise. */
  #formation: Formation | undefined;
  #identity: Identity;
  /** Who the members are, once formed. */
  #configuration: Configuration | undefined;
  /** The cluster that each accepted peer named in its hello. */
  readonly #clusterOf = new Map<MemberId, ClusterId>();
  /** Digest of the list this cluster was formed with. */
  #formedWith: string = NO_FORMATION;
  #adopting: Promise<void> | undefined;
  #ready = false;

  constructor(context: PeeringContext, identity: Identity) {
    this.#context = context;
    this.#transport = context.ports.transport;
    this.#identity = identity;
    const { start, id } = context.options;
    if (identity.state !== "formed" && start !== undefined && "members" in start) {
      const { incarnation } = identity;
      const self = { id, incarnation, members: start.members };
      this.#formation = new Formation(self, context.ports.digest);
    }
  }

  get identity(): Identity {
    return this.#identity;
  }

  get isFormed(): boolean {
    return this.#identity.state === "formed";
  }

  /** The address at which others reach this member. */
  get address(): string {
    return this.#context.options.advertise ?? this.#transport.address;
  }

  /** Unformed: the members of the list that are not connected now. */
  get missing(): readonly MemberId[] {
    return this.#formation?.missing ?? [];
  }

  /** What forming still writes; resolves when nothing is on its way. */
  async settled(): Promise<void> {
    await this.#adopting;
  }

  /**
   * The listener is bound: goes on from where the directory stands. When it resolves, the member is
   * formed, or waits for the others of its list.
   */
  async begin(recovered: RecoveredGroup): Promise<void> {
    const { options } = this.#context;
    if (this.#identity.state === "formed") {
      this.#becomeFormed(recovered);
      return;
    }
    if (this.#identity.state === "forming") {
      await this.#form(this.#identity);
      return;
    }
    if (options.start !== undefined && "bootstrap" in options.start) {
      await this.#form(this.#bootstrapIdentity());
      return;
    }
    this.#ready = true;
    this.#dialList();
    this.#decide();
  }

  hello(): Hello {
    const { id, incarnation, clusterId } = this.#identity;
    const isFormed = this.isFormed;
    return {
      protocolMin: PROTOCOL_MIN,
      protocolMax: PROTOCOL_MAX,
      clusterId: isFormed ? clusterId : NO_CLUSTER,
      id,
      incarnation,
      address: this.address,
      formation: isFormed ? NO_FORMATION : (this.#formation?.listDigest ?? NO_FORMATION),
    };
  }

  judge(remote: Hello, dialed: MemberId | undefined): Verdict {
    if (!this.#ready) {
      return { accept: false, code: RefusalCode.overloaded, reason: "this member is starting" };
    }
    const { id, incarnation, clusterId } = this.#identity;
    const self = {
      id,
      incarnation,
      clusterId: this.isFormed ? clusterId : NO_CLUSTER,
      formation: this.isFormed ? this.#formedWith : (this.#formation?.listDigest ?? NO_FORMATION),
      configuration: this.#configuration,
      listed: this.#listed().map((member) => member.id),
    };
    const verdict = judge(self, remote, dialed);
    // Somebody who was unformed when we dialed and is formed now takes part in no decision of ours.
    if (remote.clusterId !== NO_CLUSTER) this.#formation?.disconnected(remote.id);
    if (verdict.accept && dialed === undefined) this.#clusterOf.set(remote.id, remote.clusterId);
    return verdict;
  }

  /** Whether what `from` sends is of our cluster. */
  isOurs(from: MemberId): boolean {
    return this.isFormed && this.#clusterOf.get(from) === this.#identity.clusterId;
  }

  connected(peer: MemberId, remote: Hello): void {
    if (this.isFormed) {
      if (remote.clusterId === NO_CLUSTER) this.#tell(peer);
      return;
    }
    this.#formation?.connected(remote);
    this.#decide();
  }

  disconnected(peer: MemberId): void {
    this.#formation?.disconnected(peer);
  }

  /** A formed member says what was agreed. */
  received(from: MemberId, message: FormationMessage): void {
    if (this.isFormed || this.#adopting !== undefined) return;
    const formation = this.#formation;
    if (formation === undefined) return;
    try {
      this.#adopt(formation.accept(from, message.configuration));
    } catch (error) {
      this.#context.emit({ type: "peer-problem", address: from, reason: messageOf(error) });
    }
  }

  /** The configuration in force has changed: these are the members to be connected to. */
  configured(configuration: Configuration): void {
    this.#configuration = configuration;
    this.#transport.setPeers(this.#peersOf(configuration.members));
  }

  #decide(): void {
    if (this.#adopting !== undefined || this.isFormed) return;
    const configuration = this.#formation?.decide();
    if (configuration !== undefined) this.#adopt(configuration);
  }

  #adopt(configuration: Configuration): void {
    const clusterId = clusterIdOf(configuration, this.#context.ports.digest);
    const identity = formingIdentity(this.#identity, configuration, clusterId);
    this.#adopting = this.#form(identity).catch((error: unknown) => {
      this.#context.failed(storageError(error, "the first configuration could not be kept"));
    });
  }

  async #form(forming: Identity): Promise<void> {
    const { store } = this.#context;
    const hadEntries = store.log.recovered(store.group).lastIndex > 0;
    this.#identity = await formDurably(store, forming);
    const configuration = configurationOf(this.#identity) as Configuration;
    const { clusterId } = this.#identity;
    this.#becomeFormed(hadEntries ? store.log.recovered(store.group) : formedGroup(configuration));
    this.#context.emit({ type: "formed", clusterId, configuration });
  }

  #becomeFormed(recovered: RecoveredGroup): void {
    const first = configurationOf(this.#identity) as Configuration;
    this.#formedWith = digestOfList(first.members, this.#context.ports.digest);
    this.#formation = undefined;
    this.#ready = true;
    // Every connection so far was greeted as by nobody: start anew, with the hello of a member.
    this.#transport.setPeers([]);
    this.#context.formed(recovered);
  }

  #bootstrapIdentity(): Identity {
    const { id, incarnation } = this.#identity;
    const { random } = this.#context.ports;
    const configuration = {
      ...EMPTY_GROUP.startConfiguration.configuration,
      members: [{ id, address: this.address, incarnation }],
      voters: [id],
    };
    const clusterId = toHex(Uint8Array.from({ length: 16 }, () => random.below(256)));
    return formingIdentity(this.#identity, configuration, clusterId);
  }

  /** Tells a member that was away what was agreed; harmless to repeat. */
  #tell(peer: MemberId): void {
    const configuration = fromHex(this.#identity.configuration);
    this.#transport.send(peer, this.#context.store.group, { type: "formation", configuration });
    this.#transport.flush();
  }

  #dialList(): void {
    this.#transport.setPeers(this.#peersOf(this.#listed()));
  }

  /** The addresses of the options are hints for dialing and come first. */
  #peersOf(members: readonly PeerAddress[]): PeerAddress[] {
    const hints = new Map(this.#listed().map((member) => [member.id, member.address]));
    return members
      .filter((member) => member.id !== this.#identity.id)
      .map(({ id, address }) => ({ id, address: hints.get(id) ?? address }));
  }

  #listed(): readonly PeerAddress[] {
    const { start } = this.#context.options;
    return start !== undefined && "members" in start ? start.members : [];
  }
}
