/**
 * The same inputs give the same outputs, byte for byte.
 *
 * Random faults drive a cluster; every input of every member is written down. The inputs are then
 * given to fresh cores, and their outputs are compared as bytes.
 */
import { expect, test } from "vitest";
import { toHex } from "../util/bytes.ts";
import { SeededRandom } from "../util/random.ts";
import { TestNetwork } from "./core-harness.ts";
import type { RaftInputs, RaftOptions, RecoveredGroup } from "./contract.ts";
import { EMPTY_GROUP } from "./contract.ts";
import { EntryBatch } from "./entry.ts";
import { configurationOf, raftOptions } from "./member-harness.ts";
import { Raft } from "./raft.ts";

type Call = (raft: RaftInputs) => unknown;

const options = {
  appendBytesMax: 200,
  inflightMessagesMax: 3,
  tailBytesMax: 500,
  tailSpareBytes: 200,
  electionTimeoutMs: 300,
  heartbeatIntervalMs: 30,
};
const voters = ["n1", "n2", "n3"];

function fresh(id: string): Raft {
  const recovered: RecoveredGroup = {
    ...EMPTY_GROUP,
    startConfiguration: { index: 0, configuration: configurationOf(voters) },
  };
  const all: RaftOptions = raftOptions(id, {
    ...options,
    random: new SeededRandom(voters.indexOf(id)),
  });
  return new Raft(all, recovered, 0);
}

/** What a member was given, and what it answered at that moment. */
interface Recording {
  readonly calls: Call[];
  readonly results: string[];
}

/** Replaces a member's core by one whose inputs and outputs are written down. */
function record(network: TestNetwork, id: string, { calls, results }: Recording): void {
  const raft = fresh(id);
  network.node(id).core = new Proxy(raft, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        calls.push((core) => Reflect.apply(Reflect.get(core, name) as () => unknown, core, args));
        const result: unknown = Reflect.apply(
          value as (...all: unknown[]) => unknown,
          target,
          args,
        );
        results.push(bytesOf(result));
        return result;
      };
    },
  });
}

/** A value as text, with the bytes of every batch in it. */
function bytesOf(value: unknown): string {
  const text: string | undefined = JSON.stringify(value, (_key, inner: unknown) =>
    inner instanceof EntryBatch ? { body: toHex(inner.body), crc: inner.crc } : inner,
  );
  return text ?? "undefined";
}

test("the same inputs give byte-identical outputs", { timeout: 60_000 }, () => {
  const network = new TestNetwork({ voters, persistence: "manual", jitterMs: 10, raft: options });
  const recordings = new Map<string, Recording>(
    voters.map((id) => [id, { calls: [], results: [] }]),
  );
  for (const [id, recording] of recordings) record(network, id, recording);
  const random = new SeededRandom(42);
  for (let i = 0; i < 1_500; i++) {
    const id = voters.at(random.below(3))!;
    const dice = random.below(60);
    if (dice < 15) network.propose(network.leader()?.id ?? id, `${i}`.repeat(1 + random.below(9)));
    else if (dice < 22) network.read(id);
    else if (dice === 22) network.isolate(network.leader()?.id ?? id);
    else if (dice === 23) network.heal();
    else if (dice === 24) network.drop = () => random.below(4) === 0;
    else if (dice === 25) network.drop = undefined;
    else if (dice === 26) network.transfer(network.leader()?.id ?? id, voters.at(random.below(4)));
    for (const member of voters) if (random.below(3) > 0) network.persist(member);
    network.run(random.below(20));
  }
  expect(network.leaders.size).toBeGreaterThan(5);
  expect(network.committed.size).toBeGreaterThan(50);
  for (const [id, { calls, results }] of recordings) {
    const raft = fresh(id);
    const replayed = calls.map((call) => call(raft));
    // Written down at the end: what was handed out must not have changed since.
    expect(replayed.map(bytesOf)).toEqual(results);
    expect(results.length).toBeGreaterThan(1_000);
  }
});
