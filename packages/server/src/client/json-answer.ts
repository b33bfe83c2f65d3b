/**
 * Answers that are JSON.
 */
import type { RawAnswer } from "./attempt.ts";

/** The JSON object of an answer; throws where one of these fields is missing. */
export function jsonIn({ bytes }: RawAnswer, fields: readonly string[]): unknown {
  const value = JSON.parse(new TextDecoder().decode(bytes)) as unknown;
  if (typeof value !== "object" || value === null || !fields.every((name) => name in value)) {
    throw new TypeError("no answer of a member");
  }
  return value;
}
