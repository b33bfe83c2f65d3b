/**
 * examples/http-join: its README, command by command, on real processes: the scripts of the three
 * nodes, the endpoints, the load script, and the sin of the original, which is refused.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { Example } from "../harness/example.ts";
import type { Replacement, Script } from "../harness/example.ts";
import { takePort } from "../harness/ports.ts";
import { skipLoudly } from "../harness/skip-loudly.ts";
import { hasScript, NO_SCRIPT } from "../harness/terminal.ts";

const WAIT_MS = 20_000;

test("the README of examples/http-join: every command does what it says", async (context) => {
  const example = await place(context);
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
  // Not from its log alone: that was let go of, and a snapshot stands for it.
  expect(await example.run(`curl http://localhost:8001/status`)).toMatch(/snapshot [1-9]\d*; /);
});

test("a follower joins and removes nodes, by POST as well; who is not there is not waited for", async (context) => {
  const example = await place(context);
  const ask = (request: string): Promise<string> => example.run(`curl ${request}`);
  const [first, second, third] = ["1", "2", "3"].map((n) => example.start(`./startn${n}.sh`));
  await first!.says(/leader state/, WAIT_MS);
  for (const node of [second!, third!]) await node.says(/ waits at /, WAIT_MS);
  const joined = await ask(`"http://localhost:8000/join?nodeId=n2&raftPort=9001"`);
  expect(joined).toBe("n2 has joined; the cluster is n1, n2");
  expect(await ask(`http://localhost:8001/status`)).toMatch(/^n2 is follower; .* n1 leads/);

  const since = performance.now();
  const away = await ask(`-w "%{http_code}" "http://localhost:8001/join?nodeId=n9&raftPort=9003"`);
  expect(away).toMatch(
    /taken back\. Is the node up, at that port, and without RAFT_BOOTSTRAP\?\n504$/,
  );
  expect(performance.now() - since).toBeLessThan(20_000);
  const post = await ask(`-X POST "http://localhost:8001/join?nodeId=n3&raftPort=9002"`);
  expect(post).toBe("n3 has joined; the cluster is n1, n2, n3");
  expect(await ask(`-X POST "http://localhost:8002/set?key=a&value=b%20c"`)).toBe("a=b c");
  expect(await ask(`"http://localhost:8000/get?key=a"`)).toBe("b c");
  const again = await ask(`-w "%{http_code}" "http://localhost:8002/join?nodeId=n2&raftPort=9001"`);
  expect(again).toMatch(/\[MEMBER_EXISTS\].*\n409$/);
  // Also the one that leads, asked at another one.
  const left = await ask(`"http://localhost:8002/remove?nodeId=n1"`);
  expect(left).toBe("n1 has left; the cluster is n2, n3");
  expect(await first!.ended).toEqual({ code: 0, signal: null });
  expect(await ask(`"http://localhost:8002/get?key=a"`)).toBe("b c");
});

test("pump shows a bar that grows on a terminal, and counts what failed", async (context) => {
  const example = await place(context);
  const node = example.start("./startn1.sh");
  await node.says(/leader state/, WAIT_MS);
  const failed = example.run("./pump.sh --to http://localhost:8003 --count 3");
  await expect(failed).rejects.toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/^0 set, 3 failed, in [\s\S]*^3 times: connect ECONNREFUSED/m),
  });
  await expect(example.run("./pump.sh --clients none")).rejects.toMatchObject({ code: 2 });
  if (!hasScript()) skipLoudly(context, NO_SCRIPT);
  const shown = await example.run(`script -qfec './pump.sh --count 2000' /dev/null < /dev/null`);
  const steps = [...shown.matchAll(/\r\[(#*\.*)\] (\d+)\/2000/g)];
  expect(steps.length).toBeGreaterThan(2);
  for (const [, bar, done] of steps) {
    expect(bar).toHaveLength(40);
    expect(bar!.lastIndexOf("#") + 1).toBe(Math.round((40 * Number(done)) / 2_000));
  }
  expect(steps.at(-1)![2]).toBe("2000");
  expect(shown).toContain("2000 set, 0 failed");
});

async function place(context: TestContext): Promise<Example> {
  const replacements: Replacement[] = [];
  for (const n of [0, 1, 2, 3]) {
    replacements.push([new RegExp(`\\b800${n}\\b`, "g"), `${await takePort()}`]);
    replacements.push([new RegExp(`\\b900${n}\\b`, "g"), `${await takePort()}`]);
  }
  return new Example(context, "http-join", (scratch) => ({
    replacements: [...replacements, [/\/tmp\/node/g, `${scratch}/node`]],
  }));
}

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
    "/join takes nodeId and raftPort; given: nodeID and raftPort\n400",
  );
  expect(await ask("/set?key=a&value=1&ttl=3")).toBe(
    "/set takes key and value; given: key and ttl and value\n400",
  );
  expect(await ask("/join?nodeId=n5&raftPort=http")).toBe('raftPort is a port, not "http"\n400');
  expect(await ask("/remove?nodeId=n9")).toMatch(/n9.*\n404$/);
  expect(await ask("/remove")).toBe("/remove takes key, or nodeId; given: nothing\n400");
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
