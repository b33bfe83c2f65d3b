/**
 * The members changed by commands on real processes, while writes go on: from one member to three,
 * one given up for a new directory, one made a learner and a voter again, one taken out; and the
 * client fails no write meanwhile.
 */
import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "quorate-server/client";
import type { KvClient } from "quorate-server/client";
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { endWithTest, Member } from "../harness/cluster.ts";
import { runCommand } from "../harness/command.ts";
import { askForReply } from "../harness/http.ts";
import { takePort } from "../harness/ports.ts";
import { scratchDirectory } from "../harness/scratch.ts";
import { waitUntil } from "../harness/wait.ts";

const WAIT_MS = 20_000;

test("members are added, replaced, demoted, promoted and removed by commands, under load", async (context) => {
  const [n1, n2, n3] = await places(context);
  n1.start();
  await waitUntil("n1 leads", WAIT_MS, async () => (await n1.status()).isLeader);
  const endpoints = [n1, n2, n3].map(({ httpPort }) => `http://127.0.0.1:${httpPort}`);
  const kv = connect({ endpoints, timeoutMs: 20_000 });
  const load = new Writes(kv);
  context.onTestFinished(async () => void (await load.stop()));
  const quorate = async (...args: readonly string[]): Promise<string> => {
    const ran = await runCommand(context, [...args, "--endpoint", endpoints.join(",")]);
    expect([args, ran.code, ran.output]).toEqual([args, 0, ran.output]);
    return ran.output;
  };

  n2.start();
  expect(await quorate("members", "add", "n2", n2.address)).toMatch(/n2 +\S+ +voter/);
  // Added before it is started: the command waits.
  const adding = quorate("members", "add", "n3", n3.address);
  n3.start();
  expect(await adding).toContain("3 voters; a majority is 2, so 1 of them may be away");

  expect(await quorate("members", "plan", "demote", "n2")).toMatch(
    /after: +voters n1 n3, learners n2/,
  );
  expect(await quorate("members", "demote", "n2")).toMatch(/n2 +\S+ +learner/);
  expect(await quorate("status")).toMatch(/ n2 +Learner /);
  expect(await quorate("members", "promote", "n2")).toMatch(/n2 +\S+ +voter/);

  const before = await kv.members.list();
  await n3.kill();
  rmSync(n3.directory, { recursive: true });
  n3.start();
  const { members } = await kv.members.replace("n3", { catchUpMs: 15_000 });
  const incarnationOf = (id: string, list = members): string | null =>
    list.find((member) => member.id === id)?.incarnation ?? null;
  expect(incarnationOf("n3")).not.toBe(incarnationOf("n3", before.members));

  expect(await quorate("snapshot")).not.toContain("cannot");
  const { version } = await kv.members.list();
  const stale = await runCommand(context, [
    ...["members", "remove", "n1", "--expected-version", String(version - 1)],
    ...["--endpoint", endpoints[0]!],
  ]);
  expect(stale.output).toContain("MEMBERSHIP_CHANGED");
  await quorate("members", "remove", "n1", "--expected-version", String(version));
  expect(await n1.child.ended).toEqual({ code: 0, signal: null });
  expect(await quorate("members")).toMatch(/2 voters; a majority is 2/);
  expect(await load.stop()).toEqual([]);
  expect(load.done).toBeGreaterThan(100);
  await context.annotate(`${load.done} writes meanwhile`);
}, 60_000);

test("a member that DELETE takes out ends with 0, and is refused with 6 when it is started again", async (context) => {
  const [n1, n2, n3] = await places(context);
  n1.start();
  await waitUntil("n1 leads", WAIT_MS, async () => (await n1.status()).isLeader);
  const kv = connect({ endpoints: [`http://127.0.0.1:${n1.httpPort}`], timeoutMs: 20_000 });
  for (const member of [n2, n3]) {
    member.start();
    await kv.members.add({ id: member.id, address: member.address });
  }
  const port = n2.httpPort;
  const reply = await askForReply({ port, method: "DELETE", path: "/members/n3" });
  expect([reply.status, reply.body]).toEqual([200, reply.body]);
  expect(await n3.child.ended).toEqual({ code: 0, signal: null });

  // Its directory says so, whatever the command line says and whoever else is up.
  const again = n3.start();
  expect(await again.ended).toEqual({ code: 6, signal: null });
  const said = again.output.slice(again.output.lastIndexOf("--- n3 is started"));
  expect(said).toContain("must not be used any more: n3 was removed from cluster");
  expect((await kv.put("k", "v")).created).toBe(true);
});

async function places(context: TestContext): Promise<[Member, Member, Member]> {
  const root = scratchDirectory(context);
  const args = ["--election-timeout", "300"];
  const all = [
    new Member("n1", await takePort(), root, [...args, "--bootstrap"]),
    new Member("n2", await takePort(), root, [...args, "--wait"]),
    new Member("n3", await takePort(), root, [...args, "--wait"]),
  ];
  endWithTest(context, all);
  return all as [Member, Member, Member];
}

/** Writes one key after the other until it is stopped. */
class Writes {
  done = 0;
  readonly #kv: KvClient;
  readonly #failed: string[] = [];
  readonly #work: Promise<void>;
  #isStopped = false;

  constructor(kv: KvClient) {
    this.#kv = kv;
    this.#work = this.#run();
  }

  /** Ends them; what went wrong. */
  async stop(): Promise<readonly string[]> {
    this.#isStopped = true;
    await this.#work;
    return this.#failed;
  }

  async #run(): Promise<void> {
    for (let i = 0; !this.#isStopped; i++) {
      try {
        const { created } = await this.#kv.put(`load/${i}`, String(i));
        if (!created) this.#failed.push(`load/${i} was written twice`);
        this.done++;
      } catch (error) {
        this.#failed.push(String(error));
      }
      await sleep(5);
    }
  }
}
