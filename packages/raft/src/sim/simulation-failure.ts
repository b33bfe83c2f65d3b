/**
 * A run that broke a promise, as an error whose message is the report: what broke and when, what
 * the run was made from, the last events, and how to see it again.
 */
import type { RunViolation, SimResult } from "./run.ts";
import type { SimOptions } from "./options.ts";
import { TRACE_HEAD } from "./trace.ts";

/** So many of the last events are in the message; all that were kept are in `result`. */
const EVENTS_SHOWN = 40;
/** What goes on all the time and says nothing about a machine. */
const CHATTER = / [→←] \S+ (heartbeat|read-index|pre-vote)| durable up to /u;

/**
 * What {@link simulate} throws.
 *
 * @example
 * ```ts
 * try {
 *   await simulate(simulation);
 * } catch (error) {
 *   if (!(error instanceof SimulationFailure)) throw error;
 *   await simulate({ ...simulation, replay: error.options, trace: console.log });
 * }
 * ```
 */
export class SimulationFailure extends Error {
  override readonly name = "SimulationFailure";
  /** What broke. */
  readonly violation: RunViolation;
  /** The options that show it: as small as they were made. Keep these, not the seed. */
  readonly options: SimOptions;
  /** The run of these options. */
  readonly result: SimResult;
  /** The run that failed first, before it was made smaller. */
  readonly first: SimResult;

  constructor(result: SimResult, first: SimResult, run: number) {
    const { violation } = result;
    if (violation === undefined) throw new TypeError("a run without a violation is no failure");
    super(reportOf(result, violation, run));
    this.violation = violation;
    this.options = result.options;
    this.result = result;
    this.first = first;
  }
}

function reportOf(result: SimResult, violation: RunViolation, run: number): string {
  const { options, lastEvents } = result;
  const { seed, members, electionTimeoutMs, nemeses, network, clients } = options;
  const kinds = nemeses.map(({ kind }) => kind).join(", ");
  const calls = `${clients.closed} closed and ${clients.open} open clients`;
  const shown = lastEvents.filter((line) => !CHATTER.test(line)).slice(-EVENTS_SHOWN);
  const { invariant, message } = violation;
  return [
    message.startsWith(`${invariant}: `) ? message : `${invariant}: ${message}`,
    "",
    `Run ${run}, seed ${seed}: at step ${violation.step}, after ` +
      `${(violation.atUs / 1_000).toFixed(3)} ms of virtual time.`,
    `${members} members, election timeout ${electionTimeoutMs} ms, ${network.mode}, ${calls}.`,
    `Trouble: ${kinds === "" ? "none" : kinds}.`,
    "",
    `The last ${shown.length} events, less heartbeats and the like:`,
    TRACE_HEAD,
    ...shown,
    "",
    "To see it again, with every event, add this to the options of simulate:",
    `  trace: console.log, replay: ${JSON.stringify(options)}`,
  ].join("\n");
}
