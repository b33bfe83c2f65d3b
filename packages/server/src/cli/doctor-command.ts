/**
 * `quorate doctor`: what a data directory holds and what is wrong with it. Only reads.
 *
 * Exit code 0 where a member can start on it, 6 where it cannot.
 */
import { inspectDataDir } from "quorate";
import { doctorView } from "./doctor-view.ts";
import { CommandFailed, stylesOf } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

/** The flags of `quorate doctor`. */
export interface DoctorFlags {
  readonly id?: string;
  readonly json?: boolean;
}

/** Shows what is in the directory; fails with exit code 6 where it is damaged. */
export async function runDoctor(
  { directory, flags }: { readonly directory: string; readonly flags: DoctorFlags },
  terminal: Terminal,
): Promise<void> {
  const options = flags.id === undefined ? {} : { id: flags.id };
  const inspection = await inspectDataDir(directory, options);
  const style = stylesOf(terminal.stdout, terminal.env);
  const text =
    flags.json === true ? JSON.stringify(inspection, null, 2) : doctorView(inspection, style);
  terminal.stdout.write(`${text}\n`);
  if (inspection.health === "damaged") throw new CommandFailed(6);
}
