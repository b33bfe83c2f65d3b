/**
 * A lock that keeps other processes off a directory and ends with its process, in plain Node.
 *
 * Node has no flock. What it has that dies with a process, needs no clean-up to be seen dead, and
 * is found through the directory itself (so also from another container or network name space) is a
 * UNIX socket bound there: the kernel accepts connections exactly as long as the process lives,
 * even a stopped one, and refuses them afterwards. Process ids play no part in the decision, so
 * their reuse cannot deceive it.
 *
 * Every starter binds a socket of its own, `<path>.<process id>-<random>`, and listens. Only then
 * does it look for others, and asks each whether it is a holder or a candidate.
 *
 * - A name that refuses connections is dead and stays dead: nobody can bind it again.
 * - Someone holds the lock: back out.
 * - A candidate with a lower name: back out, it comes first.
 * - A candidate with a higher name: wait until it has decided. It may have looked before this one
 *   was listening and become the holder; if it looks later it backs out.
 * - Nobody left, and its own name still there: this one holds the lock. It then removes dead names.
 *
 * Of two starters the one that begins to listen later sees the other alive, so both cannot become
 * holders; waiting goes from lower to higher names only, so it ends. A socket seen between bind and
 * listen looks dead and may be removed by a holder; its owner finds that holder when it looks, and
 * if the holder is gone by then, finds its own name missing and starts over.
 *
 * Rejected: an abstract socket or a port (one per network name space), a file with a process id
 * (reuse, races), mkdir (survives its process), a helper that holds flock (another program to
 * ship). Limit: both processes must share a kernel. On a network file system two machines do not
 * see each other's sockets as alive.
 */
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as net from "node:net";
import { hostname } from "node:os";
import { relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { DiskError } from "./disk.ts";
import type { Disk, DiskLock } from "./disk.ts";
import { nameOf, parentOf } from "./path.ts";

/**
 * A living process that does not answer for so many ticks counts as the holder. Ticks, not a length
 * of time: a late turn of our own event loop is one tick, however long it was.
 */
const ANSWER_TICKS = 9;
const TICK_MS = 100;
/** How often a candidate that answers is asked whether it has decided. */
const DECISION_POLLS = 2_000;
/** How often a process is asked again that hung up without an answer, as a dying one does. */
const ANSWER_ATTEMPTS = 100;
const POLL_MS = 5;
/** The room for a path in the address of a UNIX socket, on the smallest of our systems. */
const SOCKET_PATH_BYTES_MAX = 103;
const ANSWER_BYTES_MAX = 1_000;
/** How often a candidate whose name was removed begins anew. */
const ATTEMPTS = 5;

/** What a socket of the lock says of its owner. */
interface Answer {
  readonly holds: boolean;
  readonly pid: number;
  readonly host: string;
}

/** What is known about one name. */
type Finding = "dead" | "silent" | Answer;

/** @internal Takes the lock at `path`, or rejects with `locked`, naming the holder. */
export async function takeLock(path: string, disk: Disk): Promise<DiskLock> {
  const directory = await openDirectory(parentOf(path));
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const candidate = new Candidate(path, disk, directory);
    try {
      await candidate.listen();
      if (await candidate.contend()) {
        await candidate.sweep();
        return candidate;
      }
      await candidate.abandon();
    } catch (error) {
      await candidate.abandon();
      closeQuietly(directory);
      throw error;
    }
  }
  closeQuietly(directory);
  throw new DiskError("locked", path, "its socket is removed again and again by another process");
}

/** @internal Who holds the lock at `path`, or is about to; only asks. */
export async function findLockHolder(path: string, disk: Disk): Promise<string | undefined> {
  const prefix = `${nameOf(path)}.`;
  const directory = await openDirectory(parentOf(path));
  try {
    for (const name of await disk.list(parentOf(path))) {
      if (!isLockName(name, prefix)) continue;
      const found = await askAgain(socketPath(path, name, directory));
      if (found !== "dead") return describe(found, name, prefix);
    }
    return undefined;
  } finally {
    closeQuietly(directory);
  }
}

class Candidate implements DiskLock {
  readonly #path: string;
  readonly #disk: Disk;
  readonly #directory: number;
  readonly #name: string;
  readonly #server: net.Server;
  readonly #asking: Set<net.Socket> = new Set();
  readonly #dead: string[] = [];
  #holds = false;
  #released: Promise<void> | undefined;

  constructor(path: string, disk: Disk, directory: number) {
    this.#path = path;
    this.#disk = disk;
    this.#directory = directory;
    this.#name = `${nameOf(path)}.${process.pid}-${randomBytes(8).toString("hex")}`;
    this.#server = net.createServer((socket) => this.#answer(socket));
  }

