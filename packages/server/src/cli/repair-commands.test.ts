/**
 * `quorate doctor` and `quorate recover` on real directories, with a terminal of strings.
 */
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openReplica } from "quorate";
import type { Replica } from "quorate";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { takePort } from "../../../../test/harness/ports.ts";
import { runCli } from "./program.ts";

let root: string;
/** Directories of a cluster of three that was stopped. */
let original: string;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "quorate-repair-"));
  original = join(root, "original");
  const ports = await Promise.all([takePort(), takePort(), takePort()]);
  const members = ports.map((port, i) => ({ id: `n${i + 1}`, address: `127.0.0.1:${port}` }));
  const nodes = await Promise.all(members.map(({ id }) => open(id, original, members)));
  await Promise.all(nodes.map((node) => node.leader()));
  await nodes[0]!.write("one");
  await nodes[0]!.write("two");
  await Promise.all(nodes.map((node) => node.close({ handOver: false })));
}, 30_000);

afterAll(() => rmSync(root, { recursive: true }));

function open(
  id: string,
  directory: string,
  members: { id: string; address: string }[],
): Promise<Replica<string, string>> {
  const { address } = members.find((member) => member.id === id)!;
  let all = "";
  return openReplica<string, string>({
    id,
    listen: address,
    dataDir: join(directory, id),
    segmentBytes: 1_048_576,
    start: { members },
    machine: {
      apply: (text) => (all += text),
      query: () => all,
      snapshot: () => all,
      restore: async () => {},
    },
  });
}

/** A copy of all directories, to be damaged. */
function copied(name: string): string {
  const copy = join(root, name);
  cpSync(original, copy, { recursive: true });
  return copy;
}

async function run(args: readonly string[], typed?: string) {
  let out = "";
  let err = "";
  async function* stdin(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(typed ?? "");
  }
  const code = await runCli(args, {
    stdin: Object.assign(stdin(), { isTTY: typed !== undefined }),
    stdout: { columns: 98, write: (chunk: string | Uint8Array) => (out += String(chunk)) },
    stderr: { columns: 98, write: (chunk: string | Uint8Array) => (err += String(chunk)) },
    env: {},
  });
  return { code, out, err };
}

/** Everything about the files that looking must not change. */
function traceOf(directory: string): unknown {
  const names = readdirSync(directory, { recursive: true, encoding: "utf8" }).sort();
  return names.map((name) => {
    const path = join(directory, name);
    const stats = statSync(path);
    const content = stats.isFile() ? readFileSync(path).toString("base64") : "";
    return [name, stats.mtimeMs, stats.size, stats.ino, stats.mode, content];
  });
}

describe("quorate doctor", () => {
  test("shows a healthy directory and changes not a byte, name or time of it", async () => {
    const directory = join(original, "n1");
    const before = traceOf(directory);
    const { code, out, err } = await run(["doctor", directory]);
    expect(traceOf(directory)).toEqual(before);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain(`${directory}: healthy`);
    expect(out).toMatch(/member +n1\n/);
    expect(out).toMatch(/cluster +[0-9a-f]{32}\n/);
    expect(out).toMatch(/entries +1 to \d+\n/);
    expect(out).toMatch(/n3 +voter +127\.0\.0\.1:\d+ +[0-9a-f]{32}/);
    expect(out).toMatch(/0{19}1\.log +log +1024 KiB +\d+/);
  });

  test("says all of it as JSON", async () => {
    const { code, out } = await run(["doctor", join(original, "n2"), "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      health: "healthy",
      identity: { id: "n2", state: "formed" },
      findings: [],
    });
  });

  test("names damage with file and offset, says what to do, and ends with 6", async () => {
    const directory = join(copied("rotten"), "n1");
    const path = join(directory, "log", "00000000000000000001.log");
    const bytes = readFileSync(path);
    bytes[1_700]! ^= 1;
    writeFileSync(path, bytes);
    const before = traceOf(directory);
    const { code, out } = await run(["doctor", directory]);
    expect(traceOf(directory)).toEqual(before);
    expect(code).toBe(6);
    expect(out).toContain(": damaged");
    expect(out).toMatch(/damage: LOG_DAMAGED, .*0001\.log at offset \d+\n/);
    expect(out).toMatch(/→ Nothing may be cut here/);
  });

  test("of a directory that is not there, is another's, or is a file ends with 6", async () => {
    expect(await run(["doctor", join(root, "nowhere")])).toMatchObject({
      code: 6,
      out: expect.stringContaining("ABSENT"),
    });
    const other = await run(["doctor", join(original, "n1"), "--id", "n2"]);
    expect(other.code).toBe(6);
    expect(other.out).toContain("belongs to member n1, not to n2");
    const file = await run(["doctor", join(original, "n1", "identity.json")]);
    expect(file).toMatchObject({ code: 6, out: expect.stringContaining("UNREADABLE") });
  });
});

describe("quorate recover", () => {
  test("prints what may be lost and changes nothing unless it is confirmed", async () => {
    const directory = join(original, "n1");
    const before = traceOf(directory);
    const { code, out, err } = await run(["recover", directory]);
    expect(code).toBe(2);
    expect(out).toMatch(/goes on +n1 +voter/);
    expect(out.replaceAll(/\s+/g, " ")).toContain(
      "Writes may be LOST although they were acknowledged",
    );
    expect(err).toMatch(/nothing was changed; .*--confirm [0-9a-f]{32}/);
    const wrong = await run(["recover", directory, "--confirm", "yes"]);
    expect(wrong.code).toBe(2);
    const nothing = await run(["recover", directory], "\n");
    expect(nothing.code).toBe(2);
    const otherwise = await run(["recover", directory], "no thanks\n");
    expect(otherwise.code).toBe(2);
    expect(traceOf(directory)).toEqual(before);
  });

  test("refuses a majority, and a directory that is damaged", async () => {
    const both = await run(["recover", join(original, "n1"), join(original, "n2")]);
    expect(both.code).toBe(6);
    expect(both.err).toContain("no quorum is lost");
    const copy = copied("nameless");
    rmSync(join(copy, "n1", "identity.json"));
    expect((await run(["recover", join(copy, "n1")])).err).toContain("cannot be recovered from");
  });

  test("goes on with one member where the id is typed, and doctor tells of it", async () => {
    const directory = join(copied("typed"), "n2");
    const plan = await run(["recover", directory, "--json"]);
    const { clusterId } = (JSON.parse(plan.out) as { plan: { clusterId: string } }).plan;
    const { code, out } = await run(["recover", directory], `${clusterId}\n`);
    expect(code).toBe(0);
    expect(out).toMatch(/n2 is the only member of cluster [0-9a-f]{32} now/);
    expect(out).toContain("(before: n1, n3)");
    const after = await run(["doctor", directory]);
    expect(after.code).toBe(0);
    expect(after.out).toMatch(new RegExp(`recovered from +${clusterId}`));
    expect(existsSync(join(directory, "identity.json.tmp"))).toBe(false);
  });
});
