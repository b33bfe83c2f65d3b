/**
 * The log of a member: structured lines through pino, readable in a terminal, JSON otherwise. Lines
 * are written at once, so that the last ones before an end are there.
 */
import { destination, pino, stdTimeFunctions } from "pino";
import type { Logger } from "pino";
import type { OptionValues } from "../config/options.ts";
import type { Terminal } from "./terminal.ts";

/** Makes the logger of a member. */
export async function createLogger(
  config: Pick<OptionValues, "logFormat" | "logLevel"> & { readonly id: string },
  terminal: Terminal,
): Promise<Logger> {
  const options = {
    level: config.logLevel,
    base: { member: config.id },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const isTerminal = terminal.stdout.isTTY === true;
  if (config.logFormat !== "pretty" && !(config.logFormat === "auto" && isTerminal)) {
    return pino(options, destination({ dest: 1, sync: true }));
  }
  const { PinoPretty } = await import("pino-pretty");
  // One line per event: its sentence says what the fields of the JSON form say.
  const colorize = isTerminal && (terminal.env["NO_COLOR"] ?? "") === "";
  return pino(
    options,
    PinoPretty({ colorize, sync: true, include: "level,time,err", translateTime: "HH:MM:ss.l" }),
  );
}
