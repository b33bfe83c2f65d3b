/**
 * Snapshots on their way: whose bytes a receiver goes on with, and what a writer is told whose
 * member was brought forward by one.
 */
import { Director } from "quorate/sim";
import type { RunSubject } from "quorate/sim";
import type { Scenario } from "../scenario.ts";

/** Stories of snapshots that travel. */
export const scenarios: readonly Scenario[] = [
  {
    name: "another-snapshot-of-the-same-place",
    text: "A part of one snapshot is not gone on with by another one of the same place and length.",
    run: anotherOfTheSamePlace,
  },
  {
    name: "doubt-outlives-its-session",
    text: "A write in doubt whose session has expired ends as unknown, and is not done once more.",
    run: doubtOutlivesItsSession,
  },
  {
    name: "results-come-with-a-snapshot",
    text: "Writes whose member is brought forward by a snapshot are given their own results by it.",
    run: resultsComeWithASnapshot,
  },
];

async function anotherOfTheSamePlace(): Promise<void> {
  const d = await Director.begin({ subject: paddedSubject() });
  await d.elect("n1");
  d.isolate("n3");
  // Of two snapshots the log is kept from the older one on: n3 needs the newer one.
  for (let i = 0; i < 2; i++) {
    await write(d);
    const { lastIndex } = d.of("n1").durable.log;
    await d.until(() => d.of("n2").core?.appliedIndex === lastIndex, "n2 has applied it");
    await snapshots(d, "n1", "n2");
  }
  await d.until(() => startOf(d, "n1") > 1 && startOf(d, "n2") > 1, "the logs begin later");
  // n3 gets the beginning of what n1 has. n2 has another one of the same place and length.
  let chunks = 0;
  d.lose((from, _to, { type }) => from === "n1" && type === "snapshot-chunk" && ++chunks > 2);
  const offsets: number[] = [];
  d.lose((from, to, message) => {
    const isReport = message.type === "snapshot-report" && message.status === "ready";
    if (from === "n3" && to === "n2" && isReport) offsets.push(message.offset);
    return false;
  });
  d.rejoin("n3");
  const part = (): number => d.of("n3").replica?.status().snapshot.receiving?.transferred ?? 0;
  await d.until(() => part() > 0, "n3 has a part");
  d.power("n1");
  await d.until(() => d.leader("n2") !== undefined, "n2 leads");
  await d.until(() => offsets.length > 0, "n3 says where to go on");
  d.expect(offsets[0] === 0, "it begins anew");
  await d.until(() => (d.of("n3").machine as Padded).owner === ownerOf(d, "n2"), "n3 has it");
  await d.end();
}

async function doubtOutlivesItsSession(): Promise<void> {
  const d = await Director.begin({ sessionTimeoutMs: 1_000 });
  await d.elect("n1");
  await d.open("n2");
  await d.open("n1");
  // n2 forwards a write, once. It is done, and n2 hears nothing of it.
  const deaf = d.lose(
    (from, to, { type }) =>
      from === "n1" && to === "n2" && (type === "forward-response" || type === "append-entries"),
  );
  let forwards = 0;
  const mute = d.lose(
    (from, _to, { type }) => from === "n2" && type === "forward" && ++forwards > 1,
  );
  const doubtful = d.append("n2", "x", "|once");
  await d.until(() => forwards === 1, "it was forwarded");
  // Its session expires, and with it what is known of the write.
  await d.ms(1_500);
  for (let i = 0; i < 2; i++) {
    await d.done(d.put("n1", "y", String(i)));
    await snapshots(d, "n1");
  }
  await d.until(() => startOf(d, "n1") > 6, "the log begins behind the write");
  deaf.end();
  mute.end();
  await d.ended(doubtful);
  d.expect(doubtful.error === "OUTCOME_UNKNOWN", "nobody knows any more");
  await d.finds("n1", "x", "|once");
  await d.end();
}

async function resultsComeWithASnapshot(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.open("n2");
  await d.open("n1");
  const deaf = d.lose(
    (from, to, { type }) =>
      from === "n1" && to === "n2" && (type === "forward-response" || type === "append-entries"),
  );
  const last = d.of("n1").core!.log.lastIndex;
  const first = d.append("n2", "x", "|first");
  await d.until(() => d.of("n1").core!.commit > last, "the first is committed");
  const second = d.append("n2", "y", "|second");
  await d.until(() => d.of("n1").core!.commit > last + 1, "the second is committed");
  for (let i = 0; i < 2; i++) {
    await d.done(d.put("n1", "z", String(i)));
    await snapshots(d, "n1");
  }
  await d.until(() => startOf(d, "n1") > last + 2, "the log begins behind both");
  deaf.end();
  await d.done(first);
  await d.done(second);
  d.expect(JSON.stringify(first.result) !== JSON.stringify(second.result), "each has its own");
  await d.end();
}

async function snapshots(d: Director, ...ids: readonly string[]): Promise<void> {
  const taken = new Set<string>();
  for (const id of ids) {
    const { process, replica } = d.of(id);
    process?.enter(() => void replica?.snapshot().then(() => taken.add(id)));
  }
  await d.until(() => taken.size === ids.length, "snapshots are taken");
}

function startOf(d: Director, id: string): number {
  return d.of(id).replica?.status().startIndex ?? 0;
}

function ownerOf(d: Director, id: string): number {
  return (d.of(id).machine as Padded).owner;
}

async function write(d: Director): Promise<void> {
  let isDone = false;
  const call = { kind: "write", command: "count" } as const;
  d.world.call(d.of("n1"), call, { timeoutMs: 60_000, client: "story" }, ({ outcome }) => {
    isDone = outcome === "done";
  });
  await d.until(() => isDone, "a write is done");
}

/** Some chunks of a transfer. */
const PADDING = 300_000;

/** A machine whose snapshot tells who made it: of one length, and of other bytes on each member. */
class Padded {
  owner: number;

  constructor(owner: number) {
    this.owner = owner;
  }

  apply(): null {
    return null;
  }

  query(): number {
    return this.owner;
  }

  snapshot(): Uint8Array {
    return new Uint8Array(PADDING).fill(this.owner);
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of chunks) {
      this.owner = chunk[0]!;
      if (chunk.some((byte) => byte !== this.owner)) throw new Error("bytes of two snapshots");
    }
  }
}

function paddedSubject(): RunSubject {
  let owners = 0;
  return {
    machine: () => new Padded(++owners) as never,
    codec: { encode: () => new Uint8Array(1), decode: () => "count" },
    workload: { next: () => ({ kind: "write", command: "count" }) as const },
    checks: () => [],
  };
}
