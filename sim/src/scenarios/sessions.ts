/**
 * Sessions: what happens to writes that are repeated, and to those that come when it is too late.
 */
import { Director } from "quorate/sim";
import type { Scenario } from "../scenario.ts";

/** Stories of writes that travel more than once. */
export const scenarios: readonly Scenario[] = [
  {
    name: "copy-of-a-forward",
    text: "A copy of a forward that comes late is taken by nobody, and answered by nobody.",
    run: copyOfForward,
  },
  {
    name: "session-expired",
    text: "What comes after its session has expired is applied by nobody, and done in another one.",
    run: sessionExpired,
  },
  {
    name: "session-in-snapshot",
    text: "A member that starts from a snapshot knows the sessions of the time before.",
    run: sessionInSnapshot,
  },
];

async function copyOfForward(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.open("n2");
  // n2 forwards a write, and the network makes a copy of it that takes its time. n1 has appended
  // the write, and n3 has it; n2 hears nothing of that.
  let copy: unknown;
  const { network } = d.world;
  const { rule } = network;
  network.rule = (from, to, message) => {
    if (from === "n2" && message.type === "forward" && copy === undefined) {
      copy = message;
      return "twice";
    }
    return rule!(from, to, message);
  };
  const write = d.put("n2", "x", "|once");
  const deaf = d.lose((_from, to, { type }) => to === "n2" && type === "append-entries");
  const unanswered = d.lose((_from, to, { type }) => to === "n2" && type === "forward-response");
  await d.until(() => d.of("n1").core!.commit === 5, "the write is committed");
  // The copy was taken for a second write in place 6, or answered as one.
  await d.ms(20);
  d.expect(d.of("n1").core!.log.lastIndex === 5, "the copy was not appended");
  deaf.end();
  unanswered.end();
  await d.done(write);
  await d.end();
}

async function sessionInSnapshot(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.open("n1");
  // n3 takes a snapshot, and is started from it: it does not see the entry again that opened the
  // session of n1.
  const n3 = d.of("n3");
  let taken = 0;
  n3.process?.enter(() => {
    void n3.replica?.snapshot().then(({ index }) => (taken = index));
  });
  await d.until(() => taken > 0, "n3 has a snapshot");
  d.power("n3");
  await d.start("n3");
  await d.done(d.put("n1", "x", "|after"));
  // Who does not know the session takes its writes for those of one that has expired.
  await d.finds("n3", "x", "|after");
  await d.end();
}

async function sessionExpired(): Promise<void> {
  const d = await Director.begin({ sessionTimeoutMs: 1_000 });
  await d.elect("n1");
  await d.open("n2");
  // n2 does nothing for longer than its session lasts, by the clock of the cluster.
  await d.ms(1_200);
  const write = d.put("n2", "x", "|late");
  await d.done(write);
  // Twice in the log: once under the old session, which had no effect, and once under a new one.
  d.expect(d.of("n1").core!.log.lastIndex === 7, "a new session was opened");
  await d.finds("n1", "x", "|late");
  await d.end();
}
