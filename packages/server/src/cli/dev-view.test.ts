import { expect, test } from "vitest";
import { planMembers } from "./dev-plan.ts";
import { DevView, linesToTry } from "./dev-view.ts";

const plans = planMembers({ nodes: 3, data: "./data", port: 9_091 });

test("the plan has members on consecutive ports, HTTP a thousand above", () => {
  expect(plans.map(({ id, rpc, http }) => [id, rpc, http])).toEqual([
    ["n1", "127.0.0.1:9091", "127.0.0.1:10091"],
    ["n2", "127.0.0.1:9092", "127.0.0.1:10092"],
    ["n3", "127.0.0.1:9093", "127.0.0.1:10093"],
  ]);
  expect(plans[0]!.args.join(" ")).toContain(
    "--members n1=127.0.0.1:9091,n2=127.0.0.1:9092,n3=127.0.0.1:9093",
  );
  const [single] = planMembers({ nodes: 1, data: "d", port: 1_234, httpPort: 80 });
  expect(single!.args).toContain("--bootstrap");
  expect(linesToTry([single!]).every((line) => line.includes("127.0.0.1:80"))).toBe(true);
});

test("the board names the leader and has lines to paste", () => {
  let text = "";
  const stdout = { write: (chunk: string | Uint8Array) => (text += String(chunk)) };
  const stdin = (async function* () {})();
  const view = new DevView({ stdin, stdout, stderr: stdout, env: {} });
  view.wait("starting");
  view.board(plans, "n2", 4, "./data");
  view.close();
  expect(text).toMatchInlineSnapshot(`
    "starting …

      member  peers           http                    role
      n1      127.0.0.1:9091  http://127.0.0.1:10091  follower
      n2      127.0.0.1:9092  http://127.0.0.1:10092  leader
      n3      127.0.0.1:9093  http://127.0.0.1:10093  follower

      n2 leads (term 4). Every member takes every request:

        curl -X PUT -d hello http://127.0.0.1:10091/kv/greeting
        curl http://127.0.0.1:10092/kv/greeting
        curl 'http://127.0.0.1:10093/kv?prefix=gre'
        curl -X DELETE http://127.0.0.1:10093/kv/greeting
        curl http://127.0.0.1:10091/status

      Data and logs are in ./data. Ctrl-C ends all members.

    "
  `);
});
