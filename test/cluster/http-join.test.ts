/**
 * examples/http-join: its README, command by command, on real processes: the scripts of the three
 * nodes, the endpoints, the load script, and the sin of the original, which is refused.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Example } from "../harness/example.ts";
import type { Replacement, Script } from "../harness/example.ts";
import { takePort } from "../harness/ports.ts";

const WAIT_MS = 20_000;

test("the README of examples/http-join: every command does what it says", async (context) => {
  const replacements: Replacement[] = [];
  for (const n of [0, 1, 2, 3]) {
    replacements.push([new RegExp(`\\b800${n}\\b`, "g"), `${await takePort()}`]);
    replacements.push([new RegExp(`\\b900${n}\\b`, "g"), `${await takePort()}`]);
  }
  const example = new Example(context, "http-join", (scratch) => ({
    replacements: [...replacements, [/\/tmp\/node/g, `${scratch}/node`]],
  }));
  const nodes: Script[] = [];
  for (const { line, prints } of example.commands) {
    if (/^\.\/startn|\.\/http-join$/.test(line)) {
      const node = example.start(line);
      await node.says(/ serves$/m, WAIT_MS);
      const begins = /RAFT_BOOTSTRAP/.test(line) || line.includes("startn1");
      await node.says(begins ? /leader state/ : /waits at .* until it is joined/, WAIT_MS);
      nodes.push(node);
      continue;
    }
    // Nobody ends it: it has ended by itself when its directory is deleted.
    if (line.startsWith("rm ")) expectRefused(nodes[3]!, (await nodes[3]!.ended).code);
    const output = await example.run(line);
    if (prints !== undefined) expect([line, output]).toEqual([line, prints]);
    if (line.startsWith("./pump.sh"))
      expectSummary(output, line.includes("--count 200") ? 200 : 1_000);
    if (line.includes("/status")) expect(output).toMatch(/^n2 is follower; term \d+; n1 leads; /);
    if (line.includes("/snapshot"))
      expect(output).toMatch(/^snapshot of everything up to entry \d/);
  }
  const [, , third] = nodes as [Script, Script, Script];
  expect(await third.ended).toEqual({ code: 0, signal: null });
  expect(third.output).toMatch(/removed: n3 was removed from cluster/);
  expect(nodes.length).toBe(5);
  await expectMistakes(example);

  // The scripts again, as they are: the data is still there.
  for (const node of nodes) node.signal("SIGTERM");
  await Promise.all(nodes.map((node) => node.ended));
  const again = ["./startn1.sh", "./startn2.sh"].map((line) => example.start(line));
  for (const node of again) await node.says(/^\S+ leader=n/m, WAIT_MS);
  expect(await example.run(`curl "http://localhost:8001/get?key=1000"`)).toBe("1000");
});

function expectRefused(node: Script, code: number | null): void {
  expect(code).toBe(7);
  expect(node.output).toMatch(/\[CLUSTER_EXISTS\] n4 was begun as a new cluster/);
}

function expectSummary(output: string, count: number): void {
  const lines = output.split("\n");
  expect(lines[0]).toBe(`[${"#".repeat(40)}] ${count}/${count}`);
  expect(lines[1]).toMatch(new RegExp(`^${count} set, 0 failed, in [\\d.]+ s$`));
  expect(lines[2]).toMatch(/^\d+ per second with \d+ clients$/);
  expect(lines[3]).toMatch(
    /^latency: half within [\d.]+ ms, 99 % within .*, all within [\d.]+ ms$/,
  );
}

async function expectMistakes(example: Example): Promise<void> {
  const ask = (path: string): Promise<string> =>
    example.run(`curl -w "%{http_code}" "http://localhost:8000${path}"`);
  expect(await ask("/join?nodeID=n5&raftPort=1")).toBe(
    "nodeId is missing: /join takes nodeId and raftPort\n400",
  );
  expect(await ask("/set?key=a&value=1&ttl=3")).toBe(
    "there is no parameter ttl: /set takes key and value\n400",
  );
  expect(await ask("/join?nodeId=n5&raftPort=http")).toBe('raftPort is a port, not "http"\n400');
  expect(await ask("/remove?nodeId=n9")).toMatch(/n9.*\n404$/);
  expect(await ask("/put")).toMatch(/^there is no \/put, but \/join, \/set, .*\n404$/);
}

test("the scripts set what the README says", () => {
  const folder = join(import.meta.dirname, "../../examples/http-join");
  const block = /```\n(export[\s\S]*?)```/.exec(readFileSync(join(folder, "README.md"), "utf8"))!;
  const script = readFileSync(join(folder, "startn1.sh"), "utf8");
  for (const line of block[1]!.trim().split("\n")) {
    expect(script).toContain(line.replace(/ +#.*/, ""));
  }
});
