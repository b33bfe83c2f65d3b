/**
 * Clusters of examples/kvstore for the tests that CKite has: members that are bootstrapped, join,
 * are killed, frozen and started again.
 */
import { join, resolve } from "node:path";
import { expect } from "vitest";
import type { TestContext } from "vitest";
import { Child } from "./child.ts";
import { ask, askForReply, jsonOf } from "./http.ts";
import { httpPortOf, takePort } from "./ports.ts";
import { scratchDirectory } from "./scratch.ts";
import { waitUntil } from "./wait.ts";

const PROGRAM = resolve(import.meta.dirname, "../../examples/kvstore/dist/main.js");
const WAIT_MS = 20_000;
const ELECTION_MS = 300;
/** Longer than a member tries by itself. */
const CALL_MS = 8_000;

/** The part of the status page that the tests look at. */
export interface StatusPage {
  readonly cluster: {
    readonly term: number;
    readonly state: string;
    readonly stateInfo: { readonly following?: string };
  };
  readonly log: { readonly length: number; readonly commitIndex: number };
}

/** One member and the process that it now and then is. */
export class KvMember {
  readonly address: string;
  readonly httpPort: number;
  readonly #directory: string;
  readonly #args: readonly string[];
  #child: Child | undefined;

  constructor(port: number, scratch: string, args: readonly string[]) {
    this.address = `localhost:${port}`;
    this.httpPort = httpPortOf(port);
    this.#directory = join(scratch, `${port}`);
    // Of an option that is given twice the last one counts.
    this.#args = ["--min-election-timeout", `${ELECTION_MS}`, ...args];
  }

  get child(): Child {
    if (this.#child === undefined) throw new Error(`${this.address} was never started`);
    return this.#child;
  }

  /** What it has said since it was started last. */
  get output(): string {
    return this.child.output;
  }

  /** The voters of the last configuration that it was told to be committed. */
  get configuration(): string {
    const changes = this.output.matchAll(/Cluster Configuration changed to \((.*)\)$/gm);
    return [...changes].at(-1)?.[1] ?? "";
  }

  start(...args: readonly string[]): void {
    const own = ["--listen-address", this.address, "--datadir", this.#directory];
    const output = `${this.#directory}-${performance.now()}.log`;
    const program = { command: [process.execPath, PROGRAM], directory: "." } as const;
    this.#child = new Child([...own, ...this.#args, ...args], output, program);
  }

  /** Frozen: its connections stay open, and nobody answers, as behind a network that is cut. */
  freeze(): void {
    this.child.signal("SIGSTOP");
  }

  thaw(): void {
    this.child.signal("SIGCONT");
  }

  /** What a route answers: its status and its text, `0` where nothing came back. */
  async call(method: "GET" | "POST" | "DELETE", path: string): Promise<[number, string]> {
    const reply = await ask({ port: this.httpPort, method, path, timeoutMs: CALL_MS });
    return reply.type === "reply" ? [reply.status, reply.body.trimEnd()] : [0, reply.reason];
  }

  async put(key: string, value: string): Promise<void> {
    expect(await this.call("POST", `/kv/${key}/${value}`)).toEqual([200, value]);
  }

  async get(key: string): Promise<string> {
    const [status, value] = await this.call("GET", `/kv/${key}`);
    expect([status, value]).toEqual([200, value]);
    return value;
  }

  async local(key: string): Promise<string> {
    return (await this.call("GET", `/kv/${key}?local=true`))[1];
  }

  async status(): Promise<StatusPage> {
    const asked = { port: this.httpPort, method: "GET", path: "/status", timeoutMs: 500 } as const;
    return jsonOf(await askForReply(asked)) as unknown as StatusPage;
  }

  async leads(): Promise<boolean> {
    return (await this.status()).cluster.state === "Leader";
  }
}

/** The members of one test. */
export class KvCluster {
  readonly members: KvMember[] = [];
  readonly #context: TestContext;
  readonly #scratch: string;
  readonly #args: readonly string[];

  /** A bootstrapped member and others that join through it, all with these options. */
  static async start(
    context: TestContext,
    count: number,
    args: readonly string[] = [],
  ): Promise<KvCluster> {
    const cluster = new KvCluster(context, args);
    const first = await cluster.place();
    first.start("--bootstrap");
    await waitUntil("the first member leads", WAIT_MS, () => first.leads());
    while (cluster.members.length < count) {
      const member = await cluster.place();
      member.start("--members", first.address);
      await cluster.agree(cluster.members);
    }
    return cluster;
  }

  private constructor(context: TestContext, args: readonly string[]) {
    this.#context = context;
    this.#scratch = scratchDirectory(context);
    this.#args = args;
  }

  /** A member that is not started yet. */
  async place(): Promise<KvMember> {
    const member = new KvMember(await takePort(), this.#scratch, this.#args);
    this.members.push(member);
    this.#context.onTestFinished(async ({ task }) => {
      const lines = member.output.split("\n").slice(-30);
      if (task.result?.state === "fail") process.stderr.write(`${lines.join("\n")}\n`);
      await member.child.kill();
    });
    return member;
  }

  /** Waits until these say that exactly they are the voters. */
  async agree(members: readonly KvMember[]): Promise<void> {
    const want = members
      .map(({ address }) => address)
      .sort()
      .join(",");
    await waitUntil(`the members are ${want}`, WAIT_MS, () =>
      members.every(({ configuration }) => configuration === want),
    );
  }

  /** The one that leads among these, once there is one that all of them follow. */
  async leader(among: readonly KvMember[] = this.members): Promise<KvMember> {
    return waitUntil("one leads, and the others follow it", WAIT_MS, async () => {
      const pages = await Promise.all(among.map((member) => member.status()));
      const leader = among.find((_, i) => pages[i]!.cluster.state === "Leader");
      const following = `Some(${leader?.address})`;
      const others = pages.filter(({ cluster }) => cluster.stateInfo.following === following);
      return others.length === among.length - 1 ? leader : undefined;
    });
  }

  /** Everybody else. */
  others(...without: readonly KvMember[]): KvMember[] {
    return this.members.filter((member) => !without.includes(member));
  }

  /** `kill -9` for all of them at once. */
  async killAll(): Promise<void> {
    await Promise.all(this.members.map((member) => member.child.kill()));
  }
}
