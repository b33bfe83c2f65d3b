/**
 * What others feel of large work in a cluster: writes that fall due at a fixed rate, and the event
 * loops of the members, while nothing else goes on, while the leader takes a snapshot of a large
 * store, and while a member that was away too long is sent one. Each store on a cluster of its own.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Store } from "./growth-options.ts";
import { statusOf, takeSnapshot } from "./growth.ts";
import { askJson, keyNamed } from "./http-request.ts";
import { measureWhile } from "./http-window.ts";
import type { LoadWindow } from "./http-window.ts";
import { KvCluster } from "./kv-cluster.ts";
import { LoopDelayMeter } from "./loop-delay.ts";
import type { LoopDelay } from "./loop-delay.ts";
import type { Progress } from "./progress.ts";
import { quorateOn } from "./quorate-kv.ts";
import { fillServer, loadRun, orderFrom } from "./server.ts";
import type { LoadOptions } from "./server.ts";
import type { UpkeepOptions } from "./upkeep-options.ts";

/** What goes on meanwhile, in the order of a round. */
export const SPANS = ["nothing else", "snapshot", "catch-up"] as const;
export type SpanName = (typeof SPANS)[number];

const TIMING = { electionTimeoutMs: 1_000, heartbeatIntervalMs: 100 } as const;
const LOAD = { system: "quorate", operation: "put", place: "leader", connections: 64 } as const;
const LOAD_KEYS = 10_000;
const LOAD_BYTES = 256;
/** Before each span. */
const WARM_UP_MS = 1_000;
const QUIET_SPAN_MS = 10_000;
/** Keys of the store are others than those of the load. */
const STORE_KEY_FROM = 1_000_000;
export const STORE_VALUE_BYTES = 4_096;
/** A fill goes by parts, since the load generator makes all its requests beforehand. */
const FILL_KEYS = 10_000;
/** What makes a log longer soon. */
const LARGE_WRITES = { ratePerSecond: undefined, valueBytes: STORE_VALUE_BYTES };
const WAIT_MAX_MS = 600_000;
const POLL_MS = 20;

/** One span of a round. */
export interface UpkeepSpan {
  readonly name: SpanName;
  readonly tookMs: number;
  readonly window: LoadWindow;
  readonly leader: LoopDelay | undefined;
  /** The follower that is there all the time. */
  readonly follower: LoopDelay | undefined;
  /** The one that was away, where it is back. */
  readonly returned: LoopDelay | undefined;
  /** This process, which does next to nothing: what the machine itself made wait. */
  readonly idle: LoopDelay;
}

/** All rounds with one store. */
export interface UpkeepSeries {
  readonly store: Store;
  readonly spans: UpkeepSpan[];
}