  async listen(): Promise<void> {
    const path = socketPath(this.#path, this.#name, this.#directory);
    await new Promise<void>((resolve, reject) => {
      const refuse = (error: NodeJS.ErrnoException): void => reject(unlockable(this.#path, error));
      this.#server.once("error", refuse);
      this.#server.listen({ path, exclusive: true }, () => {
        this.#server.off("error", refuse);
        this.#server.on("error", ignore);
        resolve();
      });
    });
    // A lock must not keep a process alive that has nothing else to do.
    this.#server.unref();
  }

  /** Whether the lock is held now; false to start over. Rejects with `locked`. */
  async contend(): Promise<boolean> {
    for (let polls = 0; await this.#mustWait(polls > DECISION_POLLS); polls++) {
      await delay(POLL_MS);
    }
    if (!(await this.#disk.exists(besides(this.#path, this.#name)))) return false;
    this.#holds = true;
    return true;
  }

  /** Removes the names of dead processes. */
  async sweep(): Promise<void> {
    for (const name of this.#dead) await this.#disk.remove(besides(this.#path, name)).catch(ignore);
  }

  /** Takes the candidate out, but keeps the directory open for the next one. */
  async abandon(): Promise<void> {
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => {
      // This also removes the name, and the kernel refuses connections from here on.
      this.#server.close(() => resolve());
      for (const socket of this.#asking) socket.destroy();
    });
  }

  release(): Promise<void> {
    this.#released ??= this.abandon().then(() => closeQuietly(this.#directory));
    return this.#released;
  }

  /** Looks at all others once. */
  async #mustWait(late: boolean): Promise<boolean> {
    let wait = false;
    const prefix = `${nameOf(this.#path)}.`;
    for (const name of await this.#disk.list(parentOf(this.#path))) {
      if (!isLockName(name, prefix) || name === this.#name || this.#dead.includes(name)) continue;
      const found = await askAgain(socketPath(this.#path, name, this.#directory));
      if (found === "dead") {
        this.#dead.push(name);
      } else if (found === "silent" || found.holds || name < this.#name || late) {
        throw new DiskError("locked", this.#path, describe(found, name, prefix));
      } else {
        wait = true;
      }
    }
    return wait;
  }

  #answer(socket: net.Socket): void {
    this.#asking.add(socket);
    socket.on("error", ignore);
    socket.on("close", () => void this.#asking.delete(socket));
    const answer: Answer = { holds: this.#holds, pid: process.pid, host: hostname() };
    socket.end(JSON.stringify(answer));
    socket.resume();
    socket.unref();
  }
}

/** A name in the directory of `path`. */
function besides(path: string, name: string): string {
  const directory = parentOf(path);
  return directory === "/" ? `/${name}` : `${directory}/${name}`;
}

/** A path that fits into the address of a socket, however deep the directory lies. */
function socketPath(lockPath: string, name: string, directory: number): string {
  const path = besides(lockPath, name);
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return path;
  if (process.platform === "linux") return `/proc/self/fd/${directory}/${name}`;
  const fromHere = relative(process.cwd(), path);
  if (Buffer.byteLength(fromHere) <= SOCKET_PATH_BYTES_MAX) return fromHere;
  const message = `is too long to be locked (${SOCKET_PATH_BYTES_MAX} bytes): use a shorter path`;
  throw new DiskError("io", path, message);
}

/** Asks until there is an answer; who hangs up again and again counts as alive. */
async function askAgain(path: string): Promise<Finding> {
  for (let attempt = 0; attempt < ANSWER_ATTEMPTS; attempt++) {
    const found = await ask(path);
    if (found !== undefined) return found;
    await delay(POLL_MS);
  }
  return "silent";
}

/** Asks the owner of a socket once; undefined where it hung up without an answer. */
function ask(path: string): Promise<Finding | undefined> {
  return new Promise((resolve) => {
    const socket = net.connect({ path });
    let text = "";
    let ticks = 0;
    const timer = setInterval(() => {
      if (++ticks === ANSWER_TICKS) finish("silent");
    }, TICK_MS);
    const finish = (found: Finding | undefined): void => {
      clearInterval(timer);
      socket.destroy();
      resolve(found);
    };
    socket.setEncoding("utf8");
    socket.on("data", (part: string) => {
      text += part;
      if (text.length > ANSWER_BYTES_MAX) finish("silent");
    });
    socket.on("end", () => finish(parseAnswer(text)));
    socket.on("error", (error: NodeJS.ErrnoException) => finish(findingOf(error)));
  });
}

function findingOf(error: NodeJS.ErrnoException): Finding | undefined {
  if (error.code === "ECONNREFUSED" || error.code === "ENOENT") return "dead";
  // Its process ended while it was answering: ask again.
  if (error.code === "ECONNRESET" || error.code === "EPIPE") return undefined;
  return "silent";
}

function parseAnswer(text: string): Finding | undefined {
  if (text === "") return undefined;
  try {
    const answer = JSON.parse(text) as Answer;
    return typeof answer.holds === "boolean" ? answer : "silent";
  } catch {
    return "silent";
  }
}

function isLockName(name: string, prefix: string): boolean {
  return name.startsWith(prefix) && /^\d+-[0-9a-f]{16}$/.test(name.slice(prefix.length));
}

function describe(found: "silent" | Answer, name: string, prefix: string): string {
  if (found === "silent") {
    const pid = name.slice(prefix.length, name.indexOf("-", prefix.length));
    return `locked by process ${pid}, which lives but does not answer`;
  }
  const host = found.host === hostname() ? "" : ` on ${found.host}`;
  return `locked by process ${found.pid}${host}`;
}

function unlockable(path: string, error: NodeJS.ErrnoException): DiskError {
  const code = error.code ?? error.message;
  const reasons: Readonly<Record<string, "access" | "full" | "not-found">> = {
    EACCES: "access",
    EPERM: "access",
    EROFS: "access",
    ENOSPC: "full",
    ENOENT: "not-found",
  };
  const message = `cannot be locked: no UNIX socket can be bound in its directory (${code})`;
  const remedy = code in reasons ? "" : "; use a local file system that can hold one";
  return new DiskError(reasons[code] ?? "io", path, message + remedy, error);
}

function openDirectory(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY, (error, fd) => {
      if (error === null) return resolve(fd);
      const reason = error.code === "ENOENT" ? "not-found" : "io";
      reject(new DiskError(reason, path, `cannot be locked: ${error.code}`, error));
    });
  });
}

function closeQuietly(fd: number): void {
  fs.close(fd, ignore);
}

function ignore(): void {}
