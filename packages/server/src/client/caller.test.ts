/**
 * How a call finds a member that answers: on a fetch that is told what to come to, endpoint by
 * endpoint. What matters is that a write is never sent again without its name, and that the end
 * says no more than is known.
 */
import { describe, expect, test } from "vitest";
import { ClientError, connect } from "./index.ts";
import type { ConnectOptions, KvClient } from "./index.ts";

/** What an endpoint does with a request. */
type Reaction =
  | "refuse"
  | "break"
  | "hang"
  | {
      readonly error: string;
      readonly status: number;
      readonly outcome?: string;
      revision?: number;
    }
  | { readonly put: number }
  | { readonly raw: string; readonly status: number };

interface Seen {
  readonly at: string;
  readonly method: string;
  readonly path: string;
  readonly name: string | null;
}

/** A network of endpoints a, b, c …, each with its reactions in turn; the last one stays. */
class FakeNetwork {
  readonly seen: Seen[] = [];
  readonly #reactions = new Map<string, Reaction[]>();
  readonly #members = new Map<string, string>();
  leader: string | undefined;

  on(host: string, ...reactions: Reaction[]): this {
    this.#reactions.set(host, reactions);
    this.#members.set(host, `n${host}`);
    return this;
  }

  readonly fetch = async (input: string, init: RequestInit): Promise<Response> => {
    const { hostname, pathname } = new URL(input);
    const name = new Headers(init.headers).get("idempotency-key");
    this.seen.push({ at: hostname, method: init.method ?? "", path: pathname, name });
    const list = this.#reactions.get(hostname)!;
    const reaction = list.length > 1 ? list.shift()! : list[0]!;
    if (reaction === "hang") return new Promise(() => {});
    if (reaction === "refuse") throw failed("ECONNREFUSED");
    if (reaction === "break") throw failed("ECONNRESET");
    const headers = new Headers({ "x-quorate-member": this.#members.get(hostname)! });
    if (this.leader !== undefined) headers.set("x-quorate-leader", this.leader);
    if ("raw" in reaction) return new Response(reaction.raw, { status: reaction.status, headers });
    if ("put" in reaction) {
      const body = { key: "k", revision: reaction.put, created: true };
      return new Response(JSON.stringify(body), { headers });
    }
    const { error: code, status, outcome = "not-done", revision } = reaction;
    const error = { code, message: `it is ${code}`, retryable: status === 503, outcome, revision };
    return new Response(JSON.stringify({ error }), { status, headers });
  };

  get order(): string {
    return this.seen.map(({ at }) => at).join("");
  }
}

function failed(code: string): Error {
  return new TypeError("fetch failed", { cause: Object.assign(new Error(code), { code }) });
}

function clientOn(
  network: FakeNetwork,
  hosts: string,
  more: Partial<ConnectOptions> = {},
): KvClient {
  return connect({
    endpoints: hosts.split("").map((host) => `http://${host}`),
    fetch: network.fetch as unknown as typeof fetch,
    order: "given",
    timeoutMs: 1_000,
    ...more,
  });
}

async function endOf(promise: Promise<unknown>): Promise<ClientError> {
  try {
    await promise;
  } catch (error) {
    if (ClientError.is(error)) return error;
    throw error;
  }
  throw new Error("want a failure");
}

const NO_LEADER = { error: "NO_LEADER", status: 503 } as const;
const UNKNOWN = { error: "OUTCOME_UNKNOWN", status: 504, outcome: "unknown" } as const;

describe("a write", () => {
  test("goes on to the next endpoint under the same name, whatever happened to it", async () => {
    const removed = { error: "REMOVED", status: 410 } as const;
    for (const reaction of ["refuse", "break", NO_LEADER, UNKNOWN, removed] as const) {
      const network = new FakeNetwork().on("a", reaction).on("b", { put: 7 });
      const result = await clientOn(network, "ab").put("k", "v");
      expect(result).toEqual({ key: "k", revision: 7, created: true });
      const names = network.seen.map(({ name }) => name);
      expect(network.order).toBe("ab");
      expect(names[0]).toMatch(/^[0-9a-f]{32}$/);
      expect(names[1]).toBe(names[0]);
    }
  });

  test("has another name each time, or the one that is given", async () => {
    const network = new FakeNetwork().on("a", { put: 1 });
    const client = clientOn(network, "a");
    await client.put("k", "v");
    await client.put("k", "v");
    await client.put("k", "v", { idempotencyKey: "mine" });
    await client.delete("k", { idempotencyKey: "mine,too" });
    const names = network.seen.map(({ name }) => name);
    expect(new Set(names).size).toBe(4);
    expect(names.slice(2)).toEqual(["mine", "mine,too"]);
  });

  test("goes round after round, and ends unknown where anything of it may have happened", async () => {
    const network = new FakeNetwork().on("a", "break", NO_LEADER).on("b", NO_LEADER);
    const error = await endOf(clientOn(network, "ab", { timeoutMs: 300 }).put("k", "v"));
    expect([error.code, error.outcome]).toEqual(["OUTCOME_UNKNOWN", "unknown"]);
    expect(error.message).toContain("connection broke");
    expect(network.seen.length).toBeGreaterThan(4);
    const sure = new FakeNetwork().on("a", "refuse").on("b", NO_LEADER);
    const known = await endOf(clientOn(sure, "ab", { timeoutMs: 300 }).put("k", "v"));
    expect([known.code, known.outcome, known.retryable]).toEqual(["NO_LEADER", "not-done", true]);
  });

  test("a refusal after a doubt does not take the doubt back, an outcome of its name does", async () => {
    const refused = { error: "VALUE_TOO_LARGE", status: 413 } as const;
    const network = new FakeNetwork().on("a", "break").on("b", refused);
    const doubtful = await endOf(clientOn(network, "ab").put("k", "v"));
    expect([doubtful.code, doubtful.outcome]).toEqual(["VALUE_TOO_LARGE", "unknown"]);
    const conflict = { error: "PRECONDITION_FAILED", status: 412, revision: 3 } as const;
    const other = new FakeNetwork().on("a", "break").on("b", conflict);
    const settled = await endOf(clientOn(other, "ab").put("k", "v", { ifRevision: 2 }));
    expect([settled.code, settled.outcome, settled.revision]).toEqual([
      "PRECONDITION_FAILED",
      "not-done",
      3,
    ]);
    const swap = new FakeNetwork().on("a", "break").on("b", conflict);
    expect(await clientOn(swap, "ab").compareAndSet("k", 2, "v")).toEqual({
      swapped: false,
      revision: 3,
    });
  });

  test("is not sent again where the call itself is wrong", async () => {
    const network = new FakeNetwork().on("a", { error: "KEY_INVALID", status: 400 });
    const error = await endOf(clientOn(network.on("b", { put: 1 }), "ab").put("", "v"));
    expect([error.code, error.status, network.order]).toEqual(["KEY_INVALID", 400, "a"]);
  });

  test("goes to the leader once it is known, and elsewhere when that one is gone", async () => {
    const page = { raw: '{"cluster":{},"member":{},"members":[]}', status: 200 };
    const network = new FakeNetwork().on("a", { put: 1 }).on("c", { put: 3 });
    network.on("b", page, { put: 2 }, "break", { put: 4 });
    network.leader = "nb";
    const client = clientOn(network, "abc");
    await client.put("k", "v"); // a says that nb leads, and nobody knows yet where that is
    await client.status({ endpoint: "http://b" });
    for (let i = 0; i < 3; i++) await client.put("k", "v");
    expect(network.order).toBe("abbbaa");
  });
});

describe("a read", () => {
  test("is asked elsewhere after any failure, and ends by what was said last", async () => {
    const network = new FakeNetwork()
      .on("a", "break")
      .on("b", { error: "KEY_NOT_FOUND", status: 404 });
    expect(await clientOn(network, "ab").get("k")).toBeUndefined();
    expect(network.order).toBe("ab");
    const lost = new FakeNetwork().on("a", "break");
    const error = await endOf(clientOn(lost, "a", { timeoutMs: 200 }).get("k"));
    expect([error.code, error.outcome, error.retryable]).toEqual(["TIMEOUT", "not-done", true]);
  });

  test("stays with who answered, and comes back to who failed last of all", async () => {
    const missing = { error: "KEY_NOT_FOUND", status: 404 } as const;
    const network = new FakeNetwork().on("a", "refuse", missing).on("b", missing).on("c", missing);
    const client = clientOn(network, "abc");
    for (let i = 0; i < 3; i++) await client.get("k");
    expect(network.order).toBe("abbb");
  });
});

describe("a call without a name", () => {
  test("is sent again only where it is certain that nothing was done", async () => {
    const network = new FakeNetwork().on("a", "refuse").on("b", NO_LEADER);
    network.on("c", { raw: '{"leader":"n2"}', status: 200 });
    expect(await clientOn(network, "abc").transfer("n2")).toBe("n2");
    for (const reaction of ["break", UNKNOWN] as const) {
      const doubtful = new FakeNetwork().on("a", reaction).on("b", { put: 1 });
      const error = await endOf(clientOn(doubtful, "ab").transfer("n2"));
      expect([error.code, error.outcome]).toEqual(["OUTCOME_UNKNOWN", "unknown"]);
      expect(doubtful.order).toBe("a");
    }
  });
});

describe("every call ends", () => {
  test("in time, although fetch never does", async () => {
    const network = new FakeNetwork().on("a", "hang");
    const client = clientOn(network, "a", { timeoutMs: 150 });
    const startMs = performance.now();
    const [write, read] = await Promise.all([endOf(client.put("k", "v")), endOf(client.get("k"))]);
    expect([write.code, write.outcome]).toEqual(["OUTCOME_UNKNOWN", "unknown"]);
    expect([read.code, read.outcome]).toEqual(["TIMEOUT", "not-done"]);
    expect(performance.now() - startMs).toBeLessThan(1_000);
  });

  test("and a member that hangs leaves the others their time", async () => {
    const network = new FakeNetwork().on("a", "hang").on("b", "hang").on("c", { put: 5 });
    const client = clientOn(network, "abc", { attemptTimeoutMs: 100 });
    expect(await client.put("k", "v")).toMatchObject({ revision: 5 });
    expect(network.order).toBe("abc");
  });

  test("by the caller's signal, and says what may have happened by then", async () => {
    const network = new FakeNetwork().on("a", "hang");
    const client = clientOn(network, "a");
    const controller = new AbortController();
    const { signal } = controller;
    const calls = [client.put("k", "v", { signal }), client.get("k", { signal })].map(endOf);
    controller.abort(new Error("enough"));
    const [write, read] = await Promise.all(calls);
    expect([write?.code, write?.outcome]).toEqual(["OUTCOME_UNKNOWN", "unknown"]);
    expect([read?.code, read?.outcome]).toEqual(["ABORTED", "not-done"]);
    expect(read?.cause).toMatchObject({ message: "enough" });
    network.seen.length = 0;
    expect((await endOf(client.put("k", "v", { signal }))).code).toBe("ABORTED");
    expect(network.seen).toEqual([]);
  });

  test("when the client is closed", async () => {
    const network = new FakeNetwork().on("a", "hang");
    const client = clientOn(network, "a");
    const calls = [client.put("k", "v"), client.get("k")].map(endOf);
    client.close();
    const [write, read] = await Promise.all(calls);
    expect([write?.code, write?.outcome]).toEqual(["OUTCOME_UNKNOWN", "unknown"]);
    expect([read?.code, read?.outcome]).toEqual(["CLOSED", "not-done"]);
    network.seen.length = 0;
    expect((await endOf(client.put("k", "v"))).code).toBe("CLOSED");
    expect(network.seen).toEqual([]);
  });

  test("without a warning of a leak, however many wait at a time", async () => {
    const warnings: Error[] = [];
    const warned = (warning: Error): void => void warnings.push(warning);
    process.on("warning", warned);
    const network = new FakeNetwork().on("a", "hang");
    const client = clientOn(network, "a");
    const calls = Array.from({ length: 50 }, () => endOf(client.put("k", "v")));
    client.close();
    await Promise.all(calls);
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", warned);
    expect(warnings).toEqual([]);
  });

  test("at once where nobody can be reached, if that is wished", async () => {
    const network = new FakeNetwork().on("a", "refuse").on("b", "refuse");
    const error = await endOf(clientOn(network, "ab", { whenUnreachable: "fail" }).put("k", "v"));
    expect([error.code, error.outcome, network.order]).toEqual(["UNREACHABLE", "not-done", "ab"]);
    const patient = await endOf(clientOn(network, "ab", { timeoutMs: 200 }).put("k", "v"));
    expect(patient.code).toBe("UNREACHABLE");
    // Both were asked by the first client, both by the second, and then again.
    expect(network.seen.length).toBeGreaterThan(4);
  });
});

describe("strangers", () => {
  test("are no members, and what they did to a write is not known", async () => {
    for (const raw of ["hi", "null", "{}", '{"error":{"code":7}}']) {
      const network = new FakeNetwork().on("a", { raw, status: 200 });
      const error = await endOf(clientOn(network, "a").put("k", "v"));
      expect([error.code, error.outcome]).toEqual(["INTERNAL", "unknown"]);
      expect(error.message).toContain("no member of ours");
      expect((await endOf(clientOn(network, "a").get("k"))).code).toBe("INTERNAL");
    }
    const proxy = new FakeNetwork().on("a", { raw: "<html>", status: 502 }, { put: 1 });
    expect(await clientOn(proxy, "a").put("k", "v")).toMatchObject({ revision: 1 });
  });
});

describe("options", () => {
  test("that make no sense are refused and named, before anything is sent", async () => {
    const wrong: [Partial<ConnectOptions>, RegExp][] = [
      [{ endpoints: [] }, /endpoints must name/],
      [{ endpoints: ["ftp://x"] }, /"ftp:\/\/x" is no endpoint/],
      [{ endpoints: ["http://x/path"] }, /is no endpoint/],
      [{ endpoints: [7 as unknown as string] }, /is no endpoint/],
      [{ timeoutMs: 0 }, /timeoutMs must be 1 to 60000/],
      [{ attemptTimeoutMs: 60_001 }, /attemptTimeoutMs must be/],
      [{ order: "best" as "given" }, /order must be/],
      [{ whenUnreachable: "cry" as "fail" }, /whenUnreachable must be/],
    ];
    const network = new FakeNetwork().on("a", { put: 1 });
    for (const [options, message] of wrong) {
      expect(() => clientOn(network, "a", options)).toThrow(message);
    }
    const client = clientOn(network, "a");
    const calls: Promise<unknown>[] = [
      client.put("k", "v", { ifAbsent: true, ifRevision: 3 }),
      client.put("k", "v", { ifRevision: 0 }),
      client.put("k", "v", { ifRevision: 1.5 }),
      client.put("k", "v", { idempotencyKey: "a b" }),
      client.put("k", { json: undefined }),
      client.put("k", 7 as unknown as string),
      client.put("k", "v", { timeoutMs: Number.NaN }),
    ];
    for (const call of calls) expect((await endOf(call)).code).toBe("OPTION_INVALID");
    expect(network.seen).toEqual([]);
    expect(clientOn(network, "a", { endpoints: ["a:1", "http://a:1/"] }).endpoints).toEqual([
      "http://a:1",
    ]);
  });
});
