/**
 * Who this member is to the others: what it says of itself, whom it talks to, and how it becomes
 * part of a cluster and ceases to be. All questions of identity end here; the core knows members by
 * id only.
 *
 * A core message counts only from a connection whose hello named our cluster, and an incarnation
 * that no configuration contradicts. Connections that were greeted while one side was unformed
 * carry nothing but the news of what was formed, and a member that has just formed dials everybody
 * anew with its new hello.
 *
 * Ways in: a static list (formation.ts), an invitation (joining.ts, invitation.ts), a bootstrap.
 * The way out is one for all: the directory is *condemned*. That is durable, no later start uses
 * it, and the sentence that says why stands in identity.json. It comes about when
 * - a committed configuration of our own log, newer than the one that made us a member, does not
 *   name this directory; or a member refuses us over such a one (admission.ts says why that is
 *   true). Others are told in the same way once the configuration without them is committed.
 * - we were bootstrapped, are alone, and members of another cluster dial us under our own id: then
 *   a disk was lost, and what was bootstrapped on the empty one is not the cluster that is meant.
 * - our leader shows that we have acknowledged entries that we do not hold.
 */
import type {
  Configuration,
  Incarnation,
  IndexedConfiguration,
  MemberId,
} from "../core/configuration.ts";
import { encodeConfiguration } from "../core/configuration-codec.ts";
import type { RecoveredGroup } from "../core/contract.ts";
import { PROTOCOL_MAX, PROTOCOL_MIN } from "../transport/hello.ts";
import type { Formation as FormationMessage } from "../transport/peer-message.ts";
import type { Invitation, JoinResponse } from "../transport/peer-message.ts";
import { NO_CLUSTER, NO_FORMATION, RefusalCode, refusalOf } from "../transport/transport.ts";
import type {
  Hello,
  HelloMode,
  PeerAddress,
  RefusalReport,
  Transport,
  Verdict,
} from "../transport/transport.ts";
import { fromHex } from "../util/bytes.ts";
import { QuorateError, messageOf } from "../util/error.ts";
import { Acquaintances } from "./acquaintances.ts";
import { judge, names, refuse } from "./admission.ts";
import type { Admission, SelfView } from "./admission.ts";
import { askBeforeBootstrap, bootstrapIdentity } from "./bootstrap.ts";
import type { ContactAnswers } from "./bootstrap.ts";
import {
  clusterIdOf,
  digestOfList,
  formDurably,
  formedGroup,
  Formation,
  formingIdentity,
} from "./formation.ts";
import type { FormingStore } from "./formation.ts";
import { firstConfigurationOf, knownConfigurationOf } from "./identity.ts";
import type { Identity } from "./identity.ts";
import { checkInvitation, joinDurably, joiningIdentity } from "./invitation.ts";
import { Joining } from "./joining.ts";
import type { Newcomers } from "./joins.ts";
import type { EngineOptions } from "./options.ts";
import type { EnginePorts } from "./ports.ts";
import type { HostEvent } from "./replica.ts";
import { storageError } from "./storage-error.ts";

/** What peering needs of its host. */
export interface PeeringContext {
  readonly ports: EnginePorts;
  readonly options: EngineOptions;
  readonly store: FormingStore;
  readonly machineVersion: number;
  emit(event: HostEvent): void;
  /** The member is part of a cluster now: the group may start from there. */
  formed(recovered: RecoveredGroup): void;
  /** Somebody is known, or knows us, better than before: the group may have to do something. */
  acquainted(): void;
  /** This member is removed: it stops once it has applied up to `index`. */
  removed(error: QuorateError, index: number): void;
  /** It cannot go on, or forming could not be made durable. */
  failed(error: unknown): void;
}

