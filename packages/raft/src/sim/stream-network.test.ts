import { describe, test } from "vitest";
import { transportSuite } from "../transport/transport-suite.ts";
import { NetworkWorld } from "./network-harness.ts";
import type { NetworkOptions } from "./options.ts";
import { StreamNetwork } from "./stream-network.ts";

function world(options: Partial<NetworkOptions> = {}, seed = 1): NetworkWorld {
  return new NetworkWorld((context) => new StreamNetwork(context), options, seed);
}

describe("what every transport does", () => {
  for (const one of transportSuite(() => world().suiteWorld())) test(one.name, () => one.run());
});
