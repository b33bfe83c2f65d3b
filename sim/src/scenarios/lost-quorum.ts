/**
 * Two of three members are lost for good, and the third is made to go on alone, as an operator
 * does it: offline, on its directory.
 */
import { SeededRandom, crc32 } from "quorate/core";
import {
  Director,
  SimDisk,
  inspectDirectory,
  planQuorumRecovery,
  recoverDirectory,
  sha256,
} from "quorate/sim";
import type { RecoverPorts } from "quorate/sim";
import type { Scenario } from "../scenario.ts";

/** Scenarios about recovering from a lost quorum. */
export const scenarios: readonly Scenario[] = [
  {
    name: "recovery-cut-short",
    text:
      "Recovery from a lost quorum loses power at every operation in turn: what is left is the old " +
      "member, which decides nothing alone, or one that starts only once recovery was repeated.",
    run: cutShort,
  },
];

/** How many operations of the disk it takes at the most. */
const OPERATIONS_MAX = 300;
const DATA = "/data/n1";

async function cutShort(): Promise<void> {
  const found = await lost();
  let isOver = false;
  for (let at = 1; !isOver; at++) {
    if (at > OPERATIONS_MAX) throw new Error("recovery does not come to an end");
    const disk = copyOf(found);
    isOver = await recover(disk, at);
    await judge(disk.successor ?? disk.crash(new SeededRandom(at)));
  }
}

/** The disk of n1 after a write that all have, and the end of everybody. */
async function lost(): Promise<SimDisk> {
  const d = await Director.begin();
  await d.elect("n1");
  await d.done(d.put("n1", "x", "kept"));
  await d.ms(300);
  for (const id of ["n1", "n2", "n3"]) d.power(id);
  return d.of("n1").disk.disk;
}

/** Recovers, with a power cut at the operation of that number; false where it came to that. */
async function recover(disk: SimDisk, cutAt?: number): Promise<boolean> {
  const ports: RecoverPorts = {
    disk,
    checksum: crc32,
    digest: sha256,
    random: new SeededRandom(cutAt ?? 0),
    clock: { nowMs: () => 0, setTimer: () => ({ cancel: () => {} }), soon: queueMicrotask },
  };
  const plan = planQuorumRecovery([await inspectDirectory(ports, DATA)]);
  if (cutAt !== undefined) disk.dieAt(disk.operations + cutAt, new SeededRandom(cutAt));
  try {
    await recoverDirectory(ports, plan, plan.clusterId);
    return true;
  } catch (error) {
    if (disk.successor === undefined) throw error;
    return false;
  }
}

async function judge(disk: SimDisk): Promise<void> {
  const { identity } = await inspectDirectory(
    { disk: copyOf(disk), checksum: crc32, digest: sha256 },
    DATA,
  );
  if (identity?.state === "recovering") {
    await aloneOn(disk).refuses("n1", "DATA_DIR_INVALID");
    const again = copyOf(disk);
    await recover(again);
    const later = await inspectDirectory(
      { disk: copyOf(again), checksum: crc32, digest: sha256 },
      DATA,
    );
    const { clusterId } = later.identity!;
    if (clusterId !== identity.clusterId) throw new Error("it comes to another end than decided");
    await goesOn(again);
  } else if (identity?.formerClusters.length === 1) {
    await goesOn(disk);
  } else {
    const d = aloneOn(disk);
    await d.start("n1");
    await d.ms(3_000);
    d.expect(d.leader() === undefined, "the old member leads nobody, alone as it is");
  }
}

async function goesOn(disk: SimDisk): Promise<void> {
  const d = aloneOn(disk);
  await d.start("n1");
  await d.until(() => d.leader("n1") !== undefined, "n1 leads alone");
  await d.finds("n1", "x", "kept");
}

/**
 * Another world, in which nobody is but n1 with this disk. The world before would say that n1 comes
 * back with what it never wrote; and so it does.
 */
function aloneOn(disk: SimDisk): Director {
  const d = new Director({ hasPast: true });
  for (const path of disk.paths()) d.of("n1").disk.disk.place(path, disk.image(path));
  return d;
}

/** The same files on a disk outside of any world: an operator's hands know nothing of its time. */
function copyOf(disk: SimDisk): SimDisk {
  const copy = new SimDisk();
  for (const path of disk.paths()) copy.place(path, disk.image(path));
  return copy;
}
