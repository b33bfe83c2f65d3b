/**
 * A real power cut of a real file system, in a few milliseconds.
 *
 * The volume is an ext4 file system in a sparse image behind a loop device. EXT4_IOC_SHUTDOWN stops
 * it as if the power had gone: nothing more reaches the image, whatever is dirty in memory. After
 * unmounting, which then writes nothing, the next mount recovers the journal like after a reboot.
 *
 * - `nologflush`: the running journal transaction is lost as well. What was not synced is gone, and
 *   a rename without a sync of its directory is undone.
 * - `logflush`: the running transaction is committed first. Names are kept whose data is not there.
 *
 * It needs root, loop devices, the usual tools of util-linux and e2fsprogs, and something that can
 * make one ioctl call, which Node cannot: xfs_io, perl or python3, whichever works.
 * `powerCutSupport` tries all of it once and says what is missing.
 *
 * Volumes carry the process id of their owner. A volume whose owner is gone (a test run that was
 * killed) is taken down when the next one is made.
 */
import { execFile } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

const PREFIX = "quorate-volume-";
/** _IOR('X', 125, __u32), the same on every architecture that Node runs on. */
const EXT4_IOC_SHUTDOWN = 0x8004587d;
const FLAGS = { logflush: 1, nologflush: 2 } as const;

/** What happens to the running journal transaction. */
export type CutMode = keyof typeof FLAGS;

/** Whether power can be cut here, and if not, why. */
export type PowerCutSupport =
  | { readonly ok: true; readonly tool: string }
  | { readonly ok: false; readonly reason: string };

/** The ways to make the ioctl call, the first that works is used. */
const CUTTERS: readonly {
  readonly tool: string;
  readonly args: (mountPoint: string, mode: CutMode) => string[];
}[] = [
  {
    tool: "xfs_io",
    args: (at, mode) => ["-x", "-c", mode === "logflush" ? "shutdown -f" : "shutdown", at],
  },
  {
    tool: "perl",
    args: (at, mode) => [
      "-e",
      "sysopen(my $d,$ARGV[0],0) or die $!;" +
        `ioctl($d,${EXT4_IOC_SHUTDOWN},my $f=pack('I',$ARGV[1])) or die $!`,
      at,
      String(FLAGS[mode]),
    ],
  },
  {
    tool: "python3",
    args: (at, mode) => [
      "-c",
      "import fcntl,os,struct,sys;fcntl.ioctl(os.open(sys.argv[1],os.O_RDONLY)," +
        `${EXT4_IOC_SHUTDOWN},struct.pack('I',int(sys.argv[2])))`,
      at,
      String(FLAGS[mode]),
    ],
  },
];

let support: Promise<PowerCutSupport> | undefined;

/** Makes a volume, cuts it and takes it down, once per process. */
export function powerCutSupport(): Promise<PowerCutSupport> {
  support ??= probe();
  return support;
}

/** An ext4 file system whose power can be cut. */
export class Ext4Volume {
  /** Where it is mounted. Belongs to root, mode 0700. */
  readonly mountPoint: string;
  readonly #home: string;
  readonly #device: string;
  readonly #tool: string;
  #isFrozen = false;

  private constructor(home: string, device: string, tool: string) {
    this.#home = home;
    this.#device = device;
    this.#tool = tool;
    this.mountPoint = join(home, "mnt");
  }

  /** Makes and mounts one; `tool` is the one that `powerCutSupport` found. */
  static async create(tool: string, sizeMiB = 64): Promise<Ext4Volume> {
    await takeDownAbandoned();
    const home = fs.mkdtempSync(join(fs.realpathSync(tmpdir()), `${PREFIX}${process.pid}-`));
    try {
      const image = join(home, "image");
      fs.closeSync(fs.openSync(image, "wx", 0o600));
      fs.truncateSync(image, sizeMiB * 1024 * 1024);
      // No lazy work in the background, and a journal as small as ext4 allows.
      const format = ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-J", "size=4"];
      await run("mkfs.ext4", [...format, image]);
      const { stdout } = await run("losetup", ["--find", "--show", image]);
      const volume = new Ext4Volume(home, stdout.trim(), tool);
      fs.mkdirSync(volume.mountPoint);
      await volume.mount();
      return volume;
    } catch (error) {
      await takeDown(home);
      throw error;
    }
  }

