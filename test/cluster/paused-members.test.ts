/**
 * Members that are stopped by SIGSTOP: their sockets stay open, the kernel takes what is sent to
 * them, and nobody answers. To the others that looks like nothing else, neither a crash nor a cut.
 */
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { Cluster } from "../harness/cluster.ts";
import type { Member } from "../harness/cluster.ts";
import { askForReply, errorOf, jsonOf } from "../harness/http.ts";
import type { Reply } from "../harness/http.ts";
import { Load } from "../harness/load.ts";
import { expectLinearizable } from "../harness/verdict.ts";
import { waitUntil } from "../harness/wait.ts";

const ELECTION_TIMEOUT_MS = 500;
/**
 * Two election timeouts, and what two busy cores may take to run a process that is due: a tenth of
 * a second is ten times the longest turn that a member allows itself.
 */
const REFUSED_WITHIN_MS = 2 * ELECTION_TIMEOUT_MS + 100;
/**
 * What a member took before it could know waits three timeouts more for the next leader: it is
 * repeated there and done once, while an end now would leave its caller in doubt.
 */
const DOUBTFUL_WITHIN_MS = REFUSED_WITHIN_MS + 3 * ELECTION_TIMEOUT_MS;
const HEALED_WITHIN_MS = 10 * ELECTION_TIMEOUT_MS;
const CLIENT_TIMEOUT_MS = 3_000;

for (const survivor of ["leader", "follower"] as const) {
  test(`with two members stopped, the third (the ${survivor}) refuses in time, answers local reads, and all heals`, async (context) => {
    const cluster = await started(context);
    const load = startLoad(context, cluster, survivor === "leader" ? 2 : 3);
    const leader = await cluster.settled(10_000);
    const third = survivor === "leader" ? leader : cluster.others(leader)[0]!;
    const stopped = cluster.others(third);
    expect((await put(third, "before", "kept")).status).toBe(200);

    for (const member of stopped) member.pause();
    const since = performance.now();
    // Asked at once, when the third cannot know yet: a write that it takes may end as unknown.
    const writing = put(third, "first", "v1");
    expectRefused(await get(third, "before"), ["NO_LEADER", "TIMEOUT"]);
    expect(performance.now() - since).toBeLessThanOrEqual(REFUSED_WITHIN_MS);
    expectRefused(await writing, ["NO_LEADER", "OUTCOME_UNKNOWN", "TIMEOUT"]);
    expect(performance.now() - since).toBeLessThanOrEqual(DOUBTFUL_WITHIN_MS);

    // Asked later, when it knows: refused, and certainly without effect.
    for (let i = 0; i < 3; i++) {
      const begin = performance.now();
      const [again, reread, local] = await Promise.all([
        put(third, "second", `v2.${i}`),
        get(third, "before"),
        get(third, "before", "?local=true"),
      ]);
      expect(performance.now() - begin).toBeLessThanOrEqual(REFUSED_WITHIN_MS);
      expectRefused(again, ["NO_LEADER"]);
      expectRefused(reread, ["NO_LEADER"]);
      expect(local).toMatchObject({ status: 200, body: "kept" });
    }
    expect(
      (await askForReply({ port: third.httpPort, method: "GET", path: "/health" })).status,
    ).toBe(503);

    for (const member of stopped) member.resume();
    const resumed = performance.now();
    await waitUntil("every member takes writes again", HEALED_WITHIN_MS, async () => {
      const writes = await Promise.all(cluster.members.map((m) => put(m, `healed-${m.id}`, "yes")));
      return writes.every((reply) => reply.status === 200);
    });
    await cluster.settled(HEALED_WITHIN_MS);
    expect((await get(third, "second")).status, "a refused write must not appear").toBe(404);
    const history = await load.stop();
    await context.annotate(
      `healed after ${Math.round(performance.now() - resumed)} ms; ` +
        `${load.counts.done} operations done, ${load.counts.unknown} unknown`,
    );
    expectLinearizable(history, cluster.directory);
  });
}

const KINDS = [
  ["linearizable read", "", []],
  ["read by lease", "?consistency=lease", ["--lease-reads"]],
] as const;

test.for(KINDS)(
  "a leader that was stopped and replaced answers no %s from its past",
  async ([, query, args], context) => {
    const cluster = await started(context, args);
    const load = startLoad(context, cluster, 4, query);
    for (let round = 0; round < 5; round++) {
      const old = await cluster.settled(10_000);
      const others = cluster.others(old);
      expect((await put(old, "x", `old-${round}`)).status).toBe(200);
      if (args.length > 0) await waitUntil("a lease is held", 5_000, () => holdsLease(old));

      old.pause();
      const value = `new-${round}`;
      await waitUntil(
        "the others elect and take a write",
        HEALED_WITHIN_MS,
        async () => (await put(others[0]!, "x", value)).status === 200,
      );
      // These reach the old leader's sockets while it is stopped: the first thing that it sees when
      // it goes on, before it can have heard of the new term, unless it asks somebody.
      const reads = Array.from({ length: 8 }, () => get(old, "x", query));
      old.resume();
      for (const reply of await Promise.all(reads)) {
        if (reply.status === 200) expect(reply.body).toBe(value);
        else expectRefused(reply, ["NO_LEADER", "TIMEOUT"]);
      }
      await waitUntil("the old leader follows", HEALED_WITHIN_MS, async () => {
        const reply = await get(old, "x", query);
        if (reply.status === 200) expect(reply.body).toBe(value);
        return reply.status === 200;
      });
    }
    expectLinearizable(await load.stop(), cluster.directory);
  },
);

async function holdsLease(member: Member): Promise<boolean> {
  const reply = await askForReply({ port: member.httpPort, method: "GET", path: "/status" });
  const lease = jsonOf(reply)["lease"] as { readonly forMs: number | null };
  return lease.forMs !== null;
}

async function started(context: TestContext, args: readonly string[] = []): Promise<Cluster> {
  const cluster = await Cluster.make(context, {
    members: 3,
    electionTimeoutMs: ELECTION_TIMEOUT_MS,
    args,
  });
  await cluster.start();
  return cluster;
}

// eslint-disable-next-line max-params -- what differs between the tests
function startLoad(context: TestContext, cluster: Cluster, seed: number, readQuery = ""): Load {
  const ports = cluster.httpPorts;
  return new Load(context, {
    ports,
    clients: 5,
    keys: 4,
    seed,
    timeoutMs: CLIENT_TIMEOUT_MS,
    thinkMs: 10,
    readQuery,
  });
}

function put(member: Member, key: string, value: string): Promise<Reply & { type: "reply" }> {
  return askForReply({ port: member.httpPort, method: "PUT", path: `/kv/${key}`, body: value });
}

function get(member: Member, key: string, query = ""): Promise<Reply & { type: "reply" }> {
  return askForReply({ port: member.httpPort, method: "GET", path: `/kv/${key}${query}` });
}

const STATUS_OF: Readonly<Record<string, number>> = {
  NO_LEADER: 503,
  TIMEOUT: 504,
  OUTCOME_UNKNOWN: 504,
};

function expectRefused(reply: Reply & { type: "reply" }, codes: readonly string[]): void {
  const error = errorOf(reply);
  expect(codes, reply.body).toContain(error?.code);
  expect(reply.status).toBe(STATUS_OF[error!.code]);
  expect(error!.outcome).toBe(error!.code === "OUTCOME_UNKNOWN" ? "unknown" : "not-done");
  expect(error!.message.length).toBeGreaterThan(20);
}
