/** Clusters that grow and shrink, for tests of the runtime. */
import type { MembershipChange } from "../core/membership-change.ts";
import type { Opened } from "./world-harness.ts";
import type { World } from "./world-harness.ts";

/** A cluster of one, bootstrapped as n1. */
export async function alone(world: World): Promise<Opened> {
  const n1 = await world.open("n1", { bootstrap: true });
  await world.when(() => n1.node.isLeader, "n1 leads");
  return n1;
}

/** Where a member of that id listens. */
export const addressOf = (id: string): string => `${id}:${9090 + Number(id.slice(1))}`;

/** Joins through `via` and waits until it votes. */
export async function joined(
  world: World,
  id: string,
  via: string,
  others: Opened[],
): Promise<Opened> {
  const opened = await world.open(id, { join: [addressOf(via)] });
  const all = [...others, opened];
  await world.when(
    () => all.every(({ node }) => node.status().configuration.voters.includes(id)),
    `${id} votes`,
  );
  await settled(world, all);
  return opened;
}

/** Waits until no configuration is joint. */
export async function settled(world: World, all: readonly Opened[]): Promise<void> {
  await world.when(
    () => all.every(({ node }) => node.status().configuration.outgoing.length === 0),
    "the change is over",
  );
}

/** The one that leads. */
export function leaderOf(all: readonly Opened[]): Opened {
  return all.find(({ node }) => node.isLeader)!;
}

/** Asks the leader's core for a change, as the members API does. */
export function change(leader: Opened, asked: MembershipChange): void {
  const result = leader.change(asked);
  if (!result.ok) throw new Error(`${result.reason}: ${result.detail}`);
}

/** n1 … n<count>, grown one by one from a bootstrapped n1. */
export async function grown(world: World, count: number): Promise<Opened[]> {
  const all = [await alone(world)];
  for (let i = 2; i <= count; i++) all.push(await joined(world, `n${i}`, "n1", all));
  return all;
}