  /** Mounts it again after a cut; the file system recovers from its journal. */
  async mount(): Promise<void> {
    // Errors stop the file system instead of being played down; no write only to note a read.
    await run("mount", ["-t", "ext4", "-o", "errors=remount-ro,noatime", ...this.#where()]);
  }

  /** Nothing that is written from now on ends, and nothing fails, until {@link thaw}. */
  async freeze(): Promise<void> {
    await run("fsfreeze", ["--freeze", this.mountPoint]);
    this.#isFrozen = true;
  }

  /** Ends {@link freeze}; harmless where it is not frozen. */
  async thaw(): Promise<void> {
    if (!this.#isFrozen) return;
    this.#isFrozen = false;
    await run("fsfreeze", ["--unfreeze", this.mountPoint]);
  }

  /** Cuts the power. Every write in flight fails or never returns; the files stay open, dead. */
  async cut(mode: CutMode): Promise<void> {
    await cutWith(this.#tool, this.mountPoint, mode);
  }

  /** Unmounts; processes that have files open here must be gone. */
  async unmount(): Promise<void> {
    // A process that was killed may need a moment to let go of its last file.
    for (let attempt = 0; ; attempt++) {
      try {
        await run("umount", [this.mountPoint]);
        break;
      } catch (error) {
        if (attempt === 400 || !String(error).includes("busy")) throw error;
        await delay(5);
      }
    }
  }

  /** Power is back: unmounts and mounts. */
  async restore(): Promise<void> {
    await this.unmount();
    await this.mount();
  }

  /** Whether the file system is sound, by its own checker; it is unmounted for that. */
  async check(): Promise<void> {
    await this.unmount();
    await run("e2fsck", ["-f", "-n", this.#device]);
    await this.mount();
  }

  /** Takes everything down, whatever state it is in. */
  async destroy(): Promise<void> {
    await this.thaw();
    await takeDown(this.#home);
  }

  #where(): [string, string] {
    return [this.#device, this.mountPoint];
  }
}

async function probe(): Promise<PowerCutSupport> {
  if (process.platform !== "linux") return { ok: false, reason: "power is cut on Linux only" };
  if (process.getuid?.() !== 0) return { ok: false, reason: "root is needed to mount a volume" };
  const failures: string[] = [];
  for (const { tool } of CUTTERS) {
    try {
      const volume = await Ext4Volume.create(tool, 16);
      try {
        await tryOut(volume);
        return { ok: true, tool };
      } finally {
        await volume.destroy();
      }
    } catch (error) {
      failures.push(`with ${tool}: ${firstLine(error)}`);
    }
  }
  return { ok: false, reason: failures.join("; ") };
}

/** A cut must take what was not synced. */
async function tryOut(volume: Ext4Volume): Promise<void> {
  const path = join(volume.mountPoint, "probe");
  fs.writeFileSync(path, "x");
  await volume.cut("nologflush");
  await volume.restore();
  if (fs.existsSync(path)) throw new Error("the cut had no effect");
}

async function cutWith(tool: string, mountPoint: string, mode: CutMode): Promise<void> {
  const cutter = CUTTERS.find((candidate) => candidate.tool === tool);
  if (cutter === undefined) throw new Error(`no such tool: ${tool}`);
  await run(tool, cutter.args(mountPoint, mode));
}

async function takeDownAbandoned(): Promise<void> {
  const base = fs.realpathSync(tmpdir());
  for (const name of fs.readdirSync(base)) {
    if (!name.startsWith(PREFIX)) continue;
    const owner = Number.parseInt(name.slice(PREFIX.length), 10);
    if (owner !== process.pid && !fs.existsSync(`/proc/${owner}`)) await takeDown(join(base, name));
  }
}

async function takeDown(home: string): Promise<void> {
  const mountPoint = join(home, "mnt");
  if (isMounted(mountPoint)) {
    // Lazily where something still holds it: it is gone with its last user.
    await run("umount", [mountPoint]).catch(() => run("umount", ["--lazy", mountPoint]));
  }
  const list = run("losetup", ["--noheadings", "--raw", "--associated", image(home)]);
  // Where there is no losetup, nothing can be attached.
  const { stdout } = await list.catch(() => ({ stdout: "" }));
  for (const line of stdout.split("\n")) {
    const device = line.split(":")[0];
    if (device !== undefined && device !== "") await run("losetup", ["--detach", device]);
  }
  fs.rmSync(home, { recursive: true, force: true });
}

function image(home: string): string {
  return join(home, "image");
}

function isMounted(mountPoint: string): boolean {
  return fs.readFileSync("/proc/self/mounts", "utf8").includes(` ${mountPoint} `);
}

function firstLine(error: unknown): string {
  const stderr = (error as { stderr?: unknown }).stderr;
  const text = typeof stderr === "string" && stderr !== "" ? stderr : String(error);
  return text.trim().split("\n").at(-1) ?? "";
}
