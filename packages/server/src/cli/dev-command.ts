/**
 * `quorate dev`: a local cluster, each member a process of its own.
 *
 * ```
 *   plan ── ports and data checked ── all started ── a leader is known ── … until Ctrl-C
 *                                          │              │
 *                    a member cannot start: all end       └ a member crashed: started again, later
 * ```
 *
 * No process is ever left behind: the first Ctrl-C ends all members in order and waits, the second
 * kills them; a member that does not end in time is killed; and if this process dies, the members
 * see their channel close and end by themselves. A member whose exit code says that starting it
 * again would change nothing (wrong options, damaged data, a port in use) ends the whole cluster.
 */
import { readFileSync } from "node:fs";
import { DevMember } from "./dev-member.ts";
import type { DevMemberEnd, DevMemberPlan } from "./dev-member.ts";
import { makeDirectory, planMembers, requirePorts, requireSameSize } from "./dev-plan.ts";
import type { DevFlags } from "./dev-plan.ts";
import { DevView } from "./dev-view.ts";
import type { MemberReport } from "./member-report.ts";
import { nodeNotice } from "./node-notice.ts";
import { CommandFailed } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

const RESTART_MIN_MS = 500;
const RESTART_MAX_MS = 10_000;
/** A member that ran this long is no longer in a loop of crashes. */
const STABLE_MS = 30_000;
const PARENT_POLL_MS = 500;
/** Exit codes after which another start would end the same way. */
const FINAL_CODES: ReadonlySet<number | null> = new Set([2, 6, 7]);
const INTERRUPTED = 130;
/** Signals this close together are one. */
const SAME_SIGNAL_MS = 500;

/** Runs a local cluster until it is told to end; gives the exit code. */
export async function runDev(flags: DevFlags, terminal: Terminal): Promise<number> {
  const plans = planMembers(flags);
  requireSameSize(flags);
  await requirePorts(plans);
  makeDirectory(flags);
  return new DevCluster(plans, flags.data, terminal).run();
}

interface Restart {
  delayMs: number;
  startedMs: number;
  timer: NodeJS.Timeout | undefined;
}

class DevCluster {
  readonly #plans: readonly DevMemberPlan[];
  readonly #data: string;
  readonly #view: DevView;
  readonly #members = new Map<string, DevMember>();
  readonly #restarts = new Map<string, Restart>();
  readonly #serving = new Set<string>();
  #leader: { readonly id: string; readonly term: number } | undefined;
  #isShown = false;
  #isEnding = false;
  #end: (failure: CommandFailed | undefined) => void = () => {};
  readonly #ended: Promise<CommandFailed | undefined>;

