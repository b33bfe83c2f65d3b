/** What came of measuring the simulator, for the terminal, as Markdown and as JSON. */
import type { Machine } from "./environment.ts";
import { aligned, machineLine, othersLine, withSpread } from "./report.ts";
import { spreadOf } from "./statistics.ts";
import type { Round, SimulatorOptions } from "./simulator.ts";

const HEADS = [
  "invariants and checks",
  "events/s of CPU",
  "× real time of CPU",
  "CPU µs/event",
  "events/s on the wall",
] as const;

/** Aligned columns for a terminal. */
export function simulatorTable(rounds: readonly Round[]): string {
  return aligned([HEADS, ...linesOf(rounds)]);
}

export function simulatorMarkdown(
  rounds: readonly Round[],
  machine: Machine,
  options: SimulatorOptions,
): string {
  const table = [HEADS, HEADS.map(() => "---"), ...linesOf(rounds)];
  const { events, simulatedMs } = rounds[0]!;
  return [
    "# Simulator",
    "",
    ...table.map((line) => `| ${line.join(" | ")} |`),
    "",
    `Medians of ${options.runs} interleaved rounds (lowest–highest), each of ${options.seeds} seeds of the ` +
      `profile "${options.profile}" from ${options.from} on, after ${options.warmUpRuns} other seeds: ` +
      `${events.toLocaleString("en-GB")} events in ${Math.round(simulatedMs / 1_000).toLocaleString("en-GB")} s of ` +
      "simulated time, in one thread. An event is a message, a disk completion, a timer or a call that " +
      "ran code of a member. CPU is user and system time of the whole process, the helper threads of V8 " +
      "included. Each of these runs begins with an empty cluster and ends with its recovery.",
    "",
    othersLine(rounds.flatMap(({ othersShare }) => othersShare ?? [])),
    machineLine(machine),
    `- Commit: ${machine.commit}; ${machine.date}`,
    `- Command: \`${commandOf(options)}\``,
    "",
  ].join("\n");
}

export function simulatorJson(
  rounds: readonly Round[],
  environment: Machine,
  options: SimulatorOptions,
): string {
  return `${JSON.stringify({ environment, command: commandOf(options), rounds }, undefined, 2)}\n`;
}

function linesOf(rounds: readonly Round[]): (readonly string[])[] {
  return [true, false].map((withChecks) => {
    const these = rounds.filter((round) => round.withChecks === withChecks);
    const of = (value: (round: Round) => number): string => withSpread(spreadOf(these.map(value)));
    return [
      withChecks ? "all" : "none",
      of(({ events, cpuMs }) => (events / cpuMs) * 1_000),
      of(({ simulatedMs, cpuMs }) => simulatedMs / cpuMs),
      of(({ events, cpuMs }) => (cpuMs * 1_000) / events),
      of(({ events, wallMs }) => (events / wallMs) * 1_000),
    ];
  });
}

function commandOf({ seeds, from, profile, runs, warmUpRuns }: SimulatorOptions): string {
  return (
    `npm run bench -- simulator --seeds ${seeds} --from ${from} --profile ${profile} ` +
    `--runs ${runs} --warm-up ${warmUpRuns}`
  );
}
