/**
 * The program whose power is cut, on the level of the library: a replica that is a cluster of one,
 * under a load of concurrent writes.
 *
 *   recovered {...}            which commands are applied, by a linearizable read after the start
 *   ack <number>               the command was acknowledged
 */
import type { Returns, StateMachine } from "../../packages/raft/src/machine/state-machine.ts";
import { LIMITS } from "../../packages/raft/src/runtime/limits.ts";
import { nodeChecksum, nodeDigest } from "../../packages/raft/src/runtime/node-checksum.ts";
import { nodeClock } from "../../packages/raft/src/runtime/node-clock.ts";
import { nodeRandom } from "../../packages/raft/src/runtime/node-random.ts";
import { openReplicaWith } from "../../packages/raft/src/runtime/open-replica.ts";
import type { Replica } from "../../packages/raft/src/runtime/replica.ts";
import { TcpTransport } from "../../packages/raft/src/transport/node-tcp.ts";
import { begin, chosenDisk, failed, say } from "./program.ts";

const WRITERS = 16;

type Command = { readonly n: number; readonly padding: string } & Returns<number>;
type Query = "applied" & Returns<Applied>;

interface Applied {
  readonly ranges: readonly (readonly [number, number])[];
  readonly twice: readonly number[];
}

/** Remembers every command. */
class Recorder implements StateMachine<Command, Query> {
  readonly #numbers: Set<number> = new Set();
  readonly #twice: number[] = [];

  apply({ n }: Command): number {
    if (this.#numbers.has(n)) this.#twice.push(n);
    this.#numbers.add(n);
    return n;
  }

  query(): Applied {
    const ranges: [number, number][] = [];
    for (const n of [...this.#numbers].sort((a, b) => a - b)) {
      const last = ranges.at(-1);
      if (last !== undefined && last[1] === n - 1) last[1] = n;
      else ranges.push([n, n]);
    }
    return { ranges, twice: this.#twice };
  }

  snapshot(): unknown {
    return this.query();
  }

  restore(): Promise<void> {
    return Promise.reject(new Error("this program has no snapshots"));
  }
}

const disk = chosenDisk();
begin(run);

async function run(dataDir: string): Promise<void> {
  const listen = "127.0.0.1:0";
  const [clock, random, checksum] = [nodeClock, nodeRandom, nodeChecksum];
  const transport = new TcpTransport({ listen, clock, random, checksum, limits: LIMITS });
  const replica = await openReplicaWith<Command, Query>(
    { clock, random, checksum, digest: nodeDigest, disk, transport },
    {
      id: "n1",
      listen,
      dataDir,
      machine: new Recorder(),
      start: { bootstrap: true },
      segmentBytes: 1 << 20,
      commandBytesMax: 1 << 16,
    },
  );
  const found = await replica.read<Query>("applied");
  say(`recovered ${JSON.stringify(found)}`);
  let next = (found.ranges.at(-1)?.[1] ?? 0) + 1;
  for (let i = 0; i < WRITERS; i++) write(replica, () => next++).catch(failed);
}

async function write(replica: Replica<Command, Query>, next: () => number): Promise<never> {
  for (;;) {
    const n = next();
    const answer = await replica.write<Command>({ n, padding: "x".repeat((n * 37) % 900) });
    if (answer !== n) say(`wrong answer ${answer} to command ${n}`);
    say(`ack ${n}`);
  }
}
