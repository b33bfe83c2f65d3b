import { expect, test } from "vitest";
import { TestNetwork } from "./core-harness.ts";

test("three members elect a leader and replicate", () => {
  const network = new TestNetwork();
  const leader = network.elect();
  network.propose(leader.id, "a", "b");
  network.propose(leader.id, "c");
  network.run(50);
  for (const node of network.nodes.values()) expect(node.texts).toEqual(["a", "b", "c"]);
  for (const id of network.nodes.keys()) {
    const context = network.read(id);
    network.run(10);
    expect(network.outcome(id, context)?.status).toBe("ok");
  }
});
