/**
 * Errors without stacks while a run lasts.
 *
 * Where clients time out and leaders come and go, errors are made by the thousand, and walking the
 * stack was a twentieth of a run's time. Nobody reads these stacks. Those of a violation are read:
 * a run that found something is lived once more with them (run.ts).
 *
 * Runs may overlap. The first one in takes stacks away, the last one out brings them back.
 */
const settings = Error as { stackTraceLimit?: number };

let depth = 0;
let limit: number | undefined;

/**
 * Does something during which errors have no stacks. Where engines know no limit, they keep them.
 */
export async function withoutStacks<T>(act: () => Promise<T>): Promise<T> {
  if (depth++ === 0) {
    limit = settings.stackTraceLimit;
    if (limit !== undefined) settings.stackTraceLimit = 0;
  }
  try {
    return await act();
  } finally {
    if (--depth === 0 && limit !== undefined) settings.stackTraceLimit = limit;
  }
}