/** `save` is called after each store with all so far. */
export async function measureUpkeep(
  options: UpkeepOptions,
  progress: Progress,
  save: (all: readonly UpkeepSeries[]) => void,
): Promise<readonly UpkeepSeries[]> {
  progress.begin(options.stores.length * options.repeats * SPANS.length);
  const all: UpkeepSeries[] = [];
  for (const store of options.stores) {
    const directory = mkdtempSync(join(options.directory, "quorate-bench-upkeep-"));
    try {
      const cluster = await KvCluster.start(quorateOn(store), directory, TIMING);
      try {
        progress.note(`${store}, filling`);
        await fill(cluster, options.mib);
        all.push({ store, spans: await measureRounds(cluster, options, progress) });
        save(all);
      } finally {
        await cluster.end();
      }
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
  progress.end();
  return all;
}

async function fill(cluster: KvCluster, mib: number): Promise<void> {
  const keys = Math.max(1, Math.floor((mib * 2 ** 20) / STORE_VALUE_BYTES));
  for (let from = 0; from < keys; from += FILL_KEYS) {
    await fillServer(cluster, {
      ratePerSecond: undefined,
      warmUpMs: 0,
      windowMs: 0,
      keys: Math.min(FILL_KEYS, keys - from),
      keyFrom: STORE_KEY_FROM + from,
      valueBytes: STORE_VALUE_BYTES,
    });
  }
}

async function measureRounds(
  cluster: KvCluster,
  options: UpkeepOptions,
  progress: Progress,
): Promise<UpkeepSpan[]> {
  const spans: UpkeepSpan[] = [];
  for (let round = 0; round < options.repeats; round++) {
    const leader = await cluster.ready();
    const measured = new Round(cluster, orderFrom(cluster, leader), options.ratePerSecond);
    progress.step(SPANS[0]);
    await measured.untilQuiet();
    spans.push(await measured.span(SPANS[0], () => sleep(QUIET_SPAN_MS)));
    const away = await measured.takeAway();
    progress.step(SPANS[1]);
    spans.push(await measured.span(SPANS[1], () => measured.snapshot()));
    await measured.leaveBehind(away);
    progress.step(SPANS[2]);
    spans.push(await measured.span(SPANS[2], () => measured.bringBack(away)));
  }
  return spans;
}

/** What is read of a status page. */
interface StatusPage {
  readonly cluster: { readonly term: number };
  readonly member: { readonly isLeader: boolean };
  readonly log: {
    readonly length: number;
    readonly commitIndex: number;
    readonly lastEntry: { readonly index: number };
  };
  readonly snapshot: { readonly index: number; readonly taking: unknown };
}

/** The same, by the names it has here. */
interface Page {
  readonly term: number;
  readonly isLeader: boolean;
  readonly commit: number;
  readonly logStart: number;
  /** Of the newest one, its index. */
  readonly snapshot: number;
  readonly isTaking: boolean;
}

/** One round: which member leads, which one stays, which one goes and comes back. */
class Round {
  readonly #cluster: KvCluster;
  readonly #order: readonly number[];
  readonly #ratePerSecond: number;

  constructor(cluster: KvCluster, order: readonly number[], ratePerSecond: number) {
    this.#cluster = cluster;
    this.#order = order;
    this.#ratePerSecond = ratePerSecond;
  }

  /** `work` under the load. */
  async span(name: SpanName, work: () => Promise<void>): Promise<UpkeepSpan> {
    const { term } = await this.#pageOf(0);
    const { window, result } = await this.#underLoad(async () => {
      await this.#cluster.loopDelays("reset");
      const own = new LoopDelayMeter();
      const startedMs = performance.now();
      await work();
      const tookMs = performance.now() - startedMs;
      own.stop();
      return { tookMs, delays: await this.#cluster.loopDelays("sample"), idle: own.sample() };
    });
    const after = await this.#pageOf(0);
    if (!after.isLeader || after.term !== term) {
      throw new Error("the leadership changed during a span: the run is void");
    }
    const [leader, follower, returned] = this.#order.map((i) => result.delays[i]);
    const { tookMs, idle } = result;
    return { name, tookMs, window, leader, follower, returned, idle };
  }

  /** Kills a follower; the index up to which the leader's log went then. */
  async takeAway(): Promise<number> {
    await this.#cluster.endMember(this.#order[2]!, "SIGKILL");
    return (await this.#pageOf(0)).commit;
  }

  /** Of the leader, with all that it has now. */
  async snapshot(): Promise<void> {
    const { commit } = await this.#pageOf(0);
    if ((await takeSnapshot(this.#cluster, this.#order[0]!)) !== undefined) return;
    // It takes longer than a call may wait.
    await this.#waitUntil(async () => (await this.#pageOf(0)).snapshot >= commit);
  }

  /** Until the leader cannot send the follower what it lacks but by a snapshot. */
  async leaveBehind(away: number): Promise<void> {
    // Of two snapshots the log is kept from the older one on; with a store on disk, as far back as
    // what it may not have on the platter yet.
    await this.#underLoad(() => this.snapshot());
    await this.#waitUntil(async () => {
      if ((await this.#pageOf(0)).logStart > away) return true;
      await this.#underLoad(() => sleep(WARM_UP_MS), LARGE_WRITES);
      return false;
    });
  }

  /** Starts the follower again and waits until it has caught up. */
  async bringBack(away: number): Promise<void> {
    this.#cluster.startMember(this.#order[2]!);
    await this.#waitUntil(async () => (await statusOf(this.#url(2, "/status"))) === 200);
    // The loop of a process that loads its code stands still, and nobody minds.
    await this.#cluster.resetLoopDelay(this.#order[2]!);
    const url = this.#url(2, `/kv/${keyNamed(0)}`);
    await this.#waitUntil(async () => (await statusOf(url)) === 200);
    const { logStart } = await this.#pageOf(2);
    if (logStart <= away) throw new Error("the member caught up without a snapshot");
  }

  /** Until no member takes a snapshot of its own accord. */
  async untilQuiet(): Promise<void> {
    await this.#waitUntil(async () => {
      const pages = await Promise.all(this.#order.map((_, i) => this.#pageOf(i)));
      return pages.every(({ isTaking }) => !isTaking);
    });
  }

  #underLoad<T>(
    work: () => Promise<T>,
    more: Partial<LoadOptions> = {},
  ): Promise<{ readonly window: LoadWindow; readonly result: T }> {
    const load: LoadOptions = {
      ratePerSecond: this.#ratePerSecond,
      keys: LOAD_KEYS,
      valueBytes: LOAD_BYTES,
      warmUpMs: WARM_UP_MS,
      windowMs: 0,
      ...more,
    };
    const { windowMs: _, ...run } = loadRun(this.#cluster, LOAD, this.#order[0]!, load);
    // The one that is away has no process whose time could be counted.
    return measureWhile({ ...run, pids: run.pids.filter((pid) => pid > 0) }, work);
  }

  async #pageOf(i: number): Promise<Page> {
    const { httpPort } = this.#cluster.specs[this.#order[i]!]!;
    const page = (await askJson(httpPort, { method: "GET", path: "/status" })) as StatusPage;
    const { length, commitIndex, lastEntry } = page.log;
    return {
      term: page.cluster.term,
      isLeader: page.member.isLeader,
      commit: commitIndex,
      logStart: lastEntry.index - length,
      snapshot: page.snapshot.index,
      isTaking: page.snapshot.taking !== null,
    };
  }

  #url(i: number, path: string): string {
    return `http://127.0.0.1:${this.#cluster.specs[this.#order[i]!]!.httpPort}${path}`;
  }

  async #waitUntil(isSo: () => Promise<boolean>): Promise<void> {
    const startedMs = performance.now();
    while (!(await isSo())) {
      if (performance.now() - startedMs > WAIT_MAX_MS) throw new Error("it does not happen");
      await sleep(POLL_MS);
    }
  }
}
