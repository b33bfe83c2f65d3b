import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { QuorateError } from "quorate";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { memberConfig } from "./member-config.ts";
import type { MemberConfig } from "./member-config.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "quorate-config-"));
});

afterEach(() => rmSync(directory, { recursive: true }));

function resolve(
  flags: Record<string, unknown> = {},
  env: Record<string, string> = {},
): MemberConfig {
  return memberConfig({ flags, env });
}

function problemOf(flags: Record<string, unknown>, env: Record<string, string> = {}): string {
  try {
    resolve(flags, env);
  } catch (error) {
    expect(QuorateError.is(error) && error.code).toBe("OPTION_INVALID");
    return (error as Error).message;
  }
  return expect.unreachable("it was accepted");
}

function fileWith(content: unknown): string {
  const path = join(directory, "quorate.json");
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

describe("the configuration of a member", () => {
  test("is complete without a single option", () => {
    expect(resolve()).toMatchObject({
      id: "127.0.0.1:9091",
      listen: "127.0.0.1:9091",
      http: "127.0.0.1:10091",
      data: join("data", "127.0.0.1_9091"),
      electionTimeoutMs: 1_000,
      heartbeatIntervalMs: 100,
      valueBytesMax: 1_048_576,
      start: undefined,
      exposed: [],
      insecure: false,
      logFormat: "auto",
    });
  });

  test("a flag wins over a variable, a variable over the file, the file over the default", () => {
    const config = fileWith({
      electionTimeoutMs: 300,
      callTimeoutMs: 300,
      keyBytesMax: 300,
      id: "f",
    });
    const env = {
      QUORATE_ELECTION_TIMEOUT_MS: "200",
      QUORATE_CALL_TIMEOUT_MS: "200",
      QUORATE_ID: "",
    };
    const resolved = resolve({ config, electionTimeoutMs: "100" }, env);
    expect(resolved).toMatchObject({
      electionTimeoutMs: 100,
      callTimeoutMs: 200,
      keyBytesMax: 300,
      segmentBytes: 16_777_216,
      id: "f",
    });
    expect(resolve({}, { QUORATE_CONFIG: config }).keyBytesMax).toBe(300);
  });

  test("takes origins as browsers write them, and nothing else", () => {
    const corsOrigins = "https://app.example,http://127.0.0.1:10091";
    expect(resolve({ corsOrigins }).corsOrigins).toBe(corsOrigins);
    for (const wrong of [
      "*",
      "app.example",
      "https://app.example/",
      "https://app.example:443",
      "file:///x",
    ]) {
      expect(problemOf({ corsOrigins: wrong })).toContain(`${JSON.stringify(wrong)} is no origin`);
    }
  });

  test("reads lists of members and flags in every form", () => {
    const members = "n1=127.0.0.1:9091,n2=[::1]:9092";
    expect(resolve({ id: "n1", members }).start).toEqual({
      members: [
        { id: "n1", address: "127.0.0.1:9091" },
        { id: "n2", address: "[::1]:9092" },
      ],
    });
    for (const env of ["true", "1"]) {
      expect(resolve({}, { QUORATE_BOOTSTRAP: env }).start).toEqual({ bootstrap: true });
    }
    expect(resolve({}, { QUORATE_BOOTSTRAP: "0" }).start).toBeUndefined();
    expect(resolve({ config: fileWith({ bootstrap: true }) }).start).toEqual({ bootstrap: true });
  });

  test("names what is wrong and where it was said", () => {
    const cases: [Record<string, unknown>, string][] = [
      [{ electionTimeoutMs: "3" }, '--election-timeout "3" must be an integer from 50 to 60000'],
      [{ electionTimeoutMs: "1e3" }, "must be an integer"],
      [{ listen: "localhost" }, '--listen "localhost" has no port'],
      [{ listen: "::1:9091" }, "IPv6 host in brackets"],
      [{ listen: "x:99999" }, "port above 65535"],
      [{ http: "http://x:1" }, "is a URL"],
      [{ logLevel: "loud" }, "must be one of trace, debug,"],
      [{ members: "n1=127.0.0.1:1,127.0.0.1:2" }, 'no id in "127.0.0.1:2"'],
      [{ members: "n1=127.0.0.1" }, '"n1=127.0.0.1" has no port'],
      [{ id: "n1", members: "a=127.0.0.1:1,b=127.0.0.1:2" }, "not this member, n1"],
      [{ bootstrap: true, members: "n1=127.0.0.1:1" }, "exclude each other"],
      [{ join: "127.0.0.1:1", wait: true }, "--join and --wait exclude each other"],
      [{ join: "127.0.0.1:1,nowhere" }, 'must be host:port,…; "nowhere"'],
      [{ join: "127.0.0.1:1", joinAs: "boss" }, "must be one of voter, learner"],
      [{ contacts: "127.0.0.1:1" }, "--contacts goes with --bootstrap"],
      [{ electionTimeoutMs: "100", heartbeatIntervalMs: "30" }, "at most a quarter"],
      [{ valueBytesMax: "8388608" }, "--segment-bytes of at least"],
      [{ listen: "127.0.0.1:65000" }, "say --http host:port"],
      [{ data: "" }, "--data"],
      [{ id: "a/b" }, '--id "a/b" must be 1 to 64 of'],
      [{ members: "a/b=127.0.0.1:1" }, 'no id in "a/b=127.0.0.1:1"'],
    ];
    for (const [flags, text] of cases) expect(problemOf(flags)).toContain(text);
    expect(problemOf({}, { QUORATE_KEY_BYTES_MAX: "x" })).toContain('QUORATE_KEY_BYTES_MAX "x"');
    expect(problemOf({}, { QUORATE_INSECURE: "maybe" })).toContain("must be true or false");
    const wrongType = fileWith({ id: 7 });
    expect(problemOf({ config: wrongType })).toContain(`"id" in ${wrongType} 7 must be text`);
  });

  test("refuses a file that is missing, malformed or has a key that does not exist", () => {
    expect(problemOf({ config: join(directory, "absent.json") })).toContain("absent.json");
    expect(problemOf({ config: fileWith("{") })).toContain("cannot read configuration");
    expect(problemOf({ config: fileWith([]) })).toContain("one JSON object");
    expect(problemOf({ config: fileWith({ electionTimeout: 1 }) })).toContain(
      'unknown option "electionTimeout"',
    );
    expect(problemOf({ config: fileWith({ electionTimeoutMS: 1 }) })).toContain(
      'did you mean "electionTimeoutMs"?',
    );
    expect(problemOf({ config: fileWith({ __proto__x: 1 }) })).toContain("known are id, listen");
    expect(problemOf({ config: fileWith('{"__proto__": 1}') })).toContain('"__proto__"');
  });

  test("does not listen beyond this machine by accident", () => {
    for (const flags of [
      { listen: "0.0.0.0:9091" },
      { http: "192.168.1.5:80" },
      { http: "[::]:80" },
    ]) {
      expect(problemOf(flags)).toContain("--insecure");
      expect(resolve({ ...flags, insecure: true }).exposed.length).toBeGreaterThan(0);
    }
    for (const host of ["localhost", "127.8.9.10", "[::1]", "[0:0:0:0:0:0:0:1]"]) {
      expect(resolve({ listen: `${host}:9091` }).exposed).toEqual([]);
    }
  });
});
