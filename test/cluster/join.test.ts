/**
 * How members come on real processes: join through any member, bootstrap only once, new addresses.
 * What each refusal says is what the operator reads in the last lines of the log.
 */
import { rmSync } from "node:fs";
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { endWithTest, Member } from "../harness/cluster.ts";
import { askForReply, jsonOf } from "../harness/http.ts";
import { takePort } from "../harness/ports.ts";
import { scratchDirectory } from "../harness/scratch.ts";
import { waitUntil } from "../harness/wait.ts";

const WAIT_MS = 15_000;
const FAST = ["--election-timeout", "300"];

/** Members of one test: a place for each, and a port. */
class Places {
  readonly #context: TestContext;
  readonly #root: string;

  constructor(context: TestContext) {
    this.#context = context;
    this.#root = scratchDirectory(context);
  }

  async member(id: string, args: readonly string[], port?: number): Promise<Member> {
    const member = new Member(id, port ?? (await takePort()), this.#root, [...FAST, ...args]);
    endWithTest(this.#context, [member]);
    return member;
  }

  /** n1, bootstrapped and leading, and others that have joined through it. */
  async grown(count: number): Promise<Member[]> {
    const n1 = await this.member("n1", ["--bootstrap"]);
    n1.start();
    await waitUntil("n1 leads", WAIT_MS, async () => (await n1.status()).isLeader);
    const all = [n1];
    for (let i = 2; i <= count; i++) {
      const member = await this.member(`n${i}`, ["--join", all[i - 2]!.address]);
      member.start();
      all.push(member);
      await votes(all, member.id);
    }
    return all;
  }
}

test("three members grow from one, each through another, and any two of them go on", async (context) => {
  const all = await new Places(context).grown(3);
  const [n1, n2, n3] = all as [Member, Member, Member];
  await put(n3, "x", "1");
  expect(await get(n1, "x")).toBe("1");
  await n1.kill();
  await waitUntil("the others serve", WAIT_MS, async () => (await get(n2, "x")) === "1");
  await put(n3, "x", "2");
  // The same command line again: who is a member stands in the directory.
  n1.start();
  await waitUntil("n1 is back", WAIT_MS, async () => (await get(n1, "x")) === "2");
  expect(await voters(n1)).toEqual(["n1", "n2", "n3"]);
}, 30_000);

test("a member that nobody takes says what each contact said, and ends with 7", async (context) => {
  const places = new Places(context);
  const waiting = await places.member("w1", ["--wait"]);
  waiting.start();
  await waitUntil("w1 answers", WAIT_MS, () => waiting.answers());
  expect((await page(waiting)).member.state).toBe("waiting");
  const nobody = `127.0.0.1:${await takePort()}`;
  const list = `${waiting.address},${nobody}`;
  const joiner = await places.member("n2", ["--join", list, "--join-timeout", "1500"]);
  const child = joiner.start();
  await waitUntil(
    "n2 answers",
    WAIT_MS,
    async () => (await page(joiner)).member.state === "joining",
  );
  expect((await child.ended).code).toBe(7);
  expect(child.output).toContain("no cluster has taken n2 within 1500 ms");
  expect(child.output).toContain(`${waiting.address} is w1, which is not part of a cluster yet`);
  expect(child.output).toMatch(new RegExp(`${nobody} does not answer: .*REFUSED`));
}, 20_000);

test("an empty directory under a known id is refused and told the way out; nobody is harmed", async (context) => {
  const places = new Places(context);
  const [n1, n2] = (await places.grown(2)) as [Member, Member];
  await put(n1, "x", "1");
  await n2.kill();
  rmSync(n2.directory, { recursive: true });
  const args = ["--join", n1.address, "--join-timeout", "1500"];
  const empty = await places.member("n2", args, n2.port);
  const child = empty.start();
  expect((await child.ended).code).toBe(7);
  expect(child.output).toContain("member n2 has come back with an empty directory");
  expect(child.output).toContain("members replace n2");
}, 20_000);

test("a bootstrap asks its contacts, and a lost disk under it makes no second cluster", async (context) => {
  const places = new Places(context);
  const [n1, n2, n3] = (await places.grown(3)) as [Member, Member, Member];
  await put(n3, "x", "kept");
  const asking = await places.member("n4", ["--bootstrap", "--contacts", n1.address]);
  const refused = asking.start();
  expect((await refused.ended).code).toBe(7);
  expect(refused.output).toContain(`${n1.address} is n1 of cluster`);
  expect(refused.output).toContain(`start n4 with --join ${n1.address}`);

  // The unit file of n1 still says --bootstrap, and its disk is new.
  await n1.kill();
  rmSync(n1.directory, { recursive: true });
  const second = n1.start();
  expect((await second.ended).code).toBe(7);
  expect(second.output).toContain("was begun as a new cluster");
  expect(second.output).toContain("members replace n1");
  const again = n1.start();
  expect((await again.ended).code).toBe(6);
  expect(again.output).toContain("must not be used any more");
  await waitUntil("the others serve", WAIT_MS, async () => (await get(n2, "x")) === "kept");
}, 30_000);

test("members move to other ports: one, then all at once with hints", async (context) => {
  const places = new Places(context);
  const [n1, n2, n3] = (await places.grown(3)) as [Member, Member, Member];
  await put(n1, "x", "1");
  await n3.end();
  const moved = await places.member("n3", []);
  moved.start();
  await waitUntil("all know where n3 is now", WAIT_MS, async () =>
    (await Promise.all([n1, n2, moved].map(addresses))).every((known) =>
      known.includes(moved.address),
    ),
  );
  await put(moved, "x", "2");

  await Promise.all([n1, n2, moved].map((member) => member.end()));
  const ports = [await takePort(), await takePort(), await takePort()];
  const hints = ports.map((port) => `127.0.0.1:${port}`).join(",");
  const all: Member[] = [];
  for (const [i, port] of ports.entries()) {
    all.push(await places.member(`n${i + 1}`, ["--join", hints], port));
  }
  for (const member of all) member.start();
  await waitUntil("they serve", WAIT_MS, async () => (await get(all[0]!, "x")) === "2");
  await waitUntil("all know where all are now", WAIT_MS, async () =>
    (await Promise.all(all.map(addresses))).every((known) =>
      all.every(({ address }) => known.includes(address)),
    ),
  );
}, 30_000);

interface Page {
  readonly member: { readonly state: string };
  readonly members: readonly { id: string; address: string; role: string }[];
}

async function page(member: Member): Promise<Page> {
  const asked = {
    port: member.httpPort,
    method: "GET",
    path: "/status",
    timeoutMs: 1_000,
  } as const;
  return jsonOf(await askForReply(asked)) as unknown as Page;
}

async function voters(member: Member): Promise<string[]> {
  const { members } = await page(member);
  return members.filter(({ role }) => role === "voter").map(({ id }) => id);
}

async function addresses(member: Member): Promise<string[]> {
  return (await page(member)).members.map(({ address }) => address);
}

/** Waits until everybody says that `id` votes. */
async function votes(all: readonly Member[], id: string): Promise<void> {
  await waitUntil(`${id} votes`, WAIT_MS, async () =>
    (await Promise.all(all.map(voters))).every((ids) => ids.includes(id)),
  );
}

async function put(member: Member, key: string, value: string): Promise<void> {
  await waitUntil(`${member.id} takes ${key}=${value}`, WAIT_MS, async () => {
    const path = `/kv/${key}`;
    const reply = await askForReply({ port: member.httpPort, method: "PUT", path, body: value });
    return reply.status === 200 || reply.status === 201;
  });
}

async function get(member: Member, key: string): Promise<string | undefined> {
  const asked = { port: member.httpPort, method: "GET", path: `/kv/${key}` } as const;
  const reply = await askForReply(asked);
  return reply.status === 200 ? reply.body : undefined;
}