  constructor(plans: readonly DevMemberPlan[], data: string, terminal: Terminal) {
    this.#plans = plans;
    this.#data = data;
    this.#view = new DevView(terminal);
    this.#ended = new Promise((resolve) => (this.#end = resolve));
    for (const plan of plans) {
      this.#members.set(
        plan.id,
        new DevMember(plan, {
          report: (from, report) => this.#hear(from, report),
          ended: (who, end) => this.#memberEnded(who, end),
        }),
      );
    }
  }

  async run(): Promise<number> {
    const killAll = (): void => this.#killAll();
    process.on("exit", killAll);
    const stopListening = this.#listenForEnd();
    const count = this.#plans.length;
    const notice = nodeNotice(process.versions.node);
    if (notice !== undefined) this.#view.line(notice, "yellow");
    this.#view.wait(`starting ${count === 1 ? "one member" : `${count} members`}`);
    try {
      for (const plan of this.#plans) this.#start(plan);
      const failure = await this.#ended;
      await this.#stopAll();
      if (failure !== undefined) throw failure;
      this.#view.line("All members have ended.");
      return 0;
    } finally {
      this.#killAll();
      this.#view.close();
      stopListening();
      process.off("exit", killAll);
    }
  }

  #start(plan: DevMemberPlan): void {
    const delayMs = this.#restarts.get(plan.id)?.delayMs ?? RESTART_MIN_MS;
    this.#restarts.set(plan.id, { delayMs, startedMs: performance.now(), timer: undefined });
    this.#members.get(plan.id)!.start();
  }

  #hear(plan: DevMemberPlan, report: MemberReport): void {
    if (this.#isEnding) return;
    if (report.type === "serving") this.#serving.add(plan.id);
    if (report.type === "leader" && report.leader !== null) {
      const { leader: id, term } = report;
      if (this.#leader === undefined || term > this.#leader.term) {
        this.#leader = { id, term };
        if (this.#isShown) this.#view.line(`${id} leads (term ${term}).`, "green");
      }
    }
    if (this.#isShown || this.#leader === undefined) return;
    if (this.#serving.size < this.#plans.length) return;
    this.#isShown = true;
    this.#view.board(this.#plans, this.#leader.id, this.#leader.term, this.#data);
  }

  #memberEnded(plan: DevMemberPlan, end: DevMemberEnd): void {
    if (this.#isEnding) return;
    // Ctrl-C reached it before it was ready to leave that to us, and will be here in a moment.
    if (end.signal === "SIGINT") {
      this.#end(undefined);
      return;
    }
    const how = end.signal === null ? `with code ${end.code}` : `by ${end.signal}`;
    if (FINAL_CODES.has(end.code)) {
      const message = `${plan.id} cannot run: ${end.message}\n(its log: ${plan.logPath})`;
      this.#end(new CommandFailed(end.code!, message));
      return;
    }
    const restart = this.#restarts.get(plan.id)!;
    const ranMs = performance.now() - restart.startedMs;
    const delayMs = ranMs > STABLE_MS ? RESTART_MIN_MS : restart.delayMs;
    const seconds = (delayMs / 1_000).toFixed(1);
    this.#view.line(`${plan.id} ended ${how}; starting it again in ${seconds} s.`, "yellow");
    restart.delayMs = Math.min(2 * delayMs, RESTART_MAX_MS);
    restart.timer = setTimeout(() => this.#start(plan), delayMs);
  }

  async #stopAll(): Promise<void> {
    this.#isEnding = true;
    for (const { timer } of this.#restarts.values()) clearTimeout(timer);
    this.#view.wait("ending all members");
    await Promise.all([...this.#members.values()].map((member) => member.stop()));
  }

  #killAll(): void {
    for (const member of this.#members.values()) member.kill();
  }

  /** Ctrl-C, a signal, the terminal or the parent process going away. */
  #listenForEnd(): () => void {
    let firstMs: number | undefined;
    const onSignal = (): void => {
      const nowMs = performance.now();
      firstMs ??= nowMs;
      // One Ctrl-C may come twice: from the terminal, and passed on by npm or `timeout`.
      if (nowMs - firstMs < SAME_SIGNAL_MS) {
        this.#end(undefined);
        return;
      }
      this.#killAll();
      process.exit(INTERRUPTED);
    };
    const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
    for (const name of names) process.on(name, onSignal);
    const timer = this.#watchParents();
    return () => {
      clearInterval(timer);
      for (const name of names) process.off(name, onSignal);
    };
  }

  /**
   * Under `npm start` there is a shell in between that passes no signal on: when npm or the shell
   * was ended, nobody would end this process. A parent that is gone shows as another parent.
   */
  #watchParents(): NodeJS.Timeout | undefined {
    if (process.env["npm_lifecycle_event"] === undefined) return undefined;
    const before = parents();
    return setInterval(() => {
      if (parents() !== before) this.#end(undefined);
    }, PARENT_POLL_MS);
  }
}

/** Parent and, on Linux, its parent. */
function parents(): string {
  const { ppid } = process;
  try {
    const fields = readFileSync(`/proc/${ppid}/stat`, "utf8")
      .replace(/^.*\) /, "")
      .split(" ");
    return `${ppid} of ${fields[1]}`;
  } catch {
    return String(ppid);
  }
}
