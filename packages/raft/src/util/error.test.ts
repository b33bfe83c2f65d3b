/** Errors: recognised across copies, and never vague about the outcome. */
import { describe, expect, test } from "vitest";
import { assert, assertDefined, InvariantViolation } from "./assert.ts";
import { ERROR_CODES, type ErrorCode, messageOf, QuorateError } from "./error.ts";

describe("QuorateError", () => {
  test("carries code, outcome, cause and leader, and begins its message with the code", () => {
    const cause = new Error("boom");
    const error = new QuorateError("NO_LEADER", "no leader for 1 s", { cause, leader: "n2" });
    expect(error.message).toBe("[NO_LEADER] no leader for 1 s");
    expect(error).toMatchObject({ retryable: true, outcome: "not-done", leader: "n2", cause });
  });

  test("is recognised by its brand, not by its class", () => {
    const foreign = { [Symbol.for("quorate.error")]: true };
    expect(QuorateError.is(foreign)).toBe(true);
    expect(QuorateError.is(new Error("x"))).toBe(false);
    for (const value of [null, undefined, 1, "x"]) expect(QuorateError.is(value)).toBe(false);
  });

  test("a call site that knows better overrides the outcome", () => {
    expect(new QuorateError("TIMEOUT", "x", { outcome: "unknown" }).outcome).toBe("unknown");
  });

  test("an outcome that is unknown is never called retryable", () => {
    for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
      const { outcome, retryable } = ERROR_CODES[code];
      if (outcome === "unknown") expect(retryable, code).toBe(false);
    }
  });
});

test("messageOf takes whatever was thrown", () => {
  expect(messageOf(new Error("a"))).toBe("a");
  expect(messageOf("b")).toBe("b");
  expect(messageOf(undefined)).toBe("undefined");
});

test("assertions throw InvariantViolation and make their message only when needed", () => {
  let made = 0;
  const message = (): string => `made ${++made}`;
  assert(true, message);
  expect(made).toBe(0);
  expect(() => assert(false, message)).toThrow(InvariantViolation);
  expect(() => assertDefined(undefined, "gone")).toThrow("gone");
  expect(assertDefined(0, "there")).toBe(0);
});
