/**
 * A cluster that begins with one member and changes while it runs: members join, leave, and come
 * anew under their old ids.
 */
import { rmSync } from "node:fs";
import type { TestContext } from "vitest";
import { endWithTest, Member } from "./cluster.ts";
import { askForReply, jsonOf } from "./http.ts";
import { takePort } from "./ports.ts";
import { scratchDirectory } from "./scratch.ts";
import { waitUntil } from "./wait.ts";

/** How long a change may take: catching up, and two entries committed. */
const CHANGE_MS = 30_000;

interface Page {
  readonly members: readonly { id: string; address: string; role: string }[];
  readonly change: { readonly phase: string } | null;
}

/** Members by id; those that were replaced or removed are not among them. */
export class GrownCluster {
  /** Holds the members' data and output; kept when the test fails. */
  readonly directory: string;
  readonly #context: TestContext;
  readonly #args: readonly string[];
  readonly #members: Map<string, Member> = new Map();

  constructor(context: TestContext, args: readonly string[]) {
    this.directory = scratchDirectory(context);
    this.#context = context;
    this.#args = args;
  }

  get members(): readonly Member[] {
    return [...this.#members.values()];
  }

  get httpPorts(): number[] {
    return this.members.map((member) => member.httpPort);
  }

  /** Begins a cluster with this one member. */
  async bootstrap(id: string): Promise<Member> {
    const member = await this.place(id, ["--bootstrap"]);
    member.start();
    await waitUntil(`${id} leads`, CHANGE_MS, async () => (await member.status()).isLeader);
    return member;
  }

  /** A place for a member that is not started yet. */
  async place(id: string, args: readonly string[]): Promise<Member> {
    const own = [...this.#args, ...args];
    const member = new Member(id, await takePort(), this.directory, own);
    endWithTest(this.#context, [member]);
    this.#members.set(id, member);
    return member;
  }

  /** Starts a new member that joins through another one, and waits until all say that it votes. */
  async join(id: string, through: Member): Promise<Member> {
    const member = await this.place(id, ["--join", through.address]);
    member.start();
    await this.votes([...this.#members.keys()]);
    return member;
  }

  /**
   * The directory of a member is lost; its successor joins under the same id, on an empty one and
   * at another address.
   */
  async replace(id: string): Promise<Member> {
    const old = this.member(id);
    await old.kill();
    rmSync(old.directory, { recursive: true });
    const ids = [...this.#members.keys()];
    const through = this.members.find((member) => member !== old)!;
    const next = await this.place(id, ["--join", through.address]);
    const asked = this.#change(through, {
      method: "POST",
      path: `/members/${id}/replace`,
      body: JSON.stringify({ address: next.address }),
    });
    next.start();
    await asked;
    await this.votes(ids);
    return next;
  }

  /** Takes a member out; it ends by itself, and well. */
  async remove(id: string): Promise<void> {
    const old = this.member(id);
    this.#members.delete(id);
    await this.#change(this.members[0]!, { method: "DELETE", path: `/members/${id}` });
    await waitUntil(`${id} ends by itself`, CHANGE_MS, () => !old.running);
    const { code } = await old.child.ended;
    if (code !== 0) throw new Error(`${id} was removed and ended with ${code}`);
    await this.votes([...this.#members.keys()]);
  }

  member(id: string): Member {
    const member = this.#members.get(id);
    if (member === undefined) throw new Error(`there is no ${id}`);
    return member;
  }

  /** Asks for a change. That it goes on (202) is an answer, too. */
  async #change(
    member: Member,
    request: { readonly method: "POST" | "DELETE"; readonly path: string; readonly body?: string },
  ): Promise<void> {
    const reply = await askForReply({ port: member.httpPort, timeoutMs: CHANGE_MS, ...request });
    if (reply.status !== 200 && reply.status !== 202) {
      throw new Error(`${request.method} ${request.path}: ${reply.status} ${reply.body}`);
    }
  }

  /** Waits until every member says that these are the voters, and no others. */
  async votes(ids: readonly string[]): Promise<void> {
    const want = [...ids].sort().join(", ");
    await waitUntil(`the voters are ${want}`, CHANGE_MS, async () => {
      const all = await Promise.all(this.members.map(votersOf));
      return all.every((voters) => voters.join(", ") === want);
    });
  }

  /** The member that leads. */
  async leader(): Promise<Member> {
    return waitUntil("a member leads", CHANGE_MS, async () => {
      for (const member of this.members) {
        if (!member.running) continue;
        const status = await member.status().catch(() => undefined);
        if (status?.isLeader === true) return member;
      }
      return undefined;
    });
  }
}

/**
 * The voters as a member sees them, sorted; nobody while old and new voters decide together: until
 * that is over a majority of the old ones is needed as well.
 */
export async function votersOf(member: Member): Promise<string[]> {
  const reply = await askForReply({
    port: member.httpPort,
    method: "GET",
    path: "/status",
    timeoutMs: 1_000,
  });
  const { members, change } = jsonOf(reply) as unknown as Page;
  if (change?.phase === "joint") return [];
  const voters = members.filter(({ role }) => role === "voter").map(({ id }) => id);
  return voters.sort();
}
