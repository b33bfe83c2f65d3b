/**
 * Conditional requests (RFC 9110, section 13) on revisions. The entity tag of a key is its revision
 * in quotes, so that compare-and-set is plain HTTP: `If-Match: "17"` writes only over revision 17,
 * `If-Match: *` only over something, `If-None-Match: *` only over nothing.
 *
 * What RFC 9110 would allow beyond that (lists of tags, `If-None-Match` with a tag on a write) has
 * no use here and is refused, because ignoring a condition would turn it into an unconditional
 * write.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { Condition } from "../store/command.ts";
import { NO_CONDITION } from "../store/command.ts";
import { HttpError } from "./http-error.ts";

/** The entity tag of a revision. */
export function tagOf(revision: number): string {
  return `"${revision}"`;
}

/** The condition that a write's headers ask for. */
export function conditionOf(headers: IncomingHttpHeaders): Condition {
  const match = headers["if-match"];
  const noneMatch = headers["if-none-match"];
  if (match === undefined && noneMatch === undefined) return NO_CONDITION;
  if (match !== undefined && noneMatch !== undefined) {
    throw new HttpError("REQUEST_INVALID", "If-Match and If-None-Match exclude each other");
  }
  if (match === undefined) {
    if (noneMatch === "*") return { type: "absent" };
    throw new HttpError("REQUEST_INVALID", 'on a write, If-None-Match can only be "*"');
  }
  if (match === "*") return { type: "present" };
  const digits = /^"(\d{1,16})"$/.exec(match)?.[1];
  const revision = Number(digits);
  if (digits !== undefined && Number.isSafeInteger(revision)) return { type: "revision", revision };
  throw new HttpError(
    "REQUEST_INVALID",
    'If-Match must be * or one revision in quotes, as in "17"',
  );
}

/** Whether a reader that sent these headers has this revision already. */
export function isKnown(headers: IncomingHttpHeaders, revision: number): boolean {
  const tags = headers["if-none-match"];
  if (tags === undefined) return false;
  if (tags.trim() === "*") return true;
  return tags.split(",").some((tag) => tag.trim().replace(/^W\//, "") === tagOf(revision));
}
