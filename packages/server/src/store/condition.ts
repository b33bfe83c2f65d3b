/** Whether a command takes effect. */
import type { Condition, Item } from "./command.ts";

/** Whether the condition holds for what the key has; undefined: it is absent. */
export function holds(condition: Condition, item: Item | undefined): boolean {
  if (condition.type === "revision") return item?.revision === condition.revision;
  return condition.type === "none" || (condition.type === "present") === (item !== undefined);
}