/** The identity of this member, and its dealings with others beside the core. */
export class Peering implements Newcomers {
  readonly #context: PeeringContext;
  readonly #transport: Transport;
  readonly #known: Acquaintances;
  /** Static start on an unformed directory; undefined otherwise. */
  #formation: Formation | undefined;
  /** Start by an invitation on an unformed directory; undefined otherwise. */
  #joining: Joining | undefined;
  /** Before a bootstrap: who was asked, and said what. */
  #asked: ContactAnswers | undefined;
  /** Contacts of the options that are hints now, and have not said yet who they are. */
  #hints: string[] = [];
  #identity: Identity;
  /** Who the members are, once formed. */
  #configuration: Configuration | undefined;
  #committed: IndexedConfiguration | undefined;
  /** What those said of themselves that have connected to us; and those that we have reached. */
  readonly #heard = new Map<MemberId, Hello>();
  readonly #reached = new Map<MemberId, Hello>();
  /** Those of `#heard` whose messages the core may take. */
  readonly #ours = new Set<MemberId>();
  /** Directories that configurations in force have named. */
  readonly #named = new Set<Incarnation>();
  /** Digest of the list this cluster was formed with. */
  #formedWith: string = NO_FORMATION;
  #writing: Promise<void> | undefined;
  #ready = false;
  #isCondemned = false;
  /** What who dials us hears then, to the end. */
  #farewell: Verdict = refuse("overloaded", "this member stops");

  constructor(context: PeeringContext, identity: Identity) {
    this.#context = context;
    this.#transport = context.ports.transport;
    this.#identity = identity;
    this.#known = new Acquaintances(identity.id);
    const { start, id } = context.options;
    if (start !== undefined && "members" in start) {
      for (const member of start.members) this.#known.found(member.id, member.address);
    }
    if (identity.state === "formed" || start === undefined) return;
    if ("members" in start) {
      const { incarnation } = identity;
      const self = { id, incarnation, members: start.members };
      this.#formation = new Formation(self, context.ports.digest);
    } else if ("join" in start || "wait" in start) {
      this.#joining = this.#makeJoining();
    }
  }

  get identity(): Identity {
    return this.#identity;
  }

  get isFormed(): boolean {
    return this.#identity.state === "formed";
  }

  /** What an unformed member is waiting for. */
  get phase(): "forming" | "joining" | "waiting" {
    if (this.#joining === undefined) return "forming";
    return this.#joining.contacts.length > 0 ? "joining" : "waiting";
  }

  /** The address at which others reach this member. */
  get address(): string {
    return this.#context.options.advertise ?? this.#transport.address;
  }

  /** Unformed: the members of the list that are not connected now. */
  get missing(): readonly MemberId[] {
    return this.#formation?.missing ?? [];
  }

  /** What is still being written; resolves when nothing is on its way. */
  async settled(): Promise<void> {
    this.#joining?.end();
    await this.#writing;
  }

  /**
   * The listener is bound: goes on from where the directory stands. When it resolves, the member is
   * formed, or waits for the others of its list, or for an invitation.
   */
  async begin(recovered: RecoveredGroup): Promise<void> {
    const { start } = this.#context.options;
    if (this.#identity.state === "formed") {
      this.#becomeFormed(recovered);
      return;
    }
    if (this.#identity.state === "forming") {
      await this.#form(this.#identity);
      return;
    }
    if (this.#identity.state === "joining") {
      await this.#join(this.#identity);
      return;
    }
    if (start !== undefined && "bootstrap" in start) {
      await this.#askContacts(start.contacts ?? []);
      await this.#form(bootstrapIdentity(this.#identity, this.address, this.#context.ports.random));
      return;
    }
    this.#ready = true;
    this.#joining?.begin();
    this.#transport.setContacts(this.#joining?.contacts ?? []);
    this.#refreshPeers();
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
      mode: this.#mode,
      configurationIndex: this.#knownIndex,
      machineVersion: this.#context.machineVersion,
    };
  }

