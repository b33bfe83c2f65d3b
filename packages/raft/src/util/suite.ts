/**
 * Conformance suites that belong to no test runner.
 *
 * Every port has at least two implementations, and all of them run the same cases. A suite is a
 * list of named cases; the test file of an implementation hands them to its runner. Nothing here
 * imports a runner, so that suites can be published and run by others on their own implementations.
 */

/** One named case of a conformance suite. It passes by resolving. */
export interface SuiteCase {
  readonly name: string;
  run(): Promise<void>;
}

/** An expectation of a suite case did not hold. */
export class ExpectationFailed extends Error {
  override readonly name = "ExpectationFailed";
}

/** Throws unless `condition` holds. */
export function expectTrue(condition: boolean, what: string): asserts condition {
  if (!condition) throw new ExpectationFailed(what);
}

/** Throws unless both are the same: primitives, bytes, plain arrays and objects of them. */
export function expectEqual<T>(actual: T, expected: NoInfer<T>, what = "value"): void {
  const shownActual = show(actual);
  const shownExpected = show(expected);
  if (shownActual === shownExpected) return;
  throw new ExpectationFailed(`${what}: want ${clip(shownExpected)}, got ${clip(shownActual)}`);
}

/**
 * Throws unless the promise rejects with an error for which `accepts` holds (any error without it),
 * and returns that error.
 */
export async function expectRejects(
  promise: Promise<unknown>,
  accepts: (error: unknown) => boolean = () => true,
  what = "promise",
): Promise<unknown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    if (accepts(error)) return error;
    throw new ExpectationFailed(`${what}: rejected with another error: ${String(error)}`, {
      cause: error,
    });
  }
  throw new ExpectationFailed(`${what}: want a rejection, got ${clip(show(value))}`);
}

function clip(text: string): string {
  return text.length <= 400 ? text : `${text.slice(0, 400)}…`;
}

/** A form in which equal values look equal and different ones do not, whatever their key order. */
function show(value: unknown): string {
  if (value instanceof Uint8Array) return `bytes(${value.length})[${value.join(" ")}]`;
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return `{${entries.map(([key, field]) => `${key}: ${show(field)}`).join(", ")}}`;
  }
  if (typeof value === "string") return JSON.stringify(value);
  return typeof value === "bigint" ? `${value}n` : Object.is(value, -0) ? "-0" : String(value);
}
