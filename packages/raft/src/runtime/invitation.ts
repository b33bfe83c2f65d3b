/**
 * How a member that was started with `join` or `wait` becomes part of a cluster: by an invitation.
 *
 * Who invites. Any member whose *committed* configuration names this very directory, by id and
 * incarnation. A configuration that is only appended may be rolled back, and then the invited
 * member would belong to a cluster that does not know it, for ever; one that is committed stays.
 *
 * Why it is safe. An invited member starts with an empty log and an empty configuration. It votes
 * and campaigns only once its log holds a configuration that names it (core/election.ts), and that
 * comes from the leader; so an invitation by itself gives nobody a vote, and a false one only
 * brings the member into a cluster that has never heard of it. The incarnation was drawn with the
 * directory and is proven by the connection: a second directory under the same id is not named, is
 * refused, and cannot vote a second time.
 *
 * The steps, each durable before the next: identity `joining` (with the cluster, the configuration
 * and its index) → a state record in the log → identity `formed`.
 *
 * What a crash leaves. `new`: nothing has happened, it asks again and is invited again, by the same
 * incarnation. `joining`: the cluster is decided, the log may be empty or hold the state record;
 * the start goes on from there, nobody is asked again. `formed`: done. From then on the log holds a
 * state record whatever happens, so a log without one is a log that was lost, and with it perhaps a
 * vote: such a start is refused (data-dir.ts). That is what the record is for. Its term, 1, is one
 * that every cluster has left behind or is in; nothing was voted in it here.
 *
 * Until its log has come, the configuration in the identity is all that such a member has: it dials
 * those who are named there. So one that is removed again before anything reached it learns that.
 */
import { decodeConfiguration } from "../core/configuration-codec.ts";
import type { Incarnation, MemberId } from "../core/configuration.ts";
import type { Invitation } from "../transport/peer-message.ts";
import type { ClusterId } from "../transport/transport.ts";
import { assert } from "../util/assert.ts";
import { toHex } from "../util/bytes.ts";
import { QuorateError, messageOf } from "../util/error.ts";
import { names } from "./admission.ts";
import type { FormingStore } from "./formation.ts";
import type { Identity } from "./identity.ts";

/** The term of the state record by which a log is known to have begun. */
const FIRST_TERM = 1;

/** Throws, in a sentence, where an invitation is not for this directory. */
export function checkInvitation(
  self: { readonly id: MemberId; readonly incarnation: Incarnation },
  from: MemberId,
  message: Invitation,
): void {
  let isNamed: boolean;
  try {
    isNamed = names(decodeConfiguration(message.configuration), self);
  } catch (cause) {
    const text = `${from} invites by a configuration that cannot be read: ${messageOf(cause)}`;
    throw new QuorateError("PEER_REFUSED", text, { cause });
  }
  if (isNamed) return;
  throw new QuorateError(
    "PEER_REFUSED",
    `${from} invites ${self.id} by a configuration that does not name this data directory`,
  );
}

/** The identity of a member that has accepted an invitation. */
export function joiningIdentity(
  identity: Identity,
  clusterId: ClusterId,
  { index, configuration }: Invitation,
): Identity {
  assert(identity.state === "new", "a directory accepts one invitation, once");
  const payload = toHex(configuration);
  return { ...identity, state: "joining", clusterId, configuration: payload, invitedBy: index };
}

/** Brings an accepted invitation to `formed`. May be repeated after a crash at any point of it. */
export async function joinDurably(store: FormingStore, joining: Identity): Promise<Identity> {
  assert(joining.state === "joining", "only an accepted invitation is carried out");
  await store.identityFile.write(joining);
  if (store.log.recovered(store.group).hardState.term === 0) {
    const hardState = { term: FIRST_TERM, vote: undefined, commit: 0 };
    await store.log.append([{ group: store.group, hardState, entries: [], commit: 0 }]);
  }
  const formed: Identity = { ...joining, state: "formed" };
  await store.identityFile.write(formed);
  return formed;
}
