/**
 * Operations of the key-value model over the HTTP interface, and what each answer means for a
 * history.
 *
 * | answer                                   | outcome                       |
 * |------------------------------------------|-------------------------------|
 * | 2xx                                      | done                          |
 * | 404 KEY_NOT_FOUND, `deleted: false`      | done: absent                  |
 * | 412                                      | done: the condition failed    |
 * | an error with `outcome: "not-done"`      | certainly not done            |
 * | no connection came about                 | certainly not done            |
 * | any other error, none at all, a lost one | unknown                       |
 *
 * An error that no failing member explains (a bad request, a poisoned disk) is a defect and throws.
 */
import type { KeyValueInput, KeyValueOutput } from "../../packages/raft/src/testing/index.ts";
import { ask, errorOf, jsonOf } from "./http.ts";
import type { Ask, Reply } from "./http.ts";

/** What a sound member may answer when members fail. */
const EXPECTED: ReadonlySet<string> = new Set([
  "NO_LEADER",
  "OVERLOADED",
  "TIMEOUT",
  "OUTCOME_UNKNOWN",
  "ABORTED",
  "CLOSED",
  "DISK_FULL",
  "STORAGE_STALLED",
]);

/** What one operation came to. */
export type Answer =
  | { readonly outcome: "done"; readonly output: KeyValueOutput }
  | { readonly outcome: "not-done" | "unknown"; readonly reason: string };

/** How an operation is asked for. */
export interface Terms {
  readonly timeoutMs: number;
  /** Parameters of reads, as `?consistency=lease`. */
  readonly readQuery?: string;
}

/** Performs an operation on the member whose HTTP port is given. */
export async function perform(
  port: number,
  key: string,
  input: KeyValueInput,
  { timeoutMs, readQuery = "" }: Terms,
): Promise<Answer> {
  const query = input.type === "read" ? readQuery : "";
  const reply = await ask({
    port,
    path: `/kv/${encodeURIComponent(key)}${query}`,
    timeoutMs,
    ...ofInput(input),
  });
  return reply.type === "reply"
    ? answerOf(input, reply)
    : { outcome: reply.type === "not-sent" ? "not-done" : "unknown", reason: reply.reason };
}

function ofInput(input: KeyValueInput): Pick<Ask, "method" | "headers" | "body"> {
  switch (input.type) {
    case "read":
      return { method: "GET" };
    case "put":
      return { method: "PUT", body: input.value };
    case "create":
      return { method: "PUT", body: input.value, headers: { "if-none-match": "*" } };
    case "cas": {
      if (!("ifRevision" in input)) throw new Error("HTTP compares revisions, not values");
      return { method: "PUT", body: input.value, headers: { "if-match": `"${input.ifRevision}"` } };
    }
    default:
      return input.ifRevision === undefined
        ? { method: "DELETE" }
        : { method: "DELETE", headers: { "if-match": `"${input.ifRevision}"` } };
  }
}

function answerOf(input: KeyValueInput, reply: Reply & { type: "reply" }): Answer {
  const { status, body } = reply;
  if (status >= 200 && status < 300) return done(outputOf(input, reply));
  const error = errorOf(reply);
  if (status === 412) return done({ type: "failed" });
  if (status === 404 && error?.code === "KEY_NOT_FOUND") return done({ type: "absent" });
  if (error === undefined || !EXPECTED.has(error.code)) throw new Error(`${status}: ${body}`);
  const outcome = error.outcome === "not-done" ? "not-done" : "unknown";
  return { outcome, reason: `${status} ${error.code}: ${error.message}` };
}

function outputOf(input: KeyValueInput, reply: Reply & { type: "reply" }): KeyValueOutput {
  const revision = Number(reply.headers["x-quorate-revision"]);
  if (!Number.isSafeInteger(revision)) throw new Error(`no revision beside ${reply.body}`);
  if (input.type === "read") return { type: "value", value: reply.body, revision };
  const body = jsonOf(reply);
  if (body["revision"] !== revision) {
    throw new Error(`the header says revision ${revision}, the body ${reply.body}`);
  }
  return body["deleted"] === false ? { type: "absent" } : { type: "ok", revision };
}

function done(output: KeyValueOutput): Answer {
  return { outcome: "done", output };
}
