/**
 * What the programs have in common whose power is cut: how they begin, what they say and on which
 * disk they run.
 *
 * A program says "ready" when it is loaded, so that the next one is warm while this one is under
 * load, and begins at the line "open <directory> <round>" on its standard input. With `--no-sync`
 * it runs on a disk whose syncs do nothing: the control.
 */
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Disk, DiskFile } from "../../packages/raft/src/disk/disk.ts";
import { NodeDisk } from "../../packages/raft/src/disk/node-disk.ts";

/** Waits for the word to begin. The program ends with its standard input. */
export function begin(body: (directory: string, round: number) => Promise<void>): void {
  const lines = createInterface({ input: process.stdin });
  lines.on("close", () => process.exit());
  lines.on("line", (line) => {
    const [command, directory = "", round = ""] = line.split(" ");
    if (command === "open") body(directory, Number(round)).catch(failed);
  });
  say("ready");
}

/** Straight into the pipe: what was said is with the reader even if this process dies now. */
export function say(line: string): void {
  writeSync(1, `${line}\n`);
}

/** After the cut everything fails; before it, nothing may. */
export function failed(error: unknown): void {
  say(`failed ${error instanceof Error ? error.message : String(error)}`);
}

/** The real disk, or the one of the control. */
export function chosenDisk(): Disk {
  const real = new NodeDisk();
  return process.argv.includes("--no-sync") ? withoutSyncs(real) : real;
}

/** A disk that promises durability and does nothing for it. */
function withoutSyncs(real: Disk): Disk {
  return {
    open: async (path, options) => {
      const file = await real.open(path, { ...options, dataSync: false });
      const wrapped: DiskFile = {
        path,
        write: (bytes, position) => file.write(bytes, position),
        read: (into, position) => file.read(into, position),
        sync: () => Promise.resolve(),
        truncate: (size) => file.truncate(size),
        size: () => file.size(),
        close: () => file.close(),
      };
      return wrapped;
    },
    list: (path) => real.list(path),
    makeDirectory: (path) => real.makeDirectory(path),
    rename: (from, to) => real.rename(from, to),
    remove: (path) => real.remove(path),
    exists: (path) => real.exists(path),
    syncDirectory: () => Promise.resolve(),
    lock: (path) => real.lock(path),
    lockHolder: (path) => real.lockHolder(path),
  };
}
