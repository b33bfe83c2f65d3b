/**
 * How a member starts, and how it refuses to. Each refusal is one that an operator meets: what is
 * wrong must stand in the last line, in words, and the exit code must tell it from a crash.
 */
import { rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { Child } from "../harness/child.ts";
import { Cluster, endWithTest, Member } from "../harness/cluster.ts";
import { askForReply, errorOf } from "../harness/http.ts";
import { takePort } from "../harness/ports.ts";
import { scratchDirectory } from "../harness/scratch.ts";
import { waitUntil } from "../harness/wait.ts";

const ELECTION_TIMEOUT_MS = 300;
const START_MS = 10_000;
/** A refusal that needs no other member comes at once; most of this is the start of Node. */
const REFUSAL_MS = 3_000;

test("a cluster of one takes writes at once and has them after kill -9, and after Ctrl-C", async (context) => {
  const [member] = await alone(context, "n1");
  member.start();
  await ready(member);
  expect((await put(member, "a", "1")).status).toBe(200);

  await member.kill();
  member.start();
  await ready(member);
  expect(await get(member, "a")).toMatchObject({ status: 200, body: "1" });
  expect((await put(member, "b", "2")).status).toBe(200);

  member.child.signal("SIGINT");
  expect(await member.child.ended).toEqual({ code: 0, signal: null });
  member.start();
  await ready(member);
  expect((await get(member, "a")).body + (await get(member, "b")).body).toBe("12");
  expect(await member.end()).toEqual({ code: 0, signal: null });
});

test("members may start in any order and with any delay; nobody leads before all were up once", async (context) => {
  const cluster = await Cluster.make(context, {
    members: 3,
    electionTimeoutMs: ELECTION_TIMEOUT_MS,
  });
  const [n1, n2, n3] = cluster.members as [Member, Member, Member];
  n3.start();
  await waitUntil("n3 answers", START_MS, () => n3.answers());
  n1.start();
  await waitUntil("n1 answers", START_MS, () => n1.answers());
  // Two of three are a majority, and yet must not begin: the third might be another directory
  // later.
  const refused = await put(n1, "early", "no");
  expect(refused.status).toBe(503);
  expect(errorOf(refused)).toMatchObject({ code: "NO_LEADER", outcome: "not-done" });
  expect((await n1.status()).leader).toBeUndefined();

  n2.start();
  await cluster.settled(START_MS);
  expect((await put(n2, "late", "yes")).status).toBe(200);
  expect((await get(n3, "late")).body).toBe("yes");
  expect((await get(n1, "early")).status).toBe(404);

  // From now on a majority is enough, in whatever order it comes.
  await Promise.all(cluster.members.map((member) => member.kill()));
  n2.start();
  n3.start();
  await waitUntil(
    "two of three serve",
    START_MS,
    async () => (await get(n2, "late")).body === "yes",
  );
});

test("a member that lost its directory is refused, told what to do, and harms nobody", async (context) => {
  const cluster = await started(context);
  const [n1, n2, n3] = cluster.members as [Member, Member, Member];
  expect((await put(n1, "x", "1")).status).toBe(200);
  await n3.kill();
  rmSync(n3.directory, { recursive: true });

  const child = n3.start();
  await waitUntil("n3 says why it is refused", START_MS, () =>
    child.output.includes("n3 has come back with an empty directory; it must be replaced"),
  );
  expect((await put(n1, "x", "2")).status).toBe(200);
  expect((await get(n2, "x")).body).toBe("2");
  expect((await n1.status()).leader).not.toBe("n3");
  if (n3.running) {
    expect((await put(n3, "x", "3")).status).toBe(503);
    expect((await get(n3, "x")).status).not.toBe(200);
  } else {
    expect((await child.ended).code).toBe(7);
  }
});

test("a second process on a data directory is refused at once, and the first goes on", async (context) => {
  const [member] = await alone(context, "n1");
  member.start();
  await ready(member);
  const port = await takePort();
  const second = await run(context, [
    "start",
    "--id",
    "n1",
    "--listen",
    `127.0.0.1:${port}`,
    "--data",
    member.directory,
    "--bootstrap",
  ]);
  expect(second.code).toBe(6);
  expect(second.output).toContain(member.directory);
  expect(second.output).toMatch(/DATA_DIR_LOCKED|another process|in use/i);
  expect(second.elapsedMs).toBeLessThan(REFUSAL_MS);
  expect((await put(member, "still", "here")).status).toBe(200);
});

test("a member of another cluster at a known address is refused, and the cluster goes on", async (context) => {
  const cluster = await started(context);
  const [n1, n2, n3] = cluster.members as [Member, Member, Member];
  expect((await put(n1, "x", "ours")).status).toBe(200);
  await n3.kill();
  const [stranger] = await alone(context, "n3", n3.port);
  stranger.start();
  // Begun as a cluster of its own under a name that the others dial: it stops, and says why.
  await waitUntil("the stranger says that there is another cluster", START_MS, () =>
    /n3 was begun as a new cluster \(\w+\), but n[12] of cluster \w+ knows/.test(
      stranger.child.output,
    ),
  );
  expect((await put(n2, "x", "still ours")).status).toBe(200);
  expect((await get(n1, "x")).body).toBe("still ours");
  await stranger.kill();
  n3.start();
  await cluster.settled(START_MS);
  expect((await get(n3, "x")).body).toBe("still ours");
});

test("another list than the others have is refused", async (context) => {
  const cluster = await Cluster.make(context, {
    members: 3,
    electionTimeoutMs: ELECTION_TIMEOUT_MS,
  });
  const [n1, n2, n3] = cluster.members as [Member, Member, Member];
  n1.start();
  n2.start();
  const list = `n1=${n1.address},n3=${n3.address},n4=127.0.0.1:${await takePort()}`;
  const odd = new Member("n3", n3.port, scratchDirectory(context), ["--members", list]);
  endWithTest(context, [odd]);
  odd.start();
  await waitUntil("n1 and n3 compare their lists", START_MS, () =>
    odd.child.output.includes("n1 and n3 were started with different member lists"),
  );
  await waitUntil("n1 answers", START_MS, () => n1.answers());
  expect((await put(n1, "x", "1")).status).toBe(503);
});

const USAGE: ReadonlyArray<readonly [string, readonly string[], RegExp]> = [
  ["a misspelt option", ["--bootstap"], /--bootstap/],
  ["an address without a port", ["--listen", "localhost"], /localhost.*port/],
  ["an id with a slash", ["--id", "a/b"], /a\/b/],
  ["no way to begin on an empty directory", [], /--bootstrap|--members/],
  [
    "an election timeout out of bounds",
    ["--bootstrap", "--election-timeout", "3"],
    /election.?timeout.*50/i,
  ],
  ["a list without the member itself", ["--members", "a=127.0.0.1:1,b=127.0.0.1:2"], /n1/],
];

test.for(USAGE)("%s is refused with exit code 2 and named", async ([, args, message], context) => {
  const directory = scratchDirectory(context);
  const port = await takePort();
  const { code, output, elapsedMs } = await run(
    context,
    [
      "start",
      "--id",
      "n1",
      "--listen",
      `127.0.0.1:${port}`,
      "--data",
      join(directory, "n1"),
      ...args,
    ],
    directory,
  );
  expect(output).toMatch(message);
  expect(code).toBe(2);
  expect(elapsedMs).toBeLessThan(REFUSAL_MS);
});

test("listening beyond loopback wants --insecure", async (context) => {
  const directory = scratchDirectory(context);
  const port = await takePort();
  const args = [
    "start",
    "--id",
    "n1",
    "--listen",
    `0.0.0.0:${port}`,
    "--data",
    join(directory, "n1"),
  ];
  const refused = await run(context, [...args, "--bootstrap"], directory);
  expect(refused.code).toBe(2);
  expect(refused.output).toContain("--insecure");
});

test("a port in use is named, with exit code 7", async (context) => {
  const directory = scratchDirectory(context);
  const port = await takePort();
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(port, "127.0.0.1", resolve));
  context.onTestFinished(() => {
    taken.close();
  });
  const { code, output, elapsedMs } = await run(
    context,
    [
      "start",
      "--id",
      "n1",
      "--listen",
      `127.0.0.1:${port}`,
      "--data",
      join(directory, "n1"),
      "--bootstrap",
    ],
    directory,
  );
  expect(code).toBe(7);
  expect(output).toContain(`127.0.0.1:${port}`);
  expect(elapsedMs).toBeLessThan(REFUSAL_MS);
});

