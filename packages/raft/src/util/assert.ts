/**
 * Assertions that stay on in production.
 *
 * Raft promises nothing once one of its invariants is broken, so a broken one must stop the group
 * at once instead of spreading. The runtime catches {@link InvariantViolation}, stops that group
 * and reports it; the process goes on.
 */

/** A condition that this code relies on did not hold: a defect of ours, never of the caller. */
export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation";
}

/**
 * Throws {@link InvariantViolation} unless `condition` holds. A costly message goes in a function.
 */
export function assert(condition: boolean, message: string | (() => string)): asserts condition {
  if (!condition) throw new InvariantViolation(typeof message === "string" ? message : message());
}

/** Asserts that a value is there, and hands it back. */
export function assertDefined<T>(value: T | undefined | null, message: string): T {
  if (value === undefined || value === null) throw new InvariantViolation(message);
  return value;
}

/** Marks what the types say cannot happen; a new union member then fails to compile here. */
export function unreachable(value: never): never {
  throw new InvariantViolation(`unreachable: ${JSON.stringify(value)}`);
}

/** Indexes, terms and positions are safe integers: beyond 2^53 they would lose their last bit. */
export function assertIndex(value: number, name: string): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new InvariantViolation(`${name} must be a safe integer of 0 or more, not ${value}`);
  }
}
