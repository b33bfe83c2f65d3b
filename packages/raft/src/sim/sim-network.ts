/**
 * The network between members as the world sees it; message-network.ts and stream-network.ts
 * provide it.
 *
 * Faults are set per direction between *hosts*, which are named by the addresses they listen on. A
 * direction is that of the payload: `cut(a, b)` lets nothing of what a says reach b, answers of a
 * included; over streams, where a connection with one dead direction is a dead connection, this
 * ends what a dialed to b and lets no new connection of a to b come up.
 */
import type { MemberId } from "../core/configuration.ts";
import type { TransportLimits } from "../transport/link-context.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import type { Transport } from "../transport/transport.ts";
import type { Clock } from "../util/clock.ts";
import type { Checksum } from "../util/checksum.ts";
import type { Random } from "../util/random.ts";
import type { NetworkOptions } from "./options.ts";
import type { SimProcess } from "./process.ts";
import type { Schedule } from "./schedule.ts";

/** What a network is made of. */
export interface SimNetworkContext {
  readonly schedule: Schedule;
  readonly options: NetworkOptions;
  readonly random: Random;
  readonly checksum: Checksum;
}

/** One host on the network, for one life of its process. */
export interface SimHost {
  readonly id: MemberId;
  /** `host:port` to listen on. */
  readonly address: string;
  readonly process: SimProcess;
  readonly clock: Clock;
  readonly random: Random;
  /** Bounds of its transport that differ from `LIMITS`. */
  readonly limits?: Partial<TransportLimits>;
  /** Told of each message that leaves. */
  readonly sent: (to: MemberId, message: PeerMessage) => void;
  /** Told of each message just before it enters the process. */
  readonly delivered: (from: MemberId, message: PeerMessage) => void;
}

/** What a scenario decides about a message: let it pass, lose it, or keep it until released. */
export type MessageRule = (
  from: MemberId,
  to: MemberId,
  message: PeerMessage,
) => "pass" | "drop" | "hold" | "twice";

/** The network. */
export interface SimNetwork {
  /** The transport of a new process. Everything it calls back goes through `host.process`. */
  transport(host: SimHost): Transport;
  /** The process of this host has died: its connections end as the kernel would end them. */
  died(address: string): void;
  cut(from: string, to: string): void;
  stall(from: string, to: string): void;
  /** Each message or chunk takes so much longer; 0 ends it. */
  slow(from: string, to: string, extraUs: number): void;
  /** Ends a cut or stall. */
  heal(from: string, to: string): void;
  /** Ends the connections between the two, in both directions, at once. */
  reset(a: string, b: string): void;
  /** Ends every cut, stall and delay; messages are lost and doubled as before. */
  healPaths(): void;
  /** Ends every cut, stall and delay, and loses and duplicates nothing from now on. */
  healAll(): void;
  /** Decides about every message that leaves; for scenarios. Undefined ends it. */
  rule: MessageRule | undefined;
  /** Lets go what a rule kept, in its order; with `which`, only those. */
  release(which?: (from: MemberId, to: MemberId, message: PeerMessage) => boolean): void;
  /** Connections that are up or being made; bounded once all is quiet. */
  readonly connections: number;
  /** Messages or chunks that are under way or kept. */
  readonly underWay: number;
}
