/**
 * Once all is healed and quiet, no core waits for anything: nothing uncommitted is counted, nothing
 * is on its way to a member that runs, and the leader knows every such member to have all of its
 * log. What the engine around the core still holds is looked at elsewhere.
 */
import type { PeerStatus, RaftStatus } from "../../core/contract.ts";
import type { MemberId } from "../../core/configuration.ts";
import type { MemberView, Observer } from "../observer.ts";
import { SimViolation } from "../observer.ts";
import type { Invariant, InvariantContext } from "./invariant.ts";

/** See the top of this file. */
export const memoryAtBase: Invariant = {
  name: "memory-at-base",
  text: "After all faults have ended no member still keeps anything for what is over.",
  watch: (context) => new MemoryAtBase(context),
};

class MemoryAtBase implements Observer {
  readonly #context: InvariantContext;

  constructor(context: InvariantContext) {
    this.#context = context;
  }

  ended(): void {
    const { members, majority } = this.#context;
    const up = members.filter(
      (member) =>
        member.state === "up" &&
        member.core !== undefined &&
        this.#context.isPart?.(member) !== false,
    );
    if (up.length < majority) return;
    const ids = new Set(up.map((member) => member.id));
    for (const member of up) checkStatus(member, member.core!.status(), ids);
  }
}

function checkStatus(member: MemberView, status: RaftStatus, up: ReadonlySet<MemberId>): void {
  if (status.uncommittedBytes !== 0) {
    violated(member, `${status.uncommittedBytes} uncommitted bytes`);
  }
  if (status.persisted !== status.lastIndex) {
    violated(member, `entries ${status.persisted + 1} to ${status.lastIndex} on their way to disk`);
  }
  if (status.role !== "leader" && status.peers.length > 0) {
    violated(member, `the progress of ${status.peers.length} peers, and leads nobody`);
  }
  for (const peer of status.peers) if (up.has(peer.id)) checkPeer(member, status, peer);
}

function checkPeer(member: MemberView, status: RaftStatus, peer: PeerStatus): void {
  const { id, inflightMessages, inflightBytes, state, matchIndex } = peer;
  if (inflightMessages !== 0 || inflightBytes !== 0) {
    violated(
      member,
      `${inflightMessages} messages with ${inflightBytes} bytes on their way to ${id}`,
    );
  }
  if (state !== "replicate" || matchIndex !== status.lastIndex) {
    violated(
      member,
      `${id} in state ${state} with entries up to ${matchIndex} of ${status.lastIndex}`,
    );
  }
}

function violated(member: MemberView, what: string): never {
  throw new SimViolation(
    memoryAtBase.name,
    `at the end ${member.id} (life ${member.life}) still has ${what}; all is quiet, so nothing ` +
      `should be waiting`,
  );
}
