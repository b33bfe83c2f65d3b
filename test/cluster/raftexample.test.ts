/**
 * examples/raftexample: the walk-through of its README, command by command, on real processes; and
 * what it answers where etcd's did not tell the truth.
 */
import { expect, test } from "vitest";
import type { TestContext } from "vitest";
import { Example } from "../harness/example.ts";
import type { Replacement, Script } from "../harness/example.ts";
import { askForReply } from "../harness/http.ts";
import type { Ask } from "../harness/http.ts";
import { takePort } from "../harness/ports.ts";
import { waitUntil } from "../harness/wait.ts";

const WAIT_MS = 20_000;

test("the README of examples/raftexample: every command does what it says", async (context) => {
  const { example, ports } = await place(context);
  let cluster: Script | undefined;
  let single: Script | undefined;
  let fourth: Script | undefined;
  for (const { line, prints } of example.commands) {
    if (line === "./cluster start") {
      cluster = example.start(line);
      await serves(cluster, 3);
    } else if (line.startsWith("./raftexample ")) {
      const node = example.start(line);
      await node.says(/\bserving\b/, WAIT_MS);
      if (line.endsWith(" --join")) fourth = node;
      else single = node;
    } else if (line.startsWith("rm ")) {
      single!.signal("SIGINT");
      expect(await single!.ended).toEqual({ code: 0, signal: null });
      await example.run(line);
    } else {
      const output = await example.run(line);
      if (prints !== undefined) expect([line, output]).toEqual([line, prints]);
      else expect([line, output.match(/\[[A-Z_]+\]/)]).toEqual([line, null]);
    }
  }
  await cluster!.says(/^raftexample3 \| has ended with 0$/m, WAIT_MS);
  expect(cluster!.output).toMatch(/raftexample3 \| \S+ removed from the cluster, shutting down/);
  // What was written before anybody had it is there in the end.
  await waitUntil("the proposed value is there", WAIT_MS, async () => {
    return (await get(ports.http[3]!, "/my-key")).body === "fast";
  });
  expect(fourth!.running).toBe(true);
  expect(await example.run("./cluster run status")).toMatch(/raftexample3 is stopped/);
  await expect(example.run("./cluster run stop raftexample9")).rejects.toThrow(
    /there is no "raftexample9"; there are raftexample1, raftexample2, raftexample3/,
  );
  cluster!.signal("SIGINT");
  expect(await cluster!.ended).toEqual({ code: 0, signal: null });
});

