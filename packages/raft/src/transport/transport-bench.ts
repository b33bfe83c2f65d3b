/**
 * What the cases of the transport suite work with: hosts that write everything down, transports of
 * the implementation under test, and messages to send.
 */
import { EntryBatch, EntryKind, packEntries } from "../core/entry.ts";
import { crc32 } from "../util/checksum.ts";
import type { SuiteCase } from "../util/suite.ts";
import type { TransportLimits } from "./link-context.ts";
import type { PeerMessage } from "./peer-message.ts";
import { NO_FORMATION } from "./transport.ts";
import type { Hello, RefusalReport, Transport, TransportHandler, Verdict } from "./transport.ts";

/** A transport whose reading can be held up, as the runtime needs it. */
export type PausableTransport = Transport & { pauseReads(): void; resumeReads(): void };

/** What the suite needs of an implementation. */
export interface TransportWorld {
  /** A transport that is not listening yet; `listen` defaults to any free address. */
  create(limits: TransportLimits, listen?: string): PausableTransport;
  /** Lets time pass until the condition holds; rejects, naming it, if it does not for long. */
  until(condition: () => boolean, what: string): Promise<void>;
}

const LIMITS: TransportLimits = {
  sendQueueBytesMax: 33_554_432,
  frameBytesMax: 20_971_520,
  connectionsMax: 64,
  helloTimeoutMs: 5_000,
  dialTimeoutMs: 3_000,
  backoffMinMs: 2,
  backoffMaxMs: 20,
};

/** A host that writes down everything it is told. */
export class RecordingHost implements TransportHandler {
  readonly id: string;
  fields: Partial<Hello> = {};
  verdict: (remote: Hello, dialed: string | undefined, target: string | undefined) => Verdict =
    () => ({ accept: true });
  readonly connectedTo: string[] = [];
  readonly disconnectedFrom: string[] = [];
  readonly refusals: RefusalReport[] = [];
  readonly problems: string[] = [];
  readonly received: { from: string; group: number; message: PeerMessage }[] = [];
  readonly contacts: { address: string; remote: Hello }[] = [];
  readonly contactFailures: string[] = [];
  judged = 0;

  constructor(id: string) {
    this.id = id;
  }

  /** How often anything was called back. */
  get calls(): number {
    const { connectedTo, disconnectedFrom, refusals, problems, received, judged } = this;
    const told = connectedTo.length + disconnectedFrom.length + refusals.length + problems.length;
    return told + received.length + judged;
  }

  hello(): Hello {
    return {
      protocolMin: 2,
      protocolMax: 2,
      clusterId: "c1".repeat(16),
      id: this.id,
      incarnation: "1f".repeat(16),
      address: `${this.id}:1`,
      formation: NO_FORMATION,
      mode: "member",
      configurationIndex: 0,
      machineVersion: 1,
      ...this.fields,
    };
  }

  judge(remote: Hello, dialed: string | undefined, target?: string): Verdict {
    this.judged++;
    return this.verdict(remote, dialed, target);
  }

  contacted(address: string, remote: Hello): void {
    this.contacts.push({ address, remote });
  }

  contactFailed(address: string, reason: string): void {
    this.contactFailures.push(`${address}: ${reason}`);
  }

  connected(peer: string): void {
    this.connectedTo.push(peer);
  }

  disconnected(peer: string): void {
    this.disconnectedFrom.push(peer);
  }

  refused(report: RefusalReport): void {
    this.refusals.push(report);
  }

  problem(address: string, reason: string): void {
    this.problems.push(`${address}: ${reason}`);
  }

  message(from: string, group: number, message: PeerMessage): void {
    this.received.push({ from, group, message });
  }
}

/** A transport and its host. */
export interface Side {
  readonly host: RecordingHost;
  readonly transport: PausableTransport;
}

/** What a case works with; everything it opened is closed behind it. */
export class Bench {
  readonly world: TransportWorld;
  readonly #sides: Side[] = [];

  constructor(world: TransportWorld) {
    this.world = world;
  }

  make(id: string, limits: Partial<TransportLimits> = {}, listen?: string): Side {
    const transport = this.world.create({ ...LIMITS, ...limits }, listen);
    const side = { host: new RecordingHost(id), transport };
    this.#sides.push(side);
    return side;
  }

  async open(id: string, limits: Partial<TransportLimits> = {}, listen?: string): Promise<Side> {
    const side = this.make(id, limits, listen);
    await side.transport.listen(side.host);
    return side;
  }

  /** Two sides that are connected both ways. */
  async pair(limits: Partial<TransportLimits> = {}): Promise<{ a: Side; b: Side }> {
    const a = await this.open("a", limits);
    const b = await this.open("b", limits);
    dial(a, b);
    dial(b, a);
    await this.until(() => isConnected(a) && isConnected(b), "both are connected");
    return { a, b };
  }

  until(condition: () => boolean, what: string): Promise<void> {
    return this.world.until(condition, what);
  }

  async close(): Promise<void> {
    for (const { transport } of this.#sides) await transport.close();
  }
}

/** Makes these sides the only peers of `from`. */
export function dial(from: Side, ...to: readonly Side[]): void {
  from.transport.setPeers(
    to.map((side) => ({ id: side.host.id, address: side.transport.address })),
  );
}

/** Whether all peers of a side are connected. */
export function isConnected(side: Side): boolean {
  return side.transport.status().every((peer) => peer.connected);
}

/** A small message that can be told from others. */
export function heartbeat(round: number): PeerMessage {
  return { type: "heartbeat", term: 1, commit: 0, round };
}

/** The rounds of the heartbeats received, in order. */
export function rounds(side: Side): number[] {
  return side.host.received.flatMap(({ message }) =>
    message.type === "heartbeat" ? [message.round] : [],
  );
}

/** One entry with so many bytes of payload. */
export function bigBatch(index: number, payloadBytes: number): EntryBatch {
  const payload = new Uint8Array(payloadBytes);
  for (let at = 0; at < payloadBytes; at += 97) payload[at] = (at * 31 + index) & 0xff;
  const entries = packEntries([{ kind: EntryKind.command, payload }]);
  return EntryBatch.seal(entries, { term: 1, firstIndex: index, timeMs: 0, checksum: crc32 });
}

/** The message that carries these batches. */
export function append(...batches: readonly EntryBatch[]): PeerMessage {
  const prevIndex = batches[0]!.firstIndex - 1;
  const prevTerm = prevIndex === 0 ? 0 : 1;
  return { type: "append-entries", term: 1, prevIndex, prevTerm, commit: 0, batches };
}

/** The batches received, in order. */
export function batchesOf(side: Side): EntryBatch[] {
  return side.host.received.flatMap(({ message }) =>
    message.type === "append-entries" ? message.batches : [],
  );
}

/** Adds a case. */
export type Test = (name: string, body: (bench: Bench) => Promise<void>) => SuiteCase;
