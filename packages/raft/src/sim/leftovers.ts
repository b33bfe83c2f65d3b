/**
 * What is left in the queues of a cluster that has nothing to do: there must be nothing. Each line
 * names the member, the queue and what is in it.
 */
import type { MemberId } from "../core/configuration.ts";
import type { SimMember } from "./sim-member.ts";
import type { SimWorld } from "./sim-world.ts";

/** Room for some heartbeats and their answers. */
const HEARTBEATS_BYTES = 1_024;

/** One line per queue that is not empty. */
export function leftovers(world: SimWorld): string[] {
  const lines: string[] = [];
  const { members } = world;
  const isUp = (member: SimMember): boolean => member.state === "up" && world.isPart(member);
  const up = new Set(members.filter(isUp).map(({ id }) => id));
  for (const member of members) lines.push(...ofMember(member, up));
  // Each member dials every other one.
  const connectionsMax = members.length * (members.length - 1);
  // Who joins asks, and who was removed dials for a while: there the number says nothing.
  if (world.governing === undefined && world.network.connections > connectionsMax) {
    lines.push(`${world.network.connections} connections, where ${connectionsMax} are needed`);
  }
  if (world.openOperations > 0) lines.push(`${world.openOperations} calls have not ended`);
  return lines;
}

function ofMember(member: SimMember, up: ReadonlySet<MemberId>): string[] {
  const { engine, core } = member;
  if (engine === undefined || core === undefined) return [];
  const { calls } = engine.group;
  const status = core.status();
  const counts: [string, number][] = [
    ["writes that wait", calls.writes],
    ["reads that wait", calls.reads],
    ["gathered bytes", calls.gatheredBytes],
    ["uncommitted bytes", status.uncommittedBytes],
  ];
  for (const peer of status.peers) {
    if (!up.has(peer.id)) continue;
    counts.push([`messages on their way to ${peer.id}`, peer.inflightMessages]);
    counts.push([`bytes on their way to ${peer.id}`, peer.inflightBytes]);
    // A connection may have ended a moment ago, for what was done to it during the trouble.
    const isBehind = peer.state === "probe" || peer.matchIndex < status.lastIndex;
    counts.push([`peer that is not at the end of the log (${peer.id})`, isBehind ? 1 : 0]);
  }
  for (const { id, queuedBytes } of engine.ports.transport.status()) {
    if (!up.has(id)) continue;
    // Over a slow link a heartbeat or two are always on their way.
    if (queuedBytes > HEARTBEATS_BYTES) counts.push([`bytes queued for ${id}`, queuedBytes]);
  }
  return counts
    .filter(([, count]) => count !== 0)
    .map(([what, count]) => `${member.id} has ${count} ${what}`);
}