async function started(context: TestContext): Promise<Cluster> {
  const cluster = await Cluster.make(context, {
    members: 3,
    electionTimeoutMs: ELECTION_TIMEOUT_MS,
  });
  await cluster.start();
  return cluster;
}

/** A member that is a cluster of its own. */
async function alone(context: TestContext, id: string, port?: number): Promise<[Member]> {
  const root = scratchDirectory(context);
  const member = new Member(id, port ?? (await takePort()), root, ["--bootstrap"]);
  endWithTest(context, [member]);
  return [member];
}

async function ready(member: Member): Promise<void> {
  await waitUntil(`${member.id} leads`, START_MS, async () => (await member.status()).isLeader);
}

interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly elapsedMs: number;
}

/** Runs a command that is expected to end by itself. */
async function run(
  context: TestContext,
  args: readonly string[],
  directory?: string,
): Promise<Ended> {
  const root = directory ?? scratchDirectory(context);
  const begin = performance.now();
  const child = new Child(args, join(root, "output.log"));
  context.onTestFinished(() => child.kill());
  const ending = await Promise.race([
    child.ended,
    waitUntil("the command ends", START_MS, () => !child.running).then(() => child.ended),
  ]);
  return { code: ending.code, output: child.output, elapsedMs: performance.now() - begin };
}

function put(member: Member, key: string, value: string) {
  return askForReply({ port: member.httpPort, method: "PUT", path: `/kv/${key}`, body: value });
}

function get(member: Member, key: string) {
  return askForReply({ port: member.httpPort, method: "GET", path: `/kv/${key}` });
}
