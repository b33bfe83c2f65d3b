/**
 * A cluster of real processes on this machine, as an operator would start it: `quorate start` with
 * a data directory, a port and a list of members each. Everything ends with the test, and a failed
 * test shows the last lines of every member.
 */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "vitest";
import { Child } from "./child.ts";
import type { Ending } from "./child.ts";
import { askForReply, jsonOf } from "./http.ts";
import { httpPortOf, takePort } from "./ports.ts";
import { scratchDirectory } from "./scratch.ts";
import { waitUntil } from "./wait.ts";

const LINES_SHOWN = 40;

/** How the members are set up. */
export interface ClusterOptions {
  readonly members: number;
  readonly electionTimeoutMs: number;
  /** More options of `quorate start`, the same for every member. */
  readonly args?: readonly string[];
}

/** The part of `/status` that the tests look at. */
export interface MemberStatus {
  /** Leads, and has committed an entry of its own term. */
  readonly isLeader: boolean;
  readonly term: number;
  readonly leader: string | undefined;
  readonly commit: number;
  readonly applied: number;
}

/** One member: a place on disk and a port, and now and then a process. */
export class Member {
  readonly id: string;
  readonly port: number;
  readonly httpPort: number;
  readonly directory: string;
  readonly outputPath: string;
  /** Environment of processes that are started from now on, beside the plain one. */
  variables: Readonly<Record<string, string>> = {};
  readonly #args: readonly string[];
  #child: Child | undefined;

  constructor(id: string, port: number, root: string, args: readonly string[]) {
    this.id = id;
    this.port = port;
    this.httpPort = httpPortOf(port);
    this.directory = join(root, id);
    this.outputPath = join(root, `${id}.log`);
    this.#args = args;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** The running process. */
  get child(): Child {
    if (this.#child === undefined) throw new Error(`${this.id} was never started`);
    return this.#child;
  }

  get running(): boolean {
    return this.#child?.running === true;
  }

  /** Starts the process; it need not be up when this returns. */
  start(): Child {
    if (this.running) throw new Error(`${this.id} is running`);
    appendFileSync(this.outputPath, `--- ${this.id} is started\n`);
    const own = ["--id", this.id, "--listen", this.address, "--data", this.directory];
    this.#child = new Child(["start", ...own, ...this.#args], this.outputPath, {
      variables: this.variables,
    });
    return this.#child;
  }

  /** `kill -9`; returns when the process is gone. */
  async kill(): Promise<void> {
    await this.child.kill();
    appendFileSync(this.outputPath, `--- ${this.id} was killed\n`);
  }

  /** Freezes the process: its sockets stay open, and nobody answers. */
  pause(): void {
    appendFileSync(this.outputPath, `--- ${this.id} is stopped\n`);
    this.child.signal("SIGSTOP");
  }

  /** Lets it run on. */
  resume(): void {
    appendFileSync(this.outputPath, `--- ${this.id} goes on\n`);
    this.child.signal("SIGCONT");
  }

  /** Asks it to end, and waits. */
  async end(): Promise<Ending> {
    this.child.signal("SIGTERM");
    return this.child.ended;
  }

  async status(timeoutMs = 1_000): Promise<MemberStatus> {
    const reply = await askForReply({
      port: this.httpPort,
      method: "GET",
      path: "/status",
      timeoutMs,
    });
    if (reply.status !== 200) throw new Error(`/status: ${reply.status} ${reply.body}`);
    return statusOf(jsonOf(reply));
  }

  /** Whether its HTTP server answers at all. */
  async answers(): Promise<boolean> {
    return (await this.status(250)).term >= 0;
  }
}

/** Several members with the same list. */
export class Cluster {
  /** Holds the members' data and output; kept when the test fails. */
  readonly directory: string;
  readonly members: readonly Member[];
  readonly electionTimeoutMs: number;

  /** Takes ports and a directory; starts nothing. */
  static async make(context: TestContext, options: ClusterOptions): Promise<Cluster> {
    const root = scratchDirectory(context);
    const ids = Array.from({ length: options.members }, (_, i) => `n${i + 1}`);
    const ports: number[] = [];
    for (const _ of ids) ports.push(await takePort());
    const list = ids.map((id, i) => `${id}=127.0.0.1:${ports[i]!}`).join(",");
    const args = ["--members", list, "--election-timeout", `${options.electionTimeoutMs}`];
    args.push(...(options.args ?? []));
    const members = ids.map((id, i) => new Member(id, ports[i]!, root, args));
    return new Cluster(context, root, members, options.electionTimeoutMs);
  }

  private constructor(
    context: TestContext,
    directory: string,
    members: readonly Member[],
    electionTimeoutMs: number,
  ) {
    this.directory = directory;
    this.members = members;
    this.electionTimeoutMs = electionTimeoutMs;
    endWithTest(context, members);
  }

  get httpPorts(): readonly number[] {
    return this.members.map((member) => member.httpPort);
  }

  /** Starts every member and waits until one of them leads and all know it. */
  async start(): Promise<void> {
    for (const member of this.members) member.start();
    await this.settled(20_000);
  }

  /** Waits until every member answers, knows one and the same leader, and has applied all. */
  async settled(timeoutMs: number): Promise<Member> {
    return waitUntil("all members follow one leader", timeoutMs, async () => {
      const all = await Promise.all(this.members.map((member) => member.status()));
      const leader = this.members.find((_, i) => all[i]!.isLeader);
      const agreed = all.every((s) => s.leader === leader?.id && s.term === all[0]!.term);
      const commit = Math.max(...all.map((s) => s.commit));
      // Under load the members are never all at the same index; a second of it is near enough.
      const near = all.every((s) => commit - s.applied < 5_000);
      return agreed && near ? leader : undefined;
    });
  }

  /** The member that leads, as soon as one of the given members says that it does. */
  async leader(among: readonly Member[] = this.members): Promise<Member> {
    return waitUntil("a member leads", 20_000, async () => {
      for (const member of among) {
        if (!member.running) continue;
        const status = await member.status().catch(() => undefined);
        if (status?.isLeader === true) return member;
      }
      return undefined;
    });
  }

  /** Everybody but these. */
  others(...without: readonly Member[]): readonly Member[] {
    return this.members.filter((member) => !without.includes(member));
  }
}

/** Has the members' processes end with the test, and their last lines shown if it fails. */
export function endWithTest(context: TestContext, members: readonly Member[]): void {
  context.onTestFinished(async ({ task }) => {
    const failed = task.result?.state === "fail";
    for (const member of members) {
      if (failed && member.running) process.stderr.write(`${member.id} was still running\n`);
      if (member.running) await member.child.kill();
      if (failed) show(member);
    }
  });
}

function show(member: Member): void {
  try {
    const lines = member.child.output.trimEnd().split("\n").slice(-LINES_SHOWN);
    process.stderr.write(`The last lines of ${member.id}:\n  ${lines.join("\n  ")}\n`);
  } catch {
    process.stderr.write(`${member.id} wrote nothing\n`);
  }
}

function statusOf(body: Record<string, unknown>): MemberStatus {
  const page = body as unknown as StatusPage;
  return {
    isLeader: page.member.isLeader,
    term: page.cluster.term,
    leader: page.leader?.id,
    commit: page.log.commitIndex,
    applied: page.applied,
  };
}

interface StatusPage {
  readonly cluster: { readonly term: number };
  readonly log: { readonly commitIndex: number };
  readonly member: { readonly isLeader: boolean };
  readonly leader: { readonly id: string } | null;
  readonly applied: number;
}
