/**
 * A small file system in memory, to be filled up and freed again. It needs root.
 */
import { execFile } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestContext } from "vitest";
import { skipLoudly } from "./skip-loudly.ts";

const run = promisify(execFile);
const MIB = 1_048_576;

/** A mounted file system of a fixed size. */
export class SmallDisk {
  readonly mountPoint: string;

  private constructor(mountPoint: string) {
    this.mountPoint = mountPoint;
  }

  /** Mounts one that goes with the test; skips the test, loudly, where that is not possible. */
  static async mount(context: TestContext, sizeMiB: number): Promise<SmallDisk> {
    if (process.platform !== "linux" || process.getuid?.() !== 0) {
      skipLoudly(context, "root on Linux is needed to mount a small disk");
    }
    const at = fs.mkdtempSync(join(fs.realpathSync(tmpdir()), "quorate-small-"));
    const options = `size=${sizeMiB}m,mode=0700`;
    try {
      await run("mount", ["-t", "tmpfs", "-o", options, "quorate-test", at]);
    } catch (error) {
      fs.rmdirSync(at);
      skipLoudly(context, `a small disk cannot be mounted here: ${String(error)}`);
    }
    context.onTestFinished(async () => {
      await run("umount", [at]).catch(() => run("umount", ["--lazy", at]));
      fs.rmdirSync(at);
    });
    return new SmallDisk(at);
  }

  /** Somebody else takes all the space that is left. */
  fill(): void {
    const file = fs.openSync(this.#filler, "w", 0o600);
    try {
      for (const size of [MIB, 4_096]) {
        const bytes = new Uint8Array(size);
        while (wrote(file, bytes));
      }
    } finally {
      fs.closeSync(file);
    }
  }

  /** And gives it back. */
  free(): void {
    fs.rmSync(this.#filler, { force: true });
  }

  get #filler(): string {
    return join(this.mountPoint, "filler");
  }
}

/** Whether all of it found room. */
function wrote(file: number, bytes: Uint8Array): boolean {
  try {
    return fs.writeSync(file, bytes) === bytes.length;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOSPC") return false;
    throw error;
  }
}
