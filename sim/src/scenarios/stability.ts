/**
 * A cluster that is well stays as it is, and one that is not finds another leader. None of this is
 * about safety: what is broken here costs availability, and invariants do not see it.
 */
import { Director, STORY_TIMEOUT_MS } from "quorate/sim";
import type { Scenario } from "../scenario.ts";

/** Scenarios about who leads, and for how long. */
export const scenarios: readonly Scenario[] = [
  {
    name: "idle-cluster",
    text: "Nothing happens and nobody fails: for a long time nobody asks for votes.",
    run: idleCluster,
  },
  {
    name: "deaf-member",
    known: "hashicorp/raft#476",
    text:
      "A member does not hear the leader for a while, and is heard by all: when it hears again, " +
      "the same leader still leads the same term.",
    run: deafMember,
  },
  {
    name: "deaf-leader",
    known: "hashicorp/raft#503",
    text: "A leader is heard by all and hears nobody: another one takes over, and writes go on.",
    run: deafLeader,
  },
  {
    name: "vote-behind-an-acknowledgement",
    text: "A slow disk ends one write: what waits for the next one is kept, and the vote is sent.",
    run: voteBehindAcknowledgement,
  },
];

async function idleCluster(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.ms(STORY_TIMEOUT_MS);
  let isWatched = true;
  d.world.audience.add({
    event: (member, { type }) => {
      if (!isWatched) return;
      d.claim(type !== "role", `${member.id} keeps its role`);
      d.claim(type !== "leader", `${member.id} keeps its leader`);
    },
  });
  await d.ms(50 * STORY_TIMEOUT_MS);
  isWatched = false;
  await d.end();
}

async function deafMember(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  const { term } = d.of("n1").core!;
  const deaf = d.lose((from, to) => from === "n1" && to === "n3");
  await d.ms(20 * STORY_TIMEOUT_MS);
  deaf.end();
  await d.ms(5 * STORY_TIMEOUT_MS);
  for (const { id, core } of d.world.members) {
    d.expect(core?.leader === "n1" && core.term === term, `${id} still follows n1 in its term`);
  }
  await d.end();
}

async function deafLeader(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  d.lose((_from, to) => to === "n1");
  await d.until(() => d.leader("n2", "n3") !== undefined, "one of n2 and n3 leads");
  await d.done(d.put("n2", "x", "|written"));
  await d.end();
}

async function voteBehindAcknowledgement(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.ms(50);
  // The disk of n2 stands still in the midst of a write that it is going to acknowledge.
  d.of("n2").disk.stall(60_000_000);
  const write = d.put("n1", "x", "|written");
  await d.done(write);
  d.power("n1");
  const isCandidate = (): boolean => d.of("n3").core?.role === "candidate";
  await d.until(isCandidate, "n3 asks for votes");
  await d.until(() => d.of("n2").core?.vote?.id === "n3", "n2 votes, in memory");
  await d.ms(5);
  d.of("n2").disk.healAll();
  await d.until(() => d.leader("n3") !== undefined, "n3 leads", STORY_TIMEOUT_MS / 2);
  await d.end();
}
