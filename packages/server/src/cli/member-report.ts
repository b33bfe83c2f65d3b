/**
 * What a member's process tells the `quorate dev` that started it, over the channel between them.
 * The channel is also how the parent lives or dies for its children: when it closes, for whatever
 * reason, they end.
 */

/** One report. */
export type MemberReport =
  | { readonly type: "serving"; readonly http: string }
  | { readonly type: "leader"; readonly leader: string | null; readonly term: number }
  | { readonly type: "failed"; readonly message: string };

/** Whether this process was started by `quorate dev`. */
export function isSupervised(): boolean {
  return process.env[SUPERVISED_VARIABLE] === "1" && process.send !== undefined;
}

/** Tells the parent, where there is one that listens. */
export function report(message: MemberReport): void {
  if (!isSupervised() || !process.connected) return;
  // A parent that has just died cannot be told; its end is noticed elsewhere.
  process.send?.(message, undefined, undefined, () => {});
}

/** Set for the children of `quorate dev`. */
export const SUPERVISED_VARIABLE = "QUORATE_SUPERVISED";
