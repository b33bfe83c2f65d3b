/**
 * The load on a key-value server: a number of connections, each with at most one request
 * outstanding. In a closed loop the next one is sent when the answer is there. In an open one
 * requests fall due at a fixed rate, whatever became of those before, and a latency counts from the
 * moment when the request was due: who waits for a connection waits like everybody else.
 *
 * Requests are bytes made beforehand, and of an answer only its status and its end are looked at,
 * so that most of a small machine is left to the members. A request that fails ends the whole load
 * with an error: a window with failures measures nothing.
 */
import { GrpcConnection } from "./grpc-connection.ts";
import { Histogram } from "./histogram.ts";
import { HttpConnection } from "./http-connection.ts";

/** What the members speak. */
export type Protocol = "http" | "grpc";

/** A request, ready to be sent: over HTTP/1.1 with its head, over gRPC in its frame. */
export interface LoadRequest {
  readonly path: string;
  readonly bytes: Buffer;
}

/** What a connection tells. */
export interface LoadEvents {
  answered(): void;
  failed(error: Error): void;
}

/** A connection that has at most one request outstanding. */
export interface LoadConnection {
  open(port: number): Promise<void>;
  send(request: LoadRequest): void;
  close(): void;
}

/** What the connections send, and where to. */
export interface HttpLoadPlan {
  readonly protocol: Protocol;
  /** Connection `i` goes to the port `i`, round and round. */
  readonly ports: readonly number[];
  readonly connections: number;
  /** An open loop of so many requests; undefined: a closed loop. */
  readonly ratePerSecond: number | undefined;
  /** Connection `i` of `n` sends the requests `i`, `i + n`, `i + 2n`, …, round and round. */
  readonly requests: readonly LoadRequest[];
}

/** How often requests that fell due are looked for, beside each answer. */
const TICK_MS = 1;

/** A closed or an open loop over connections. */
export class HttpLoad {
  readonly histogram: Histogram = new Histogram();
  readonly #plan: HttpLoadPlan;
  readonly #senders: readonly Sender[];
  #running = false;
  #closed = false;
  #failure: Error | undefined;
  #outstanding = 0;
  #ended: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #startedMs = 0;
  #fellDue = 0;
  readonly #idle: Sender[] = [];

  constructor(plan: HttpLoadPlan) {
    this.#plan = plan;
    this.#senders = Array.from({ length: plan.connections }, (_, i) => this.#sender(i));
  }

  /** Whether it goes on: not before the start, nor after a stop or a failure. */
  get running(): boolean {
    return this.#running;
  }

  /** Whether each of the requests has been answered once. */
  get reachedAll(): boolean {
    const { requests, connections } = this.#plan;
    return this.#senders.every(
      ({ answered }, i) => answered * connections + (i % requests.length) >= requests.length,
    );
  }

  /** Opens all connections, then lets all of them send. */
  async start(): Promise<void> {
    const { ports } = this.#plan;
    await Promise.all(
      this.#senders.map(({ connection }, i) => connection.open(ports[i % ports.length]!)),
    );
    this.#running = true;
    if (this.#plan.ratePerSecond === undefined) {
      for (const sender of this.#senders) this.#send(sender, performance.now());
      return;
    }
    this.#startedMs = performance.now();
    this.#idle.push(...this.#senders);
    this.#timer = setInterval(() => this.#sendDue(this.#plan.ratePerSecond!), TICK_MS);
  }

  /** Lets what is outstanding end; rejects if anything failed since the start. */
  async stop(): Promise<void> {
    this.#running = false;
    clearInterval(this.#timer);
    if (this.#outstanding > 0 && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#ended = resolve;
      });
    }
    this.#closed = true;
    for (const { connection } of this.#senders) connection.close();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #sender(i: number): Sender {
    const events: LoadEvents = {
      answered: () => this.#answered(sender),
      failed: (error) => this.#failed(error),
    };
    const { protocol, requests } = this.#plan;
    const connection =
      protocol === "http" ? new HttpConnection(events) : new GrpcConnection(events);
    const sender: Sender = { connection, at: i % requests.length, dueMs: 0, answered: 0 };
    return sender;
  }

  #sendDue(ratePerSecond: number): void {
    const perMs = ratePerSecond / 1_000;
    const due = Math.floor((performance.now() - this.#startedMs) * perMs);
    while (this.#fellDue < due && this.#idle.length > 0 && this.#running) {
      // The one that has rested longest: members close what rests for seconds.
      this.#send(this.#idle.shift()!, this.#startedMs + ++this.#fellDue / perMs);
    }
  }

  #send(sender: Sender, dueMs: number): void {
    const { requests, connections } = this.#plan;
    const request = requests[sender.at]!;
    sender.at = (sender.at + connections) % requests.length;
    sender.dueMs = dueMs;
    this.#outstanding++;
    sender.connection.send(request);
  }

  #answered(sender: Sender): void {
    const nowMs = performance.now();
    this.histogram.record(nowMs - sender.dueMs);
    sender.answered++;
    this.#outstanding--;
    if (!this.#running) {
      if (this.#outstanding === 0) this.#ended?.();
    } else if (this.#plan.ratePerSecond === undefined) this.#send(sender, nowMs);
    else {
      this.#idle.push(sender);
      this.#sendDue(this.#plan.ratePerSecond);
    }
  }

  /** The first failure is what `stop` tells. */
  #failed(error: Error): void {
    if (this.#closed) return;
    this.#running = false;
    this.#failure ??= error;
    this.#ended?.();
  }
}

interface Sender {
  readonly connection: LoadConnection;
  at: number;
  dueMs: number;
  answered: number;
}
