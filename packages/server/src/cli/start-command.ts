/**
 * `quorate start`: one member, until a signal or a failure ends it.
 *
 * It ends with 0 after SIGINT or SIGTERM and when it was removed from its cluster, with the code of
 * the error table where it cannot start or fails while it runs. As a child of `quorate dev` it
 * leaves Ctrl-C to its parent, and ends with it.
 */
import { readdirSync } from "node:fs";
import type { Logger } from "pino";
import { ERROR_CODES, QuorateError } from "quorate";
import type { ReplicaEvent } from "quorate";
import { memberConfig } from "../config/member-config.ts";
import type { MemberConfig } from "../config/member-config.ts";
import { startMember } from "../member.ts";
import type { RunningMember } from "../member.ts";
import { VERSION } from "../version.ts";
import { createLogger } from "./logging.ts";
import { logEvent } from "./member-log.ts";
import { isSupervised, report } from "./member-report.ts";
import { nodeNotice } from "./node-notice.ts";
import { failureOf } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

/** Closing takes milliseconds; where a disk hangs, the process ends all the same. */
const CLOSE_TIMEOUT_MS = 10_000;

/** Runs a member and gives the exit code of the process. */
export async function runStart(
  flags: Record<string, unknown>,
  terminal: Terminal,
): Promise<number> {
  const ending = listenForEnd();
  try {
    const config = memberConfig({ flags, env: terminal.env });
    requireBeginning(config);
    const log = await createLogger(config, terminal);
    return await serve(config, log, ending);
  } catch (error) {
    report({ type: "failed", message: failureOf(error).message });
    throw error;
  } finally {
    ending.stopListening();
  }
}

async function serve(config: MemberConfig, log: Logger, ending: Ending): Promise<number> {
  // A defect ends the process, as it should; its last line is in the log like all others.
  process.once("uncaughtExceptionMonitor", (error) => log.fatal({ err: error }, error.message));
  notices(config, log);
  const opening = startMember(config, {
    event: (event) => {
      logEvent(log, config.id, event);
      tellParent(event);
      if (event.type === "failed") ending.end({ failure: event.error });
      if (event.type === "removed") ending.end({ reason: event.reason });
    },
    requestFailed: (error, request) => log.error({ err: error, request }, `failed: ${request}`),
  });
  const member = await openedOrEnded(opening, ending, log);
  if (member === undefined) return 0;
  const status = member.replica.status();
  const { recovery } = status;
  const where = { rpc: status.address, http: member.http, data: config.data, recovery };
  log.info(
    where,
    `serving http://${member.http} (member ${config.id}, peers on ${status.address})`,
  );
  report({ type: "serving", http: member.http });
  report({ type: "leader", leader: status.leader ?? null, term: status.term });
  const { failure } = status;
  if (failure?.code === "REMOVED") ending.end({ reason: failure.message });
  else if (failure !== undefined) ending.end({ failure });
  const end = await ending.ended;
  if ("reason" in end) log.info(`closing: ${end.reason}`);
  await closeWithin(member, CLOSE_TIMEOUT_MS, log);
  if ("reason" in end) {
    log.info("closed");
    return 0;
  }
  report({ type: "failed", message: failureOf(end.failure).message });
  return ERROR_CODES[end.failure.code].exitCode;
}

/**
 * Waits until the member is open. A signal meanwhile lets opening come to its end, so that nothing
 * is left half-way; where it does not (a hanging disk, a very long log), the process ends without
 * it.
 */
async function openedOrEnded(
  opening: Promise<RunningMember>,
  ending: Ending,
  log: Logger,
): Promise<RunningMember | undefined> {
  const first = await Promise.race([opening, ending.ended]);
  if ("replica" in first) return first;
  if (!("reason" in first)) return opening;
  log.info(`closing while opening: ${first.reason}`);
  let timer: NodeJS.Timeout | undefined;
  const grace = new Promise<undefined>((done) => {
    timer = setTimeout(() => done(undefined), CLOSE_TIMEOUT_MS);
  });
  const member = await Promise.race([opening, grace]);
  clearTimeout(timer);
  if (member === undefined) log.warn("opening did not end in time: ending without it");
  return member;
}

type End = { readonly reason: string } | { readonly failure: QuorateError };

interface Ending {
  readonly ended: Promise<End>;
  /** Ends the member; the first call counts. */
  end(end: End): void;
  stopListening(): void;
}

/** Everything that may end the process from outside, from the very beginning. */
function listenForEnd(): Ending {
  let resolve: (end: End) => void = () => {};
  const ended = new Promise<End>((done) => (resolve = done));
  const onSignal = (signal: NodeJS.Signals): void => resolve({ reason: signal });
  const onDisconnect = (): void => resolve({ reason: "quorate dev has ended or asked for it" });
  // The terminal sends Ctrl-C to parent and children alike: the parent decides.
  const ignore = (): void => {};
  const supervised = isSupervised();
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", supervised ? ignore : onSignal);
  if (supervised) process.on("SIGHUP", ignore);
  if (supervised) process.on("disconnect", onDisconnect);
  if (supervised && !process.connected) onDisconnect();
  const stopListening = (): void => {
    process.off("SIGTERM", onSignal);
    process.off("SIGINT", supervised ? ignore : onSignal);
    process.off("SIGHUP", ignore);
    process.off("disconnect", onDisconnect);
    if (supervised && process.connected) process.disconnect();
  };
  return { ended, end: (end) => resolve(end), stopListening };
}

/** Without a way to begin, an empty directory is refused before anything is made in it. */
function requireBeginning({ data, start }: MemberConfig): void {
  if (start !== undefined) return;
  try {
    if (readdirSync(data).length > 0) return;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") return;
  }
  throw new QuorateError(
    "OPTION_INVALID",
    `${data} is empty: say how it begins, by --members n1=host:port,… (the same on every member), ` +
      "--bootstrap (a new cluster of one), --join host:port,… (members of a cluster) or --wait",
  );
}

function notices({ id, exposed }: MemberConfig, log: Logger): void {
  log.info({ version: VERSION, node: process.version }, `quorate ${VERSION}, member ${id}`);
  const notice = nodeNotice(process.versions.node);
  if (notice !== undefined) log.info(notice);
  if (exposed.length > 0) {
    const where = exposed.join(" and ");
    log.warn(`--insecure: whoever reaches ${where} can read and write everything`);
  }
}

function tellParent(event: ReplicaEvent): void {
  if (event.type !== "leader") return;
  report({ type: "leader", leader: event.leader ?? null, term: event.term });
}

async function closeWithin(member: RunningMember, timeoutMs: number, log: Logger): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), timeoutMs);
  });
  if ((await Promise.race([member.close(), late])) === "late") {
    log.error(`closing took more than ${timeoutMs} ms: ending all the same`);
  }
  clearTimeout(timer);
}
