/**
 * Before a new cluster is begun: asks the addresses that the operator knows whether there is one
 * already. A unit file that still says `--bootstrap` must not make a second cluster of a lost disk.
 *
 * A contact that cannot be reached says nothing, since on the first day of a cluster nobody is
 * there to be asked; each gets one try. Where two members that know each other are bootstrapped at
 * the same time, the one with the smaller id goes on.
 *
 * This is a courtesy, not the safeguard: contacts may be away, or not given. The safeguard is that
 * members of the other cluster dial us under our id sooner or later (peering.ts).
 */
import { votersOnly } from "../core/configuration.ts";
import type { Incarnation, MemberId } from "../core/configuration.ts";
import { NO_CLUSTER } from "../transport/transport.ts";
import type { Hello } from "../transport/transport.ts";
import { toHex } from "../util/bytes.ts";
import type { Clock } from "../util/clock.ts";
import { QuorateError } from "../util/error.ts";
import type { Random } from "../util/random.ts";
import { formingIdentity } from "./formation.ts";
import type { Identity } from "./identity.ts";

/** Longer than a dial may take: by then each contact has answered, or will not. */
const ASK_TIMEOUT_MS = 5_000;

/** Where the transport tells what contacts say. */
export interface ContactAnswers {
  contacted(address: string, remote: Hello): void;
  contactFailed(address: string, reason: string): void;
}

/** Resolves when nothing speaks against a new cluster; rejects with CLUSTER_EXISTS. */
export function askBeforeBootstrap(
  from: {
    readonly id: MemberId;
    readonly incarnation: Incarnation;
    readonly contacts: readonly string[];
    readonly clock: Clock;
  },
  ask: (answers: ContactAnswers | undefined) => void,
): Promise<void> {
  const { id, incarnation, contacts, clock } = from;
  return new Promise((resolve, reject) => {
    const open = new Set(contacts);
    const end = (error?: QuorateError): void => {
      timer.cancel();
      ask(undefined);
      if (error === undefined) resolve();
      else reject(error);
    };
    const timer = clock.setTimer(ASK_TIMEOUT_MS, () => end());
    const done = (address: string): void => {
      if (open.delete(address) && open.size === 0) end();
    };
    ask({
      contacted: (address, remote) => {
        const isSelf = remote.id === id && remote.incarnation === incarnation;
        const problem = isSelf ? undefined : problemWith(id, address, remote);
        if (problem === undefined) done(address);
        else end(new QuorateError("CLUSTER_EXISTS", problem));
      },
      contactFailed: (address) => done(address),
    });
  });
}

/** The identity of a member that is a new cluster of its own, with an id drawn for it. */
export function bootstrapIdentity(identity: Identity, address: string, random: Random): Identity {
  const { id, incarnation } = identity;
  const clusterId = toHex(Uint8Array.from({ length: 16 }, () => random.below(256)));
  return formingIdentity(identity, votersOnly([{ id, address, incarnation }]), clusterId);
}

function problemWith(id: MemberId, address: string, remote: Hello): string | undefined {
  if (remote.clusterId !== NO_CLUSTER) {
    const asJoin = `start ${id} with --join ${address}`;
    return (
      `${address} is ${remote.id} of cluster ${remote.clusterId}: no second cluster is begun. To ` +
      `become a member of that one, ${asJoin}; if ${id} was one of its members and has lost its ` +
      `directory, it must be replaced first (members replace ${id})`
    );
  }
  if (remote.mode !== "bootstrap" || remote.id > id) return undefined;
  return `${address} is ${remote.id}, which is bootstrapped at the same time: one of you has to join`;
}
