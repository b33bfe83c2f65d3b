/**
 * The JSON bodies of the member routes. What is not known in them is refused: a misspelt `role`
 * must not add a voter where a learner was meant.
 */
import type { FastifyRequest } from "fastify";
import type { NewMember, PlannedMembers, WantedMember } from "quorate";
import { z } from "zod";
import { HttpError } from "./http-error.ts";

const ROLE = z.enum(["voter", "learner"]);

/** `{ "id": "n4", "address": "10.0.0.4:9091", "role": "learner" }`; id and role may be left out. */
export const MEMBER_BODY: z.ZodType<NewMember> = z.strictObject({
  address: z.string(),
  id: z.string().exactOptional(),
  role: ROLE.exactOptional(),
});

/** All members that there are to be: voters, unless they say otherwise. */
export const SET_BODY: z.ZodType<WantedMember[]> = z.array(
  z.strictObject({ id: z.string(), address: z.string(), role: ROLE.default("voter") }),
);

/** `{ "address": … }`, or nothing. */
export const REPLACE_BODY: z.ZodType<{ readonly address?: string }> = z.strictObject({
  address: z.string().exactOptional(),
});

/** A change by its name: `{ "remove": "n2" }`. */
export const PLAN_BODY: z.ZodType<PlannedMembers> = z.union(
  [
    z.strictObject({ add: MEMBER_BODY }),
    z.strictObject({ remove: z.string() }),
    z.strictObject({ replace: z.string(), address: z.string().exactOptional() }),
    z.strictObject({ promote: z.string() }),
    z.strictObject({ demote: z.string() }),
    z.strictObject({ set: SET_BODY }),
  ],
  { error: "it must be one of add, remove, replace, promote, demote and set, with what it takes" },
);

/** The body of a request as what it should be; throws REQUEST_INVALID. */
export function parseBody<T>(request: FastifyRequest, schema: z.ZodType<T>): T {
  const bytes = request.body as Uint8Array | undefined;
  const text = bytes === undefined || bytes.length === 0 ? "{}" : new TextDecoder().decode(bytes);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new HttpError("REQUEST_INVALID", "the body is not JSON");
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = issue!.path.length === 0 ? "the body" : `${issue!.path.join(".")} in the body`;
  throw new HttpError("REQUEST_INVALID", `${where}: ${issue!.message}`);
}
