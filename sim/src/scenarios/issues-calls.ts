/**
 * Historical bugs of what callers are told: writes done twice, "failed" writes that were done,
 * calls that never end.
 */
import assert from "node:assert/strict";
import { Director } from "quorate/sim";
import type { RunSubject } from "quorate/sim";
import type { Scenario } from "../scenario.ts";

/** Bugs of calls. */
export const scenarios: readonly Scenario[] = [
  {
    name: "issue-tidb-2-1-7",
    known: "TiDB 2.1.7",
    text: "A write whose answer was lost is tried again, and done once.",
    run: lostAnswer,
  },
  {
    name: "issue-redisraft-23",
    known: "redisraft#23",
    text: "A write that was handed on must not end as certainly not done.",
    run: lostLeader,
  },
  {
    name: "issue-redisraft-13",
    known: "redisraft#13",
    text: "A forwarded write that reaches a member which leads no more is passed on by nobody.",
    run: passedOn,
  },
  {
    name: "issue-openraft-dd29c2e9",
    known: "openraft dd29c2e9",
    text: "When the state machine throws, every call that waits for it ends.",
    run: throwingMachine,
  },
];

async function lostAnswer(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.open("n2");
  // n2 forwards a write. n1 appends it and n3 gets it, but what n1 says of it to n2 is lost.
  d.lose((from, to, { type }) => from === "n1" && to === "n2" && type === "forward-response");
  const behind = d.lose(
    (from, to, { type }) => from === "n1" && to === "n2" && type === "append-entries",
  );
  const write = d.append("n2", "x", "|once");
  await d.until(() => d.of("n1").core?.commit === 5, "the write is committed");
  d.power("n1");
  behind.end();
  // n3 leads. The write is sent to it as well. There it was done twice.
  await d.elect("n3");
  await d.done(write);
  d.expect(d.of("n3").core!.log.lastIndex > 6, "it is in the log twice");
  await d.finds("n2", "x", "|once");
  await d.end();
}

async function lostLeader(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.open("n2");
  // n2 forwards a write, n1 appends it, everybody gets it. Before it is committed n1 dies.
  d.lose((_from, to, { type }) => to === "n1" && type === "append-entries-response");
  const write = d.append("n2", "x", "|done");
  await d.until(() => d.of("n2").durable.log.lastIndex === 5, "n2 has entry 5");
  await d.until(() => d.of("n3").durable.log.lastIndex === 5, "n3 has entry 5");
  d.power("n1");
  // For a long time nobody is elected. There the client was told "no leader": it did not happen.
  const nobody = d.lose((_from, _to, { type }) => type === "pre-vote");
  await d.ended(write);
  d.expect(write.error === "OUTCOME_UNKNOWN", "the client was told that nothing is known");
  // Then somebody is elected, and it happens.
  nobody.end();
  await d.until(() => d.leader("n2", "n3") !== undefined, "one of n2 and n3 leads");
  await d.finds("n2", "x", "|done");
  await d.end();
}

async function passedOn(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.open("n2");
  let forwards = 0;
  // n2 forwards a write to n1, and the message is held up.
  const late = d.hold((from, to, { type }) => from === "n2" && to === "n1" && type === "forward");
  const write = d.append("n2", "x", "|once");
  // Meanwhile n3 is elected, and n1 learns that. It is the message that comes too late.
  const unheard = d.lose((from, _to, { type }) => from === "n1" && type !== "forward-response");
  await d.electOnly("n3");
  await d.until(() => d.of("n1").core?.leader === "n3", "n1 follows n3");
  unheard.end();
  late.end();
  d.lose((from, _to, { type }) => {
    if (from === "n1" && type === "forward") forwards++;
    return false;
  });
  d.expect(late.release() > 0, "the write was held up");
  // n1 says that it does not lead, and n2 sends the write to n3. If n1 had passed it on as well, it
  // would go round for ever where members believe each other to lead.
  await d.done(write);
  await d.ms(50);
  d.expect(forwards === 0, "n1 has passed nothing on");
  await d.finds("n2", "x", "|once");
  await d.end();
}

async function throwingMachine(): Promise<void> {
  const d = await Director.begin({ subject: SUBJECT });
  await d.elect("n1");
  const { replica } = d.of("n1");
  assert(replica !== undefined);
  const ends: string[] = [];
  const watch = (name: string, call: Promise<unknown>): void => {
    call.then(
      () => ends.push(`${name} done`),
      () => ends.push(`${name} failed`),
    );
  };
  // The machine throws at the first one. The others wait: for it, and for being confirmed.
  d.lose((_from, _to, { type }) => type === "heartbeat-response");
  d.of("n1").process?.enter(() => {
    watch("throwing", replica.write({ operation: 1, command: "throw" }));
    watch("behind", replica.write({ operation: 2, command: "fine" }));
    watch("read", replica.read("anything"));
  });
  await d.us(50);
  // A machine that throws ends the world, as no replica may stop. There nobody ever heard of it.
  await assert.rejects(d.ms(1_000), /replica-goes-on/);
  assert.deepEqual(ends.toSorted(), ["behind failed", "read failed", "throwing failed"]);
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A machine that throws when it is told to. */
const SUBJECT: RunSubject = {
  machine: () => ({
    apply(command: string): never {
      if (command === "throw") throw new Error("as it was told");
      return command as never;
    },
    query: (): never => "nothing" as never,
    snapshot: (): null => null,
    restore: async (): Promise<void> => {},
  }),
  codec: {
    encode: (command: unknown) => encoder.encode(String(command)),
    decode: (bytes: Uint8Array) => decoder.decode(bytes),
  },
  workload: {
    next: () => ({ kind: "write", command: "fine" }) as const,
  },
  checks: () => [],
};
