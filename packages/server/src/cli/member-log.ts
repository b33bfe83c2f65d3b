/**
 * What happens in a member, as log lines: one per event that somebody would want to know of, with
 * the term where there is one, and the reason where there is one.
 */
import type { Logger } from "pino";
import type { ReplicaEvent } from "quorate";

/** Writes the line of an event, if it has one. */
export function logEvent(log: Logger, id: string, event: ReplicaEvent): void {
  switch (event.type) {
    case "role": {
      const { term, role, previous, reason } = event;
      log.info({ term, role, previous, reason }, `${id} is ${role} in term ${term}: ${reason}`);
      return;
    }
    case "leader":
      log.info(event, `term ${event.term}: ${leaderText(event.leader)}`);
      return;
    case "ready":
      log.info(event, `term ${event.term}: the leader has committed and serves`);
      return;
    case "vote":
      log.info(event, `term ${event.term}: vote for ${event.candidate}`);
      return;
    case "formed":
      log.info({ clusterId: event.clusterId }, `the cluster has formed: ${event.clusterId}`);
      return;
    case "configuration": {
      const { voters, outgoing, learners } = event.configuration;
      const { index } = event;
      log.info({ index, voters, outgoing, learners }, `voters are ${votersText(voters, outgoing)}`);
      return;
    }
    case "joined":
      log.info(
        event,
        `invited by cluster ${event.clusterId}, by configuration ${event.configurationIndex}`,
      );
      return;
    case "joining":
      log.info(event, `joining: ${event.peer} ${event.reason}`);
      return;
    case "removed":
      log.warn(event, event.reason);
      return;
    case "failed":
      log.error({ code: event.error.code, err: event.error }, `failed: ${event.error.message}`);
      return;
    default:
      logMinorEvent(log, event);
  }
}

/** While old and new voters decide together, losing either majority stops everything. */
function votersText(voters: readonly string[], outgoing: readonly string[]): string {
  const names = voters.join(", ");
  return outgoing.length === 0
    ? names
    : `${names}; with the old ones (${outgoing.join(", ")}) until all is done`;
}

function leaderText(leader: string | undefined): string {
  return leader === undefined ? "no leader is known" : `${leader} leads`;
}

function logMinorEvent(log: Logger, event: ReplicaEvent): void {
  switch (event.type) {
    case "peer-connected":
      log.info(event, `connected to ${event.peer} at ${event.address}`);
      return;
    case "peer-disconnected":
      log.info(event, `connection to ${event.peer} ended: ${event.reason}`);
      return;
    case "peer-refused":
      log.warn(event, `${event.peer}, refused by ${event.by}: ${event.reason}`);
      return;
    case "peer-problem":
      log.warn(event, `${event.address}: ${event.reason}`);
      return;
    case "storage":
      log.warn(event, `storage is ${event.state}`);
      return;
    case "snapshot-failed":
      log.warn({ code: event.error.code, err: event.error }, `no snapshot: ${event.error.message}`);
      return;
    case "snapshot-damaged":
      log.warn(event, `a snapshot is damaged, ${event.path}: ${event.reason}`);
      return;
    case "peer-denied":
      log.warn(event, `${event.peer} does not hold what it had acknowledged (${event.index})`);
      return;
    case "health": {
      const level = event.health === "ok" ? "info" : "warn";
      log[level](event, `this member is ${event.health} (was ${event.previous}): ${event.reason}`);
      return;
    }
    case "transfer":
      log.info(event, `transfer to ${event.target} ${event.phase}: ${event.reason}`);
      return;
    case "loop-stalled":
      log.warn(event, `the event loop stood still for ${Math.round(event.delayMs)} ms`);
      return;
    case "late-turn":
      log.warn(event, `a turn was ${Math.round(event.delayMs)} ms late`);
      return;
    case "slow-apply":
      log.warn(event, `applying ${event.index} took ${Math.round(event.elapsedMs)} ms`);
      return;
    case "truncated":
      log.info(event, `term ${event.term}: entries from ${event.from} on were replaced`);
      return;
    default:
      log.debug(event, event.type);
  }
}
