/**
 * A world with nothing in it but a network, for the tests of both modes: processes with clocks on
 * one schedule, and hosts that write down what they are told.
 */
import { RecordingHost } from "../transport/transport-bench.ts";
import type { PausableTransport, TransportWorld } from "../transport/transport-bench.ts";
import type { TransportLimits } from "../transport/link-context.ts";
import type { PeerMessage } from "../transport/peer-message.ts";
import { crc32 } from "../util/checksum.ts";
import type { SeededRandom } from "../util/random.ts";
import { MemberClock } from "./member-clock.ts";
import type { NetworkOptions } from "./options.ts";
import { SimProcess } from "./process.ts";
import { RandomStreams } from "./random-streams.ts";
import { Schedule } from "./schedule.ts";
import type { SimNetwork, SimNetworkContext } from "./sim-network.ts";

/** A network without any trouble of its own. */
export const CALM: NetworkOptions = {
  mode: "messages",
  delay: { minUs: 100, maxUs: 2_000, tailShare: 0, tailMaxUs: 0 },
  lossShare: 0,
  duplicateShare: 0,
  bytesPerSecond: 0,
};

/** Makes one of the two networks. */
export type MakeNetwork = (context: SimNetworkContext) => SimNetwork;

/** One process on the network. */
export interface Node {
  readonly address: string;
  readonly process: SimProcess;
  readonly transport: PausableTransport;
  readonly host: RecordingHost;
  readonly sent: PeerMessage[];
  readonly delivered: PeerMessage[];
}

const EXACT = { rateSpreadPpm: 0, driftBoundPpm: 0, lateShare: 0, lateMaxUs: 0, turnUs: 5 };

/** The schedule, the network and its processes. */
export class NetworkWorld {
  readonly schedule: Schedule;
  readonly network: SimNetwork;
  readonly nodes: Map<string, Node> = new Map();
  events = 0;
  readonly #streams: RandomStreams;
  #processes = 0;

  constructor(make: MakeNetwork, options: Partial<NetworkOptions> = {}, seed = 1) {
    this.#streams = new RandomStreams(seed);
    this.schedule = new Schedule(this.#streams.stream("ties"));
    this.network = make({
      schedule: this.schedule,
      options: { ...CALM, ...options },
      random: this.#streams.stream("network"),
      checksum: crc32,
    });
  }

  /** A new process; nothing of it runs yet. */
  create(id: string, address = `${id}:1`, limits: Partial<TransportLimits> = {}): Node {
    const process = new SimProcess(() => this.events++);
    const random: SeededRandom = this.#streams.stream(`process ${++this.#processes}`);
    const { schedule } = this;
    const sent: PeerMessage[] = [];
    const delivered: PeerMessage[] = [];
    const transport = this.network.transport({
      id,
      address,
      process,
      clock: new MemberClock({ schedule, process, random, options: EXACT, ppm: 0 }),
      random,
      limits,
      sent: (_to, message) => sent.push(message),
      delivered: (_from, message) => delivered.push(message),
    }) as PausableTransport;
    return { address, process, transport, host: new RecordingHost(id), sent, delivered };
  }

  /** Starts a process, or the next life of one. */
  async start(id: string): Promise<Node> {
    const node = this.create(id);
    await node.transport.listen(node.host);
    this.nodes.set(id, node);
    return node;
  }

  /** Starts processes and lets them all dial each other. */
  async open(...ids: readonly string[]): Promise<this> {
    for (const id of ids) await this.start(id);
    for (const id of ids) this.dial(id);
    await this.run(100);
    return this;
  }

  dial(id: string): void {
    const others = [...this.nodes.keys()].filter((other) => other !== id);
    const peers = others.map((other) => ({ id: other, address: `${other}:1` }));
    this.at(id).transport.setPeers(peers);
  }

  at(id: string): Node {
    return this.nodes.get(id)!;
  }

  /** Sends heartbeats of these rounds, as one turn. True where all were taken. */
  send(from: string, to: string, ...rounds: readonly number[]): boolean {
    const { transport } = this.at(from);
    let isTaken = true;
    for (const round of rounds) {
      const message: PeerMessage = { type: "heartbeat", term: 1, commit: 0, round };
      if (!transport.send(to, 0, message)) isTaken = false;
    }
    transport.flush();
    return isTaken;
  }

  /** The rounds of the heartbeats that arrived. */
  rounds(id: string): number[] {
    return this.at(id).host.received.map(({ message }) =>
      message.type === "heartbeat" ? message.round : -1,
    );
  }

  /** The process dies. */
  kill(id: string): Node {
    const node = this.at(id);
    node.process.die();
    this.network.died(node.address);
    return node;
  }

  /** Lets so many milliseconds pass. */
  async run(ms: number): Promise<void> {
    const endUs = this.schedule.nowUs + ms * 1_000;
    while ((this.schedule.nextUs ?? Number.POSITIVE_INFINITY) <= endUs) {
      this.schedule.next()!.run();
      await settle();
    }
    this.schedule.skipTo(endUs);
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    const endUs = this.schedule.nowUs + 60_000_000;
    await settle();
    while (!condition()) {
      const due = this.schedule.next();
      if (due === undefined || due.atUs > endUs) throw new Error(`not within a minute: ${what}`);
      due.run();
      await settle();
    }
  }

  /** This network under the suite that every transport passes. */
  suiteWorld(): TransportWorld {
    let hosts = 0;
    return {
      create: (limits, listen) =>
        this.create(`h${++hosts}`, listen ?? `h${hosts}:0`, limits).transport,
      until: (condition, what) => this.until(condition, what),
    };
  }
}

async function settle(): Promise<void> {
  for (let hop = 0; hop < 4; hop++) await Promise.resolve();
}
