/**
 * examples/http-join without processes: its variables and what it says of mistakes, its store over
 * snapshots.
 */
import { QuorateError } from "quorate";
import { testCluster } from "quorate/sim";
import { expect, test } from "vitest";
import { nodeOptions } from "../../examples/http-join/environment.ts";
import { Store } from "../../examples/http-join/store.ts";

const ENVIRONMENT = {
  PATH: "/bin",
  HTTP_SERVER_PORT: "8001",
  RAFT_SERVER_PORT: "9001",
  RAFT_NODE_ID: "n2",
  RAFT_VOLUME_DIR: "/tmp/node2",
};

test("a node is what its variables say; without more it waits", () => {
  expect(nodeOptions(ENVIRONMENT)).toMatchObject({
    httpPort: 8_001,
    replica: {
      id: "n2",
      listen: "127.0.0.1:9001",
      dataDir: "/tmp/node2",
      start: { wait: true },
      snapshot: { entries: 1_024 },
    },
  });
  const first = nodeOptions({ ...ENVIRONMENT, RAFT_BOOTSTRAP: "true" });
  expect(first.replica.start).toEqual({ bootstrap: true });
});

test.each([
  [{ RAFT_NODE_ID: "" }, /RAFT_NODE_ID is not set; a node takes\n {2}HTTP_SERVER_PORT/],
  [{ HTTP_SERVER_PORT: "80800" }, /HTTP_SERVER_PORT is a port, not "80800"/],
  [{ RAFT_SERVER_PORT: "nine" }, /RAFT_SERVER_PORT is a port, not "nine"/],
  [{ RAFT_BOOTSTRAP: "yes" }, /RAFT_BOOTSTRAP is true or false/],
  [{ RAFT_NODEID: "n1" }, /there is no variable RAFT_NODEID/],
])("%o is refused by name", (more, message) => {
  expect(() => nodeOptions({ ...ENVIRONMENT, ...more })).toThrow(QuorateError);
  expect(() => nodeOptions({ ...ENVIRONMENT, ...more })).toThrow(message);
});

test("what was set comes back from a snapshot, and what was removed does not", async () => {
  await using cluster = await testCluster({ machine: () => new Store(), members: 1 });
  const only = await cluster.leader();
  await only.replica.write({ type: "set", key: "a", value: "1" });
  await only.replica.write({ type: "set", key: "b", value: "2" });
  expect(await only.replica.write({ type: "remove", key: "a" })).toBe(true);
  expect(await only.replica.write({ type: "remove", key: "a" })).toBe(false);
  await only.replica.snapshot();
  only.crash();
  await only.start();
  await cluster.leader();
  expect(await only.replica.read({ type: "get", key: "a" })).toBeUndefined();
  expect(await only.replica.read({ type: "get", key: "b" })).toBe("2");
});
