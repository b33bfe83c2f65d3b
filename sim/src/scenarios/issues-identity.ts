/**
 * Historical bugs of members that are not what they were: their directory is gone, or part of it,
 * or what is in it has rotted.
 */
import { Director } from "quorate/sim";
import type { Scenario } from "../scenario.ts";

/** Bugs of lost and damaged directories. */
export const scenarios: readonly Scenario[] = [
  {
    name: "issue-dragonboat-256",
    known: "dragonboat#256",
    text: "A member that comes back under its name with an empty directory is refused.",
    run: emptyDirectory,
  },
  {
    name: "issue-dragonboat-170",
    known: "dragonboat#170",
    text: "A member that has its identity and no log must not take itself for a new one.",
    run: lostLog,
  },
  {
    name: "issue-etcd-zero-sector",
    known: "etcd wal/decoder.go",
    text: "A sector of zeros below what is known to be durable is damage and no end of the log.",
    run: zeroSector,
  },
  {
    name: "issue-nats-7549",
    known: "nats#7549",
    text: "An entry of which one bit has rotted is never applied.",
    run: rottenEntry,
  },
];

async function emptyDirectory(): Promise<void> {
  const d = await Director.begin();
  const n3 = d.of("n3");
  await d.elect("n1");
  // n1 and n3 have the write, n2 does not.
  d.isolate("n2");
  await d.done(d.put("n1", "x", "kept"));
  // The directory of n3 is lost, and n3 is started on an empty one.
  d.power("n3");
  d.loseDirectory("n3");
  n3.start();
  await d.ms(500);
  // If it counted as the old n3, it and n2 were a majority now, without the write.
  d.power("n1");
  d.rejoin("n2");
  await d.ms(2_000);
  d.expect(n3.state === "up" && n3.core === undefined, "n3 is part of no cluster");
  d.expect(d.leader() === undefined, "n2 and n3 have no leader");
  // With n1 there is a majority again.
  await d.start("n1");
  await d.until(() => d.leader("n1", "n2") !== undefined, "one of n1 and n2 leads");
  await d.finds("n2", "x", "kept");
}

async function lostLog(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.done(d.put("n1", "x", "kept"));
  // Of two directories one was on another disk, and that is gone.
  d.power("n3");
  d.loseDirectory("n3", "identity.json");
  await d.refuses("n3", "DATA_DIR_INVALID");
}

async function zeroSector(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  // n1 and n2 have the write, n3 does not.
  d.isolate("n3");
  await d.done(d.put("n1", "x", "|written"));
  await d.done(d.put("n1", "x", "|and more"));
  await d.ms(300);
  // A sector of n2 has come to be zeros, entries behind it have not. There the log ended at the
  // zeros, n2 went on without what it had acknowledged, and n2 and n3 were a majority.
  d.kill("n2");
  d.rot("n2", "|written", { bytes: 512, to: 0 });
  await d.refuses("n2", "LOG_DAMAGED");
}

async function rottenEntry(): Promise<void> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.done(d.put("n1", "x", "|true"));
  await d.done(d.put("n1", "y", "|more"));
  await d.ms(300);
  d.kill("n2");
  d.rot("n2", "|true", { bytes: 2, to: 0x7c });
  await d.refuses("n2", "LOG_DAMAGED");
}
