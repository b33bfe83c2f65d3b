/**
 * Randomness from the operating system. It is drawn rarely (identities, election timeouts), so it
 * need not be fast; it must differ between processes that start in the same instant.
 */
import { randomInt } from "node:crypto";
import type { Random } from "../util/random.ts";

/** Uniform integers from the system's generator. */
export const nodeRandom: Random = { below: (n) => (n === 1 ? 0 : randomInt(n)) };
