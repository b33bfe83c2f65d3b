import { describe, expect, test } from "vitest";
import { readJson } from "../machine/read-json.ts";
import type { Returns, StateMachine } from "../machine/state-machine.ts";
import { QuorateError } from "../util/error.ts";
import { testCluster } from "./test-cluster.ts";
import type { TestCluster } from "./test-cluster.ts";

type Add = { readonly type: "add"; readonly amount: number } & Returns<number>;
type Boom = { readonly type: "boom" } & Returns<never>;
type Command = Add | Boom;
type Total = { readonly type: "total" } & Returns<number>;

const add = (amount: number): Add => ({ type: "add", amount });
const total: Total = { type: "total" };

class Counter implements StateMachine<Command, Total> {
  total = 0;

  apply(command: Command): number {
    if (command.type === "boom") throw new Error("boom");
    return (this.total += command.amount);
  }

  query(): number {
    return this.total;
  }

  snapshot(): number {
    return this.total;
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.total = await readJson<number>(chunks);
  }
}

const machine = (): Counter => new Counter();
type Cluster = TestCluster<Command, Total>;

describe("a test cluster in virtual time", () => {
  test("serves writes and reads through every member", async () => {
    await using cluster = await testCluster({ machine });
    expect(cluster.members.map(({ id }) => id)).toEqual(["n1", "n2", "n3"]);
    let sum = 0;
    for (const { replica } of cluster.members) {
      expect(await replica.write(add(2))).toBe((sum += 2));
      expect(await replica.read(total)).toBe(sum);
      expect(await replica.read(total, { consistency: "local" })).toBe(sum);
    }
  });

  test.each([1, 2, 5])("has the size that was asked for: %i", async (members) => {
    await using cluster = await testCluster({ machine, members });
    expect(cluster.members).toHaveLength(members);
    expect(cluster.followers()).toHaveLength(members - 1);
    expect(await (await cluster.leader()).replica.write(add(1))).toBe(1);
  });

  test("goes on when its leader loses power, and takes it back as it was", async () => {
    await using cluster = await testCluster({ machine });
    const first = await cluster.leader();
    await first.replica.write(add(5));
    first.crash();
    expect(first.state).toBe("down");
    expect(first.machine).toBeUndefined();
    expect(() => first.replica).toThrow(/is down/);
    const second = await cluster.leader();
    expect(second.id).not.toBe(first.id);
    expect(await second.replica.write(add(1))).toBe(6);
    await first.start();
    expect(await first.replica.read(total)).toBe(6);
    expect((first.machine as Counter).total).toBe(6);
  });

  test("ends the calls of a process that dies", async () => {
    await using cluster = await testCluster({ machine });
    const [member] = cluster.followers();
    const write = codeOf(member!.replica.write(add(1)));
    const read = codeOf(member!.replica.read(total));
    member!.crash("kill");
    expect(await write).toBe("OUTCOME_UNKNOWN");
    expect(await read).toBe("CLOSED");
  });

  test("refuses on the handle of a life that is over", async () => {
    await using cluster = await testCluster({ machine });
    const { replica } = cluster.member("n2");
    cluster.member("n2").crash();
    await cluster.member("n2").start();
    expect(await codeOf(replica.write(add(1)))).toBe("CLOSED");
    expect(await cluster.member("n2").replica.write(add(1))).toBe(1);
  });

  test("has no leader on the smaller side of a partition, until it is healed", async () => {
    await using cluster = await testCluster({ machine });
    const old = await cluster.leader();
    cluster.partition([old.id]);
    await cluster.until(() => !old.replica.isLeader);
    const next = await cluster.leader();
    expect(next.id).not.toBe(old.id);
    expect(await next.replica.write(add(3))).toBe(3);
    expect(await codeOf(old.replica.read(total, { timeoutMs: 500 }))).toBe("NO_LEADER");
    cluster.heal();
    expect(await old.replica.read(total)).toBe(3);
  });

  test("lets a member stand still and go on", async () => {
    await using cluster = await testCluster({ machine });
    const old = await cluster.leader();
    old.pause();
    await cluster.advance(1_000);
    const next = await cluster.leader();
    expect(next.id).not.toBe(old.id);
    const late = old.replica.write(add(1), { timeoutMs: 5_000 });
    await cluster.advance(100);
    old.resume();
    expect(await late).toBe(1);
  });

  test("lets a member be stopped in an orderly way and started again", async () => {
    await using cluster = await testCluster({ machine });
    const member = cluster.member("n3");
    await member.replica.write(add(4));
    await member.stop();
    expect(member.state).toBe("down");
    await member.stop();
    await member.start();
    await member.start();
    expect(await member.replica.read(total)).toBe(4);
  });

  test("keeps the failure of a replica whose machine threw", async () => {
    await using cluster = await testCluster({ machine, members: 1 });
    const [only] = cluster.members;
    const error = await codeOf(only!.replica.write({ type: "boom" }));
    expect(error).toBe("REPLICA_FAILED");
    expect(only!.state).toBe("failed");
    expect(only!.failure?.code).toBe("REPLICA_FAILED");
  });

  test("lets as much virtual time pass as is asked for", async () => {
    await using cluster = await testCluster({ machine });
    const beganMs = cluster.nowMs;
    expect(beganMs).toBeGreaterThan(10);
    await cluster.advance(3_000);
    expect(cluster.nowMs - beganMs).toBeCloseTo(3_000, -1);
  });

  test("does the same every time", async () => {
    const lived = async (): Promise<unknown> => {
      await using cluster = await testCluster({ machine, seed: 7 });
      const leader = await cluster.leader();
      await leader.replica.write(add(1));
      leader.crash();
      const next = await cluster.leader();
      await Promise.all([next.replica.write(add(2)), next.replica.read(total)]);
      return [leader.id, next.id, cluster.nowMs, next.replica.status().term];
    };
    expect(await lived()).toEqual(await lived());
  });

  test("tells whoever waits in vain", async () => {
    const cluster: Cluster = await testCluster({ machine });
    expect(await codeOf(cluster.until(() => false, 100))).toBe("TIMEOUT");
    const thrown = cluster.until(() => {
      throw new Error("asked wrongly");
    });
    await expect(thrown).rejects.toThrow("asked wrongly");
    expect(() => cluster.member("n9")).toThrow(/no member n9/);
    await cluster.close();
    await cluster.close();
    expect(await codeOf(cluster.advance(1))).toBe("CLOSED");
    await expect(testCluster({ machine, members: 0 })).rejects.toThrow(/members must be/);
  });
});

describe("a test cluster in real time", () => {
  test("lives by the clock of the host", async () => {
    const startMs = performance.now();
    await using cluster = await testCluster({ machine, time: "real", electionTimeoutMs: 50 });
    const leader = await cluster.leader();
    expect(await leader.replica.write(add(1))).toBe(1);
    await cluster.advance(20);
    leader.crash();
    const next = await cluster.leader();
    expect(await next.replica.write(add(1))).toBe(2);
    // Nobody may campaign before T: a start and a failover take two of them at least.
    expect(performance.now() - startMs).toBeGreaterThan(100);
  });
});

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (QuorateError.is(error)) return error.code;
    throw error;
  }
  return "none";
}