  judge(remote: Hello, dialed: MemberId | undefined, target?: MemberId): Verdict {
    if (!this.#ready) return refuse("overloaded", "this member is starting");
    if (this.#isCondemned) return this.#farewell;
    const admission = this.#admit(remote, dialed);
    // Somebody who was unformed when we dialed and is formed now takes part in no decision of ours.
    if (remote.clusterId !== NO_CLUSTER) this.#formation?.disconnected(remote.id);
    if (admission.accept) {
      if (dialed === undefined) this.#hear(remote, admission);
      return { accept: true };
    }
    const isOther = admission.code === RefusalCode.cluster && target === this.#identity.id;
    if (isOther && dialed === undefined) this.#meetOtherCluster(remote);
    return admission;
  }

  /** The directory of `from`, where what it sends is of our cluster. */
  incarnationOf(from: MemberId): Incarnation | undefined {
    return this.#ours.has(from) ? this.#heard.get(from)?.incarnation : undefined;
  }

  /** Whether `from` may ask to become a member. */
  mayAsk(from: MemberId): boolean {
    return this.isFormed && this.#heard.get(from)?.clusterId === NO_CLUSTER;
  }

  helloOf(peer: MemberId): Hello | undefined {
    return this.#reached.get(peer);
  }

  hellos(): Iterable<Hello> {
    return this.#reached.values();
  }

  wasNamed(incarnation: Incarnation): boolean {
    return this.#named.has(incarnation);
  }

  connected(peer: MemberId, remote: Hello): void {
    this.#reached.set(peer, remote);
    if (this.isFormed) {
      this.invite(peer);
      this.#context.acquainted();
      return;
    }
    this.#formation?.connected(remote);
    this.#joining?.connected(peer);
    this.#decide();
  }

  disconnected(peer: MemberId): void {
    this.#reached.delete(peer);
    this.#formation?.disconnected(peer);
  }

  /** A contact has said who it is. */
  contacted(address: string, remote: Hello): void {
    if (this.#asked !== undefined) return this.#asked.contacted(address, remote);
    if (!this.isFormed) return this.#joining?.contacted(address, remote);
    this.#hints = this.#hints.filter((hint) => hint !== address);
    this.#transport.setContacts(this.#hints);
    if (remote.clusterId !== this.#identity.clusterId) {
      const reason = `${remote.id}, which is there, does not belong to this cluster`;
      this.#context.emit({ type: "peer-problem", address, reason });
    } else if (remote.id !== this.#identity.id && this.#known.found(remote.id, address)) {
      this.#refreshPeers();
    }
  }

  contactFailed(address: string, reason: string): void {
    this.#asked?.contactFailed(address, reason);
    if (!this.isFormed) this.#joining?.contactFailed(address, reason);
  }

  /** A connection was refused. */
  refused(report: RefusalReport): void {
    this.#joining?.refused(report);
    const { removal, by, peer, reason } = report;
    if (removal === undefined || by !== "them" || !this.isFormed) return;
    if (removal.incarnation !== this.#identity.incarnation) return;
    if (removal.configurationIndex <= this.#knownIndex) return;
    this.#remove(removal.configurationIndex, `${peer} says: ${reason}`, 0);
  }

  /** What was agreed, or an answer on the way there. */
  received(from: MemberId, message: FormationMessage | Invitation | JoinResponse): void {
    if (this.isFormed || this.#writing !== undefined || this.#isCondemned) return;
    if (message.type === "join-response") return this.#joining?.answered(from, message);
    try {
      if (message.type === "invitation") this.#accept(from, message);
      else if (this.#formation !== undefined) {
        this.#adopt(this.#formation.accept(from, message.configuration));
      }
    } catch (error) {
      this.#context.emit({ type: "peer-problem", address: from, reason: messageOf(error) });
    }
  }

  /** The configuration in force has changed: these are the members to be connected to. */
  configured(configuration: Configuration): void {
    this.#configuration = configuration;
    for (const { incarnation } of configuration.members) this.#named.add(incarnation);
    this.#reviewHeard();
    this.#refreshPeers();
    this.#context.acquainted();
  }

  /** A configuration is known to be committed. */
  committed(committed: IndexedConfiguration): void {
    if (committed.index <= (this.#committed?.index ?? 0)) return;
    this.#committed = committed;
    const { index, configuration } = committed;
    // One that is in force and names us is newer, and the first to do so.
    const isNamed =
      names(configuration, this.#identity) || names(this.#configuration, this.#identity);
    if (index > (this.#identity.invitedBy ?? 0) && !isNamed) {
      this.#remove(index, `configuration ${index} does not name it any more`, index);
      return;
    }
    this.#reviewHeard();
    this.#refreshPeers();
    for (const peer of this.#reached.keys()) this.invite(peer);
    this.#context.acquainted();
  }

  /** Tells a member that was away, or that waits, what was agreed; harmless to repeat. */
  invite(peer: MemberId): void {
    const remote = this.#reached.get(peer);
    if (!this.isFormed || remote === undefined || remote.clusterId !== NO_CLUSTER) return;
    const { group } = this.#context.store;
    const first = firstConfigurationOf(this.#identity);
    if (remote.formation === this.#formedWith && names(first, remote)) {
      const configuration = fromHex(this.#identity.configuration);
      this.#transport.send(peer, group, { type: "formation", configuration });
    } else if (this.#committed !== undefined && names(this.#committed.configuration, remote)) {
      const { index } = this.#committed;
      const configuration = encodeConfiguration(this.#committed.configuration);
      this.#transport.send(peer, group, { type: "invitation", index, configuration });
    } else return;
    this.#transport.flush();
  }

  /** This directory must not be used again: stops at once, and makes that durable. */
  condemned(error: QuorateError, reason: string): void {
    if (this.#isCondemned) return;
    this.#isCondemned = true;
    this.#context.failed(error);
    this.#mark(reason);
  }

  /** This member was removed and has stopped: makes that durable, and tells. */
  left(reason: string): void {
    this.#isCondemned = true;
    this.#mark(reason, { type: "removed", reason });
  }

  /** The newest configuration that is known to name this directory, or to have come after it. */
  get #knownIndex(): number {
    return Math.max(this.#committed?.index ?? 0, this.#identity.invitedBy ?? 0);
  }

  get #mode(): HelloMode {
    const { start } = this.#context.options;
    if (this.isFormed || start === undefined || this.#identity.state !== "new") return "member";
    if ("bootstrap" in start) return "bootstrap";
    if ("members" in start) return "member";
    return "join" in start ? "join" : "wait";
  }

  #admit(remote: Hello, dialed: MemberId | undefined): Admission {
    const { id, incarnation, clusterId, formerClusters = [] } = this.#identity;
    const self: SelfView = {
      id,
      incarnation,
      clusterId: this.isFormed ? clusterId : NO_CLUSTER,
      mode: this.#mode,
      formation: this.isFormed ? this.#formedWith : (this.#formation?.listDigest ?? NO_FORMATION),
      configuration: this.#configuration,
      committed: this.#committed,
      formerClusters,
      listed: this.#listed().map((member) => member.id),
      asked: this.#joining?.clusterId,
    };
    const admission = judge(self, remote, dialed);
    if (!admission.accept || admission.as === "member" || dialed !== undefined) return admission;
    if (this.#known.hasRoomFor(remote.id)) return admission;
    return refuse("overloaded", "too many ask to become members at once");
  }

  /** Somebody has connected to us and may stay. */
  #hear(remote: Hello, admission: Admission & { readonly accept: true }): void {
    this.#heard.set(remote.id, remote);
    this.#setOurs(remote);
    const isNews =
      admission.as === "visitor"
        ? this.#known.welcome(this.#context.ports.clock.nowMs(), remote)
        : this.#known.said(remote);
    if (isNews && this.#ready) this.#refreshPeers();
  }

  #setOurs(remote: Hello): void {
    const isOfCluster = this.isFormed && remote.clusterId === this.#identity.clusterId;
    const isOurs = isOfCluster && this.#admit(remote, undefined).accept;
    if (isOurs) this.#ours.add(remote.id);
    else this.#ours.delete(remote.id);
  }

  /** The configuration has changed: who may not stay is told so. */
  #reviewHeard(): void {
    if (!this.#ready) return;
    for (const [id, remote] of this.#heard) {
      const admission = this.#admit(remote, undefined);
      this.#setOurs(remote);
      if (admission.accept) continue;
      this.#heard.delete(id);
      this.#transport.turnAway(id, refusalOf(admission));
    }
  }

  /** Whom to dial, and where. */
  #refreshPeers(): void {
    if (!this.#ready) return;
    const nowMs = this.#context.ports.clock.nowMs();
    const members = this.#members();
    // Whoever may talk to us is answered over what we dial, also when the list changes under it.
    for (const id of this.#ours) this.#known.welcome(nowMs, this.#heard.get(id)!);
    this.#known.prune(nowMs, (hello) => {
      if (members.some((member) => member.id === hello.id)) return "member";
      if (!this.#admit(hello, undefined).accept) return "gone";
      return this.#reached.has(hello.id) ? "connected" : "away";
    });
    const targets = this.#joining?.targets ?? [];
    this.#transport.setPeers(this.#known.peers([...targets, ...members], this.#configuration));
  }

  /** Members of another cluster mean us: one of the two should not be. */
  #meetOtherCluster(remote: Hello): void {
    const { id, clusterId, formerClusters = [] } = this.#identity;
    const first = firstConfigurationOf(this.#identity);
    const isAlone = first?.members.length === 1 && this.#configuration?.members.length === 1;
    if (!this.isFormed || !isAlone || formerClusters.includes(remote.clusterId)) return;
    const reason =
      `${id} was begun as a new cluster (${clusterId}), but ${remote.id} of cluster ` +
      `${remote.clusterId} knows a member ${id} at this address: its directory was lost, perhaps. ` +
      `It must be replaced there (members replace ${id}) and started with --join; if a new ` +
      `cluster is really meant, it needs another id or address`;
    this.#farewell = refuse("cluster", reason);
    this.condemned(new QuorateError("CLUSTER_EXISTS", reason), reason);
  }

  #remove(index: number, why: string, afterIndex: number): void {
    if (this.#isCondemned) return;
    this.#isCondemned = true;
    const { id, clusterId } = this.#identity;
    const reason = `${id} was removed from cluster ${clusterId} by configuration ${index}: ${why}`;
    this.#context.removed(new QuorateError("REMOVED", reason), afterIndex);
  }

  #decide(): void {
    if (this.#writing !== undefined || this.isFormed) return;
    const configuration = this.#formation?.decide();
    if (configuration !== undefined) this.#adopt(configuration);
  }

  #adopt(configuration: Configuration): void {
    const clusterId = clusterIdOf(configuration, this.#context.ports.digest);
    const identity = formingIdentity(this.#identity, configuration, clusterId);
    this.#write(this.#form(identity), "the first configuration could not be kept");
  }

  #accept(from: MemberId, message: Invitation): void {
    checkInvitation(this.#identity, from, message);
    const clusterId = this.#heard.get(from)?.clusterId ?? NO_CLUSTER;
    if (clusterId === NO_CLUSTER) return;
    const identity = joiningIdentity(this.#identity, clusterId, message);
    this.#write(this.#join(identity), "the invitation could not be kept");
  }

  /** Writes why nothing may start on this directory again. */
  #mark(reason: string, event?: HostEvent): void {
    this.#identity = { ...this.#identity, state: "removed", reason };
    this.#writing = this.#context.store.identityFile
      .write(this.#identity)
      .catch((error: unknown) => {
        // It will be refused, and learn of it again, wherever it is started.
        const text = `identity.json could not be marked: ${messageOf(error)}`;
        this.#context.emit({ type: "peer-problem", address: this.address, reason: text });
      })
      .then(() => {
        if (event !== undefined) this.#context.emit(event);
      });
  }

  #write(writing: Promise<void>, problem: string): void {
    this.#writing = writing
      .catch((error: unknown) => this.#context.failed(storageError(error, problem)))
      .then(() => {
        this.#writing = undefined;
      });
  }

  async #form(forming: Identity): Promise<void> {
    const { store } = this.#context;
    const hadEntries = store.log.recovered(store.group).lastIndex > 0;
    this.#identity = await formDurably(store, forming);
    const configuration = firstConfigurationOf(this.#identity) as Configuration;
    const { clusterId } = this.#identity;
    this.#becomeFormed(hadEntries ? store.log.recovered(store.group) : formedGroup(configuration));
    this.#context.emit({ type: "formed", clusterId, configuration });
  }

  async #join(joining: Identity): Promise<void> {
    const { store } = this.#context;
    this.#identity = await joinDurably(store, joining);
    const { clusterId, invitedBy = 0 } = this.#identity;
    const { hardState, ...found } = store.log.recovered(store.group);
    this.#becomeFormed({
      ...found,
      hardState: { ...hardState, term: Math.max(1, hardState.term) },
    });
    this.#context.emit({ type: "joined", clusterId, configurationIndex: invitedBy });
  }

  #becomeFormed(recovered: RecoveredGroup): void {
    const first = firstConfigurationOf(this.#identity);
    const { digest } = this.#context.ports;
    this.#formedWith = first === undefined ? NO_FORMATION : digestOfList(first.members, digest);
    this.#formation = undefined;
    const targets = this.#joining?.targets ?? [];
    this.#joining?.end();
    this.#joining = undefined;
    for (const { id, address } of targets) this.#known.found(id, address);
    this.#ready = true;
    // Every connection so far was greeted as by nobody: start anew, with the hello of a member.
    this.#transport.setPeers([]);
    this.#askHints();
    for (const remote of this.#heard.values()) this.#setOurs(remote);
    this.#context.formed(recovered);
  }

  /** The contacts of the options say where members may be now. */
  #askHints(): void {
    const { start } = this.#context.options;
    if (start !== undefined && "join" in start) this.#hints = [...start.join];
    if (start !== undefined && "bootstrap" in start) this.#hints = [...(start.contacts ?? [])];
    this.#transport.setContacts(this.#hints);
  }

  async #askContacts(contacts: readonly string[]): Promise<void> {
    if (contacts.length === 0) return;
    const { id, incarnation } = this.#identity;
    const asking = { id, incarnation, contacts, clock: this.#context.ports.clock };
    await askBeforeBootstrap(asking, (answers) => {
      this.#asked = answers;
      this.#transport.setContacts(answers === undefined ? [] : contacts);
    });
  }

  #makeJoining(): Joining {
    const { id, start } = this.#context.options;
    return new Joining({
      id,
      clock: this.#context.ports.clock,
      start: start !== undefined && "join" in start ? start : undefined,
      ask: (to, request, role) => {
        const message = { type: "join-request", request, role } as const;
        const isSent = this.#transport.send(to, this.#context.store.group, message);
        this.#transport.flush();
        return isSent;
      },
      targetsChanged: () => this.#refreshPeers(),
      progress: (peer, reason) => this.#context.emit({ type: "joining", peer, reason }),
      failed: (error) => this.#context.failed(error),
    });
  }

  /** The members: by our log and, until that names us, by the invitation; or by the list. */
  #members(): readonly PeerAddress[] {
    const held = this.#configuration;
    if (held === undefined) return this.#listed();
    if (names(held, this.#identity)) return held.members;
    return [...held.members, ...(knownConfigurationOf(this.#identity)?.members ?? [])];
  }

  #listed(): readonly PeerAddress[] {
    const { start } = this.#context.options;
    return start !== undefined && "members" in start ? start.members : [];
  }
}
