/**
 * examples/kvstore: the walk-through of its README, command by command, on real processes.
 */
import { expect, test } from "vitest";
import { Example } from "../harness/example.ts";
import type { Replacement, Script } from "../harness/example.ts";
import { httpPortOf, takePort } from "../harness/ports.ts";
import { waitUntil } from "../harness/wait.ts";

const WAIT_MS = 20_000;

test("the README of examples/kvstore: every command does what it says", async (context) => {
  const ports: number[] = [];
  for (let i = 0; i < 5; i++) ports.push(await takePort());
  const example = new Example(context, "kvstore", (scratch) => ({
    replacements: [
      ...ports.map((port, i): Replacement => [new RegExp(`\\b909${i + 1}\\b`, "g"), `${port}`]),
      ...ports.map((port, i): Replacement => {
        return [new RegExp(`\\b1009${i + 1}\\b`, "g"), `${httpPortOf(port)}`];
      }),
      [/\/tmp\/ckite/g, `${scratch}/ckite`],
    ],
  }));
  const members: Script[] = [];
  let pages = 0;
  for (const { line, prints } of example.commands) {
    if (line.startsWith("./kvstore ")) {
      const member = example.start(line);
      members.push(member);
      await member.says(members.length === 1 ? /Start being Leader/ : /Join successful/, WAIT_MS);
      continue;
    }
    const output = await example.run(line);
    if (prints !== undefined) expect([line, output]).toEqual([line, prints]);
    if (line.endsWith("/status")) {
      expect(JSON.parse(output)).toMatchObject(followerPage(ports[0]!));
      pages += 1;
    }
    if (line.includes("DELETE")) {
      const fourth = members[3]!;
      await waitUntil("the fourth member ends", WAIT_MS, () => !fourth.running);
      expect(await fourth.ended).toEqual({ code: 0, signal: null });
      expect(fourth.output).toMatch(/Left the cluster: /);
    }
  }
  expect([members.length, pages]).toEqual([5, 1]);

  const leader = `curl http://localhost:10091/status`;
  expect(JSON.parse(await example.run(leader))).toMatchObject({
    cluster: {
      state: "Leader",
      stateInfo: {
        leaderUptime: expect.stringMatching(/^(\d+\.(minutes|seconds)\+)*\d+\.milliseconds$/),
        followers: {
          [`localhost:${ports[4]}`]: {
            lastHeartbeatACK: expect.stringMatching(/milliseconds$/),
            matchIndex: expect.any(Number),
            nextIndex: expect.any(Number),
          },
        },
      },
    },
  });
  expect(JSON.parse(await example.run(`${leader}?format=a`))).toMatchObject({
    cluster: {
      stateInfo: { lastHeartbeatsACKs: { [`localhost:${ports[1]}`]: expect.anything() } },
    },
    log: { lastLog: { term: expect.any(Number) } },
  });
  expect(JSON.parse(await example.run(`${leader}?format=c`))).toMatchObject({
    consensus: { state: expect.stringMatching(/^Leader\[\d+\]$/) },
  });
  expectStory(members, ports);
});

function followerPage(leader: number): object {
  return {
    cluster: {
      term: expect.any(Number),
      state: "Follower",
      stateInfo: { following: `Some(localhost:${leader})` },
    },
    log: {
      length: expect.any(Number),
      commitIndex: expect.any(Number),
      lastEntry: { term: expect.any(Number), command: { key: "key1", value: "value1" } },
    },
  };
}

/** The lines that CKite's walk-through shows, each after the one before. */
function expectStory([first, second]: readonly Script[], ports: readonly number[]): void {
  const [a, b] = ports.map((port) => `localhost:${port}`);
  expectLines(first!.output, [
    "Transition from Starter to Follower[1]",
    "to Candidate[2]",
    "Got 1 votes in a majority of 1",
    "Transition from Candidate[2] to Leader[2]",
    "Start being Leader[2]",
    `Applying JointConfiguration(List(${a}),List(${a}, ${b}))`,
    `Cluster Configuration changed to [Cold=(${a}), Cnew=(${a},${b})]`,
    `Applying NewConfiguration(List(${a}, ${b}))`,
    `Cluster Configuration changed to (${a},${b})`,
  ]);
  expectLines(second!.output, [
    `Try to join with ${a}`,
    `Following Some(${a}) in term[2]`,
    `Applying JointConfiguration(List(${a}),List(${a}, ${b}))`,
    "New commitIndex is #",
    `Cluster Configuration changed to (${a},${b})`,
    "Join successful",
  ]);
}

function expectLines(output: string, wanted: readonly string[]): void {
  let from = 0;
  for (const line of wanted) {
    const at = output.indexOf(line, from);
    expect(at, `"${line}" in its place in:\n${output}`).toBeGreaterThanOrEqual(0);
    from = at + line.length;
  }
}
