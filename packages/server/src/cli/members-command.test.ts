/**
 * `quorate members` and `quorate snapshot` in this process, with a terminal of strings, on a member
 * over a replica in memory.
 */
import type { MembershipStatus, Replica } from "quorate";
import { QuorateError } from "quorate";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeReplica, membershipOf } from "../../../../test/harness/fake-replica.ts";
import { closeHttpApp, createHttpApp, listeningAt } from "../http/app.ts";
import type { KvCommand, KvQuery } from "../store/command.ts";
import { runCli } from "./program.ts";

let replica: FakeReplica;
let url: string;
let end: () => Promise<void>;

beforeEach(async () => {
  replica = new FakeReplica();
  const app = createHttpApp({
    replica: () => replica as unknown as Replica<KvCommand, KvQuery>,
    storeSize: () => replica.machine.size,
    nowMs: () => performance.now(),
    onError: () => {},
    keyBytesMax: 64,
    valueBytesMax: 2_048,
    connectionsMax: 100,
  });
  await app.listen({ host: "127.0.0.1", port: 0 });
  url = `http://${listeningAt(app)}`;
  end = () => closeHttpApp(app, 0);
});

afterEach(() => end());

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function run(args: readonly string[], isTTY = false): Promise<Ran> {
  const written = { out: "", err: "" };
  const output = (name: "out" | "err") => ({
    isTTY,
    columns: 100,
    write: (chunk: string | Uint8Array) => (written[name] += String(chunk)),
  });
  const stdin = (async function* () {})();
  const env = { QUORATE_ENDPOINT: url, NO_COLOR: "1" };
  const terminal = { stdin, stdout: output("out"), stderr: output("err"), env };
  const code = await runCli(args, terminal);
  return { code, ...written };
}

const CHANGE = {
  phase: "catching-up",
  voters: ["n1", "n2", "n3", "n4"],
  waitsFor: ["n4"],
  lag: { n4: 17 },
  remainingMs: 4_000,
} as const;

/** Three voters, and n4 that is to become one. */
function changing(): MembershipStatus {
  const { members } = membershipOf({});
  const n4 = { id: "n4", address: "127.0.0.1:9094", incarnation: undefined } as const;
  const learner = { ...n4, role: "learner", becomes: "voter" } as const;
  return membershipOf({ version: 8, members: [...members, learner], change: CHANGE });
}

function grown(): MembershipStatus {
  const { members } = membershipOf({});
  const n4 = { ...members[0]!, id: "n4", address: "127.0.0.1:9094" };
  return membershipOf({ version: 9, members: [...members, n4], quorum: 3 });
}

describe("members", () => {
  test("shows who they are, who leads and what becomes of them", async () => {
    const plain = await run(["members"]);
    expect(plain.code).toBe(0);
    expect(plain.out.split("\n")).toEqual([
      "id  address         role",
      "n1  127.0.0.1:9091  voter",
      "n2  127.0.0.1:9092  voter  leads",
      "n3  127.0.0.1:9093  voter",
      "3 voters; a majority is 2, so 1 of them may be away; version 7",
      "",
    ]);
    replica.members.current = changing();
    const { out } = await run(["members", "list"]);
    expect(out).toContain("n4  127.0.0.1:9094  learner  becomes a voter, never heard of yet");
    expect(out).toContain("waiting for n4 (17 entries behind) to catch up; taken back in 4 s");
    const json = JSON.parse((await run(["members", "--json"])).out) as { version: number };
    expect(json.version).toBe(8);
  });

  test("changes them, with everything that can be said of it", async () => {
    replica.members.current = grown();
    const n4 = { id: "n4", address: "127.0.0.1:9094", role: "voter" };
    expect((await run(["members", "add", "n4", "127.0.0.1:9094", "--catch-up", "5"])).code).toBe(0);
    replica.members.current = membershipOf({});
    expect((await run(["members", "remove", "n4", "--expected-version", "9"])).code).toBe(0);
    const list = "n1=127.0.0.1:9091,n2=127.0.0.1:9092,n3=127.0.0.1:9093";
    expect((await run(["members", "set", list])).code).toBe(0);
    expect((await run(["members", "cancel"])).code).toBe(0);
    expect(replica.members.asked).toEqual([
      ["add", n4, { timeoutMs: 5 }],
      ["remove", "n4", { expectedVersion: 9, timeoutMs: expect.any(Number) as number }],
      ["set", expect.arrayContaining([{ ...n4, id: "n1", address: "127.0.0.1:9091" }]), {}],
      ["cancel", { timeoutMs: expect.any(Number) as number }],
    ]);
  });

  test("waits for those who catch up, and shows on a terminal how far they are", async () => {
    replica.members.current = changing();
    setTimeout(() => (replica.members.current = grown()), 2_600);
    replica.members.hang = true;
    const ran = await run(["members", "add", "n4", "127.0.0.1:9094"], true);
    expect([ran.code, ran.out]).toEqual([0, expect.stringContaining("version 9")]);
    expect(ran.err).toContain("\rwaiting for n4 (17 entries behind) to catch up");
    expect(ran.err.endsWith("\r")).toBe(true);
  });

  test("says once what it waits for where there is no terminal", async () => {
    replica.members.current = changing();
    setTimeout(() => (replica.members.current = grown()), 2_600);
    replica.members.hang = true;
    const ran = await run(["members", "add", "n4", "127.0.0.1:9094"]);
    expect([ran.code, ran.out]).toEqual([0, expect.stringContaining("version 9")]);
    const says = /^waiting for n4 \(17 entries behind\) to catch up; taken back in \d+ s\n$/;
    expect(ran.err).toMatch(says);
  });

  test("says when a change was taken back, and when it was refused", async () => {
    // n4 is no member afterwards.
    const back = await run(["members", "promote", "n4"]);
    expect([back.code, back.err]).toEqual([4, expect.stringContaining("MEMBERSHIP_TIMEOUT")]);
    replica.fail = new QuorateError("MEMBERSHIP_BUSY", "another change waits for n4");
    const busy = await run(["members", "remove", "n2"]);
    expect(busy.code).not.toBe(0);
    expect(busy.err).toContain("another change waits for n4 (MEMBERSHIP_BUSY)");
  });

  test("a plan is shown, and one that would be refused ends with 9", async () => {
    const plan = await run(["members", "plan", "remove", "n2"]);
    expect([plan.code, plan.out]).toEqual([0, expect.stringContaining("before: voters n1 n2 n3")]);
    expect(replica.members.asked).toEqual([["plan", { remove: "n2" }]]);
  });

  test("what makes no sense is refused before anything is asked", async () => {
    for (const args of [
      ["set", "n1"],
      ["set", "n1=x:1", "--learners", "n2"],
      ["add"],
      ["dance", "n1"],
    ]) {
      expect([args, (await run(["members", ...args])).code]).toEqual([args, 2]);
    }
    expect(replica.members.asked).toEqual([]);
  });
});

describe("snapshot", () => {
  test("is taken by every endpoint's member", async () => {
    const ran = await run(["snapshot"]);
    expect([ran.code, ran.out]).toEqual([0, expect.stringMatching(/ 9 +3 +99\n$/)]);
    const two = await run(["snapshot", "--endpoint", `${url},http://127.0.0.1:2`, "--json"]);
    expect(two.code).toBe(4);
    expect(JSON.parse(two.out)).toMatchObject([{ bytes: 99 }, { problem: "cannot be reached" }]);
  });
});
