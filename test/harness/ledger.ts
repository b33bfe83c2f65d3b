/**
 * Writers that remember what they were told: which writes were acknowledged, which refused, which
 * left open. Each write has a key and a value of its own and nothing ever overwrites it, so in the
 * end the store itself says whether each promise was kept.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { TestContext } from "vitest";
import { askForReply, jsonOf } from "./http.ts";
import { perform } from "./kv-client.ts";

const PREFIX = "ledger/";
const PAGE = 1_000;

/** What the ledger says and what the store holds, compared. */
export interface Audit {
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
  /** Acknowledged, and not there or there with another value or revision. */
  readonly lost: readonly string[];
  /** Refused with the promise that nothing happened, and there. */
  readonly appeared: readonly string[];
  /** There, and never written. */
  readonly invented: readonly string[];
}

/** A growing record of writes. */
export class Ledger {
  readonly #acknowledged = new Map<string, number>();
  readonly #refused = new Set<string>();
  readonly #unknown = new Set<string>();
  readonly #writers: Promise<void>[] = [];
  #stopped = false;
  #number = 0;

  /** Its writers end with the test at the latest. */
  constructor(context: TestContext) {
    context.onTestFinished(() => {
      this.#stopped = true;
    });
  }

  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  /** Starts a writer that goes through the members in turn, from error to error. */
  startWriter(ports: readonly number[], timeoutMs: number): void {
    const writer = this.#write(ports, timeoutMs, this.#writers.length);
    writer.catch(() => {}); // reported by stop()
    this.#writers.push(writer);
  }

  /**
   * Writes to the given members, one after the other, until one acknowledges; returns how many ms
   * after `since` that was. Only writes begun after the call count: an acknowledgement may have
   * been on its way already.
   */
  async firstAcknowledgement(
    ports: readonly number[],
    since: number,
    timeoutMs: number,
  ): Promise<number> {
    const end = since + timeoutMs;
    for (let i = 0; performance.now() < end; i++) {
      const left = Math.max(50, end - performance.now());
      if (await this.#one(ports[i % ports.length]!, left)) return performance.now() - since;
      await sleep(5);
    }
    return Number.POSITIVE_INFINITY;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#writers);
  }

  /** Reads everything back from one member and compares. */
  async audit(port: number): Promise<Audit> {
    const found = await readAll(port);
    const lost = [...this.#acknowledged].flatMap(([key, revision]) => {
      const item = found.get(key);
      if (item === undefined) return [`${key}: acknowledged at ${revision}, not there`];
      const same = item.value === valueOf(key) && item.revision === revision;
      return same ? [] : [`${key}: acknowledged at ${revision}, found ${JSON.stringify(item)}`];
    });
    const known = (key: string): boolean =>
      this.#acknowledged.has(key) || this.#unknown.has(key) || this.#refused.has(key);
    return {
      acknowledged: this.#acknowledged.size,
      refused: this.#refused.size,
      unknown: this.#unknown.size,
      lost,
      appeared: [...this.#refused].filter((key) => found.has(key)),
      invented: [...found.keys()].filter((key) => !known(key)),
    };
  }

  async #write(ports: readonly number[], timeoutMs: number, first: number): Promise<void> {
    for (let at = first; !this.#stopped;) {
      if (await this.#one(ports[at % ports.length]!, timeoutMs)) continue;
      at++;
      await sleep(5);
    }
  }

  async #one(port: number, timeoutMs: number): Promise<boolean> {
    const key = `${PREFIX}${String(++this.#number).padStart(8, "0")}`;
    const answer = await perform(port, key, { type: "put", value: valueOf(key) }, { timeoutMs });
    if (answer.outcome === "done") {
      if (answer.output.type !== "ok") throw new Error(`a write ended as ${answer.output.type}`);
      this.#acknowledged.set(key, answer.output.revision!);
      return true;
    }
    (answer.outcome === "unknown" ? this.#unknown : this.#refused).add(key);
    return false;
  }
}

function valueOf(key: string): string {
  return `value of ${key}`;
}

interface Found {
  readonly value: string;
  readonly revision: number;
}

async function readAll(port: number): Promise<Map<string, Found>> {
  const found = new Map<string, Found>();
  for (let after: string | null = ""; after !== null;) {
    const cursor = after === "" ? "" : `&after=${encodeURIComponent(after)}`;
    const path = `/kv?prefix=${encodeURIComponent(PREFIX)}&values=true&limit=${PAGE}${cursor}`;
    const reply = await askForReply({ port, method: "GET", path, timeoutMs: 10_000 });
    if (reply.status !== 200) throw new Error(`listing: ${reply.status} ${reply.body}`);
    const page = jsonOf(reply) as unknown as ListingPage;
    for (const { key, revision, valueBase64 } of page.items) {
      found.set(key, { value: Buffer.from(valueBase64, "base64").toString("utf8"), revision });
    }
    after = page.next;
  }
  return found;
}

interface ListingPage {
  readonly items: ReadonlyArray<{ key: string; revision: number; valueBase64: string }>;
  readonly next: string | null;
}
