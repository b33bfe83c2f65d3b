/**
 * `quorate-server/client` is made for browsers as well: bundled for one it needs no module of Node,
 * and it works in a world that has what the web platform has and nothing else.
 */
import { resolve } from "node:path";
import { createContext, runInContext } from "node:vm";
import type { connect } from "quorate-server/client";
import { rolldown } from "rolldown";
import { expect, test } from "vitest";

const ENTRY = resolve(import.meta.dirname, "../../packages/server/src/client/index.ts");
const BYTES_MAX = 40_000;

/** What the client may use of a page. */
const WEB = {
  AbortController,
  Headers,
  TextDecoder,
  TextEncoder,
  URL,
  URLSearchParams,
  atob,
  clearTimeout,
  crypto,
  performance,
  setTimeout,
};

test("the bundle for a browser imports nothing, is small, and works on a page", async () => {
  const warnings: string[] = [];
  const bundle = await rolldown({
    input: ENTRY,
    platform: "browser",
    onLog: (_level, { message }) => {
      warnings.push(message);
    },
  });
  const { output } = await bundle.generate({ format: "iife", name: "client" });
  await bundle.close();
  const [{ code, imports, dynamicImports }] = output;
  expect([warnings, imports, dynamicImports, output.length]).toEqual([[], [], [], 1]);
  expect(code.match(/^\s*import\b|\b(?:import|require)\s*\(|["']node:[a-z]/gm)).toBeNull();
  expect(code.length).toBeLessThan(BYTES_MAX);

  const asked: string[] = [];
  const answer = async (url: string, init: RequestInit): Promise<Response> => {
    asked.push(`${init.method} ${url.replace(/timeoutMs=\d+/, "timeoutMs=")}`);
    if (asked.length === 1) throw new TypeError("Failed to fetch");
    if (init.method === "PUT") return Response.json({ key: "k", revision: 7, created: true });
    return new Response("hello", { headers: { "x-quorate-revision": "7" } });
  };
  const world = createContext({ ...WEB, fetch: answer });
  expect(runInContext("typeof process + typeof Buffer + typeof require", world)).toBe(
    "undefined".repeat(3),
  );
  const client = runInContext(`${code}\n;client;`, world) as { readonly connect: typeof connect };
  const kv = client.connect({ endpoints: ["http://127.0.0.1:10091"] });
  expect(await kv.put("k", "hello")).toMatchObject({ revision: 7 });
  expect((await kv.get("k"))?.text()).toBe("hello");
  expect(asked).toEqual([
    "PUT http://127.0.0.1:10091/kv?key=k&timeoutMs=",
    "PUT http://127.0.0.1:10091/kv?key=k&timeoutMs=",
    "GET http://127.0.0.1:10091/kv?key=k&timeoutMs=",
  ]);
});