test("no 204 without a majority, unless it is asked for; bytes come back as they went in", async (context) => {
  const { example, ports } = await place(context);
  const cluster = example.start("./cluster start");
  await serves(cluster, 3);
  const [first] = ports.http as [number];
  const bytes = "\u00e9\u0000\u20ac";
  expect((await put(first, "/a%20b?c=d", bytes)).status).toBe(204);
  expect(await get(first, "/a%20b?c=d")).toMatchObject({ status: 200, body: bytes });
  expect(await get(first, "/a%20b")).toMatchObject({ status: 404, body: "Failed to GET\n" });
  const bad = await askForReply({ port: first, method: "POST", path: "/x", body: "http://a:1" });
  expect([bad.status, bad.body]).toEqual([400, expect.stringContaining("/<id of a member>")]);
  const url = await askForReply({ port: first, method: "POST", path: "/4", body: "a:1" });
  expect([url.status, url.body]).toEqual([400, expect.stringContaining("a peer is a URL")]);
  const unknown = await askForReply({ port: first, method: "DELETE", path: "/9" });
  expect([unknown.status, unknown.body]).toEqual([404, expect.stringContaining("9")]);
  const method = await askForReply({ port: first, method: "PATCH" as Ask["method"], path: "/x" });
  expect([method.status, method.headers["allow"]]).toEqual([405, "PUT, GET, POST, DELETE"]);

  await example.run("./cluster run stop raftexample2");
  await example.run("./cluster run stop raftexample3");
  const refused = await put(first, "/my-key", "foo");
  expect([refused.status, refused.body]).toEqual([
    expect.any(Number),
    expect.stringMatching(/^\[/),
  ]);
  expect([503, 504]).toContain(refused.status);
  expect((await put(first, "/my-key?ack=proposed", "bar")).status).toBe(204);
  expect((await put(first, "/my-key", "bar", { prefer: "respond-async" })).status).toBe(204);
  expect((await get(first, "/a%20b?c=d")).status).toBe(503);
  // The option is part of no key: what is asked for is the key without it.
  expect((await get(first, "/my-key?local=true")).status).toBe(404);
});

test("any member adds and removes; a directory that was removed does not come back", async (context) => {
  const { example, ports } = await place(context);
  const cluster = example.start("./cluster start");
  await serves(cluster, 3);
  const [leader] = [/serving: (\d) leads/.exec(cluster.output)!].map((found) => Number(found[1]));
  const [asked, leaves] = [1, 2, 3].filter((id) => id !== leader) as [number, number];
  const at = (id: number): number => ports.http[id - 1]!;
  expect((await put(at(leader!), "/my-key", "foo")).status).toBe(204);
  const peer = example.here("http://127.0.0.1:42379");
  const add = { port: at(asked), method: "POST", path: "/4", body: peer } as const;
  expect(await askForReply(add)).toMatchObject({ status: 204, body: "" });
  const list = "http://127.0.0.1:12379,http://127.0.0.1:22379,http://127.0.0.1:32379";
  const joining = `--id 4 --cluster ${list},http://127.0.0.1:42379 --port 42380 --join`;
  const fourth = example.start(`./raftexample ${joining}`);
  await fourth.says(/\bserving\b/, WAIT_MS);
  expect(await get(at(4), "/my-key")).toMatchObject({ status: 200, body: "foo" });
  await fourth.says(/members: 1, 2, 3, 4$/m, WAIT_MS);
  expect((await askForReply(add)).status).toBe(409);

  const remove = { port: at(asked), method: "DELETE", path: `/${leaves}` } as const;
  expect((await askForReply(remove)).status).toBe(204);
  await cluster.says(new RegExp(`^raftexample${leaves} \\| has ended with 0$`, "m"), WAIT_MS);
  expect(await example.run(`./cluster run start raftexample${leaves}`)).toMatch(/is stopped$/);
  const refused = new RegExp(`^raftexample${leaves} \\| \\[REMOVED\\] .* was removed from`, "m");
  expect(cluster.output).toMatch(refused);
  expect(await example.run(`./cluster run restart raftexample${asked}`)).toMatch(/runs, pid/);
  expect(await get(at(asked), "/my-key")).toMatchObject({ status: 200, body: "foo" });
});

async function place(
  context: TestContext,
): Promise<{ readonly example: Example; readonly ports: { readonly http: readonly number[] } }> {
  const replacements: Replacement[] = [];
  const http: number[] = [];
  for (const n of [1, 2, 3, 4]) {
    replacements.push([new RegExp(`\\b${n}2379\\b`, "g"), `${await takePort()}`]);
    http.push(await takePort());
    replacements.push([new RegExp(`\\b${n}2380\\b`, "g"), `${http.at(-1)}`]);
  }
  const variables = { CLUSTER_PORT: `${await takePort()}` };
  return {
    example: new Example(context, "raftexample", { replacements, variables }),
    ports: { http },
  };
}

/** Waits until so many members can be used. */
async function serves(cluster: Script, count: number): Promise<void> {
  await waitUntil(`${count} members serve`, WAIT_MS, () => {
    return (cluster.output.match(/\bserving\b/g) ?? []).length >= count;
  });
}

function get(port: number, path: string): ReturnType<typeof askForReply> {
  return askForReply({ port, method: "GET", path, timeoutMs: 8_000 });
}

function put(
  port: number,
  path: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): ReturnType<typeof askForReply> {
  return askForReply({ port, method: "PUT", path, body, headers, timeoutMs: 8_000 });
}
