/**
 * The option table as a zod schema: one value at a time, so that an error can say where the value
 * came from. Flags and variables are text, a configuration file has numbers and booleans: both are
 * taken for the same option.
 */
import { z } from "zod";
import { splitAddress } from "./address.ts";
import { boundsText, OPTION_ROWS } from "./options.ts";
import type { OptionName, OptionRow } from "./options.ts";

/** A checked value, or what is wrong with it as "must be …" or "has no port …". */
export type Checked =
  | { readonly ok: true; readonly value: string | number | boolean }
  | { readonly ok: false; readonly problem: string };

const MEMBER_ID = /^[A-Za-z0-9._:[\]-]{1,64}$/;

const SCHEMAS: ReadonlyMap<OptionName, z.ZodType<string | number | boolean>> = new Map(
  [...OPTION_ROWS].map(([name, row]) => [name, schemaOf(row)]),
);

/** Checks one value of one option. */
export function checkOption(name: OptionName, value: unknown): Checked {
  const result = SCHEMAS.get(name)!.safeParse(value);
  if (result.success) return { ok: true, value: result.data };
  return { ok: false, problem: result.error.issues[0]!.message };
}

function schemaOf(row: OptionRow): z.ZodType<string | number | boolean> {
  switch (row.type) {
    case "integer":
      return integer(row);
    case "flag":
      return z.union(
        [z.boolean(), z.stringbool({ truthy: ["true", "1"], falsy: ["false", "0"] })],
        {
          error: "must be true or false",
        },
      );
    case "choice":
      return z.enum(row.choices ?? [], { error: `must be one of ${boundsText(row)}` });
    case "id":
      return text().regex(MEMBER_ID, { error: "must be 1 to 64 of A-Z a-z 0-9 . _ : [ ] -" });
    case "address":
      return text().check((context) => {
        const address = splitAddress(context.value);
        if (typeof address === "string") refuse(context, address);
      });
    case "addresses":
      return text().check((context) => {
        for (const item of context.value.split(",")) {
          const address = splitAddress(item);
          if (typeof address !== "string") continue;
          refuse(context, `must be host:port,…; ${JSON.stringify(item)} ${address}`);
        }
      });
    case "origins":
      return text().check((context) => {
        for (const item of context.value.split(",")) {
          if (isOrigin(item)) continue;
          refuse(
            context,
            `must be https://host,…; ${JSON.stringify(item)} is no origin: scheme, host and port, as ` +
              "browsers write it, without a path. There is no * for all",
          );
        }
      });
    case "members":
      return text().check((context) => {
        const problem = problemOfMembers(context.value);
        if (problem !== undefined) refuse(context, problem);
      });
    default:
      return text();
  }
}

function text(): z.ZodString {
  return z.string({ error: "must be text" }).min(1, { error: "must not be empty" });
}

function integer(row: OptionRow): z.ZodType<number> {
  const error = `must be an integer from ${boundsText(row)}`;
  const digits = z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number);
  return z
    .union([z.number(), digits], { error })
    .pipe(z.int({ error }).min(row.min!, { error }).max(row.max!, { error }));
}

/** As browsers write it in `Origin`: nothing but that would ever be equal to one. */
function isOrigin(text: string): boolean {
  return /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text;
}

function problemOfMembers(list: string): string | undefined {
  for (const item of list.split(",")) {
    const equals = item.indexOf("=");
    if (equals < 1 || !MEMBER_ID.test(item.slice(0, equals)))
      return `must be id=host:port,…; there is no id in ${JSON.stringify(item)}`;
    const address = splitAddress(item.slice(equals + 1));
    if (typeof address === "string")
      return `must be id=host:port,…; ${JSON.stringify(item)} ${address}`;
  }
  return undefined;
}

function refuse(context: z.core.ParsePayload<string>, message: string): void {
  context.issues.push({ code: "custom", message, input: context.value });
}
