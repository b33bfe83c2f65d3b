/**
 * `Idempotency-Key` on writes of keys: a client that repeats a request with the same key, after a
 * timeout or a broken connection, on whichever member, gets the first outcome again, and the write
 * happens once. What was repeated says so by the header `Idempotency-Replayed: true`.
 *
 * The key is taken as it stands: 1 to 255 visible characters of ASCII, quotes included where there
 * are some. Two headers of that name are no key, and neither is an empty one: they are refused
 * instead of being ignored, because a client that sends them counts on them.
 */
import type { IncomingHttpHeaders } from "node:http";
import { QuorateError } from "quorate";
import type { KvCommand, NameRefused } from "../store/command.ts";
import { isRequestKey } from "../store/command-codec.ts";
import type { KeptResult } from "../store/outcomes.ts";
import { OUTCOME_LIMITS } from "../store/outcomes.ts";
import { nameRequest } from "../store/request-name.ts";
import { HttpError } from "./http-error.ts";

/** The header that names a request, as Node spells it. */
export const IDEMPOTENCY_HEADER = "idempotency-key";

/** The header of an answer that is a repetition of an earlier one. */
export const REPLAYED_HEADER = "idempotency-replayed";

const REPEATED: Readonly<Record<string, string>> = { [REPLAYED_HEADER]: "true" };
const NOT_REPEATED: Readonly<Record<string, string>> = {};

/** The command under the name that its request has, if it has one. Throws REQUEST_INVALID. */
export function named<C extends KvCommand>(command: C, headers: IncomingHttpHeaders): C {
  const key = headers[IDEMPOTENCY_HEADER];
  if (key === undefined) return command;
  if (typeof key === "string" && isRequestKey(key)) return nameRequest(command, key);
  const want = "1 to 255 visible characters of ASCII, and only once";
  throw new HttpError("REQUEST_INVALID", `the Idempotency-Key must be ${want}`);
}

/** Refuses the header on a request that cannot be repeated by it. */
export function refuseName(headers: IncomingHttpHeaders): void {
  if (headers[IDEMPOTENCY_HEADER] === undefined) return;
  throw new HttpError("REQUEST_INVALID", "an Idempotency-Key has a meaning on writes of keys only");
}

/** The result of a write that was looked at; throws where its name was refused. */
export function settled<R extends KeptResult>(result: R | NameRefused): R {
  if (result.type === "name-refused") throw refusalOf(result);
  return result;
}

/** What the answer says of whether it is a repetition. */
export function repetitionOf({ repeated }: KeptResult): Readonly<Record<string, string>> {
  return repeated === true ? REPEATED : NOT_REPEATED;
}

function refusalOf({ reason }: NameRefused): HttpError | QuorateError {
  if (reason === "reused") {
    return new HttpError(
      "IDEMPOTENCY_KEY_REUSED",
      "this Idempotency-Key was used for another request: take a new key for each request, and the " +
        "same key only to repeat the same method, key, value and condition",
    );
  }
  const seconds = OUTCOME_LIMITS.keptMsMin / 1_000;
  return new QuorateError(
    "OVERLOADED",
    `too many writes had an Idempotency-Key in the last ${seconds} s: no room to keep this one's`,
  );
}
