/**
 * examples/raftexample without processes: its flags and what it says of mistakes, its store over
 * snapshots, its runner.
 */
import { QuorateError } from "quorate";
import { testCluster } from "quorate/sim";
import { expect, test } from "vitest";
import { KeyValues } from "../../examples/raftexample/key-values.ts";
import { memberOptions } from "../../examples/raftexample/options.ts";
import { Runner } from "../../examples/raftexample/runner.ts";

const CLUSTER = "http://127.0.0.1:12379,http://127.0.0.1:22379,http://127.0.0.1:32379";

test("the flags are raftexample's, with its defaults", () => {
  expect(memberOptions([])).toMatchObject({
    port: 9_121,
    replica: { id: "1", listen: "127.0.0.1:9021", dataDir: "raftexample-1" },
  });
  const second = memberOptions(["--id", "2", "--cluster", CLUSTER, "--port", "22380"]);
  expect(second).toMatchObject({
    host: "127.0.0.1",
    port: 22_380,
    replica: {
      id: "2",
      listen: "127.0.0.1:22379",
      start: { members: [{ id: "1", address: "127.0.0.1:12379" }, { id: "2" }, { id: "3" }] },
      snapshot: { entries: 10_000 },
    },
  });
  const joining = memberOptions(["--id", "3", "--cluster", CLUSTER, "--join"]);
  expect(joining.replica.start).toEqual({ join: ["127.0.0.1:12379", "127.0.0.1:22379"] });
});

test.each([
  [["--id", "4", "--cluster", CLUSTER], /--id 4 must be a place in --cluster, which lists 3/],
  [["--id", "one"], /--id one must be a place in --cluster/],
  [["--cluster", "127.0.0.1:12379"], /a peer is a URL as http:\/\/127\.0\.0\.1:12379, not "127/],
  [["--port", "http"], /--port is a number, not http/],
  [["--joins"], /Unknown option '--joins'; there are --id, --cluster, --port and --join/],
])("%s is refused by name", (args, message) => {
  expect(() => memberOptions(args)).toThrow(QuorateError);
  expect(() => memberOptions(args)).toThrow(message);
});

test("what was stored comes back from a snapshot, whatever bytes it was", async () => {
  await using cluster = await testCluster({ machine: () => new KeyValues() });
  const leader = await cluster.leader();
  const value = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));
  await leader.replica.write({ type: "put", key: "/k", value });
  await leader.replica.snapshot();
  leader.crash();
  await leader.start();
  await cluster.leader();
  await cluster.until(() => leader.replica.status().leader !== undefined);
  expect(await leader.replica.read({ type: "get", key: "/k" })).toBe(value);
});

test("the runner starts, stops and names what a Procfile lists", async () => {
  const lines: string[] = [];
  const procfile = "# both\na: sh -c 'echo serving; exec sleep 30'\nb: echo serving\n";
  const runner = new Runner(procfile, (name, line) => lines.push(`${name} ${line}`));
  expect(runner.names).toEqual(["a", "b"]);
  await runner.startAll();
  const has = (text: string): boolean => lines.some((line) => line.startsWith(text));
  while (!has("a serving") || !has("b has ended")) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(await runner.run("stop", "a")).toBe("a is stopped");
  expect(lines).toEqual(expect.arrayContaining(["a serving", "b serving"]));
  await expect(runner.run("stop", "c")).rejects.toThrow('there is no "c"; there are a, b');
  await expect(runner.run("hop", "a")).rejects.toThrow(/none of start, stop, restart, status/);
  expect(await runner.run("start", "a")).toMatch(/^a runs, pid \d+$/);
  expect(await runner.run("status", "")).toMatch(/^a runs, pid \d+\nb is stopped$/);
  await runner.stopAll();
  await runner.ended;
  expect(lines.at(-1)).toBe("a has ended with SIGTERM");
});
