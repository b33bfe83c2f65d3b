/**
 * How fresh a read over HTTP is to be: `consistency=linearizable|lease|local`,
 * `maxStalenessMs=500`, and `local=true`, which is short for `consistency=local`.
 *
 * What contradicts itself is refused, and so is what the library would refuse: a client that asked
 * for two things must not be answered as if it had asked for one of them.
 */
import type { ReadOptions } from "quorate";
import { HttpError } from "./http-error.ts";
import type { Parameters } from "./target.ts";
import { choiceOf, flagOf, integerOf } from "./target.ts";

const CONSISTENCIES = ["linearizable", "lease", "local"] as const;

const STALENESS_MAX_MS = 2 ** 31 - 1;

/** The part of the options of a read that says how old its answer may be. */
export type ReadFreshness = Pick<ReadOptions, "consistency" | "maxStalenessMs">;

/** Reads the parameters; what was not asked for is not in the result. Throws REQUEST_INVALID. */
export function readTerms(parameters: Parameters): ReadFreshness {
  const isLocal = flagOf(parameters, "local");
  const asked = choiceOf(parameters, "consistency", CONSISTENCIES);
  const bounds = { min: 0, max: STALENESS_MAX_MS };
  const maxStalenessMs = integerOf(parameters, "maxStalenessMs", bounds);
  if (isLocal && asked !== undefined && asked !== "local") {
    throw contradiction(`local=true with consistency=${asked}`);
  }
  const consistency = isLocal ? "local" : asked;
  if (maxStalenessMs === undefined) return consistency === undefined ? {} : { consistency };
  if (consistency === undefined) return { maxStalenessMs };
  if (consistency === "lease") return { consistency, maxStalenessMs };
  throw contradiction(`maxStalenessMs with consistency=${consistency}`);
}

function contradiction(what: string): HttpError {
  return new HttpError("REQUEST_INVALID", `${what} is a contradiction: say one of them`);
}
