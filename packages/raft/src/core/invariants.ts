/**
 * What must hold at all times, by name, and the one way to say that it does not.
 *
 * Raft promises nothing once one of these is broken, so each is checked where it could break, in
 * production too. A violation throws, the runtime stops this group and reports it, the process goes
 * on. Input from another member that is merely late, repeated or malformed is dropped and is no
 * violation; what proves that the cluster itself is broken (two leaders in one term, two different
 * entries committed at one index) is one.
 *
 * Checks are written `if (!holds) violated(name, detail)`, so that the detail is put together only
 * when it is needed and no closure is made on the hot path.
 */
import { InvariantViolation } from "../util/assert.ts";

/** Every asserted invariant and what it says. */
export const INVARIANTS = {
  "time-monotone": "The time of an input is never below that of the one before.",
  "recovered-consistent": "What recovery found fits together: terms, runs and indexes.",
  "term-monotone": "The term never goes back.",
  "vote-once": "A vote given in a term stays as it is for that term.",
  "one-leader-per-term": "Only one member leads in a term.",
  "campaign-as-voter": "Only who votes, or may still be needed as a voter, campaigns or leads.",
  "campaign-with-storage": "Nobody campaigns whose disk has stalled, where others could.",
  "log-contiguous": "A batch is appended right behind the last entry.",
  "log-terms-ordered": "Terms in the log never fall and never pass the current term.",
  "start-monotone": "The start of the log never goes back, nor beyond what the log holds.",
  "released-when-applied": "Only entries that are durable and applied leave the log.",
  "reset-beyond-commit": "The log starts anew only behind what is committed, never on a leader.",
  "leader-append-only": "A leader never overwrites or deletes an entry of its log.",
  "committed-kept": "A committed entry is never truncated and no leader contradicts it.",
  "verified-kept": "What was found equal to the log of a term's leader is kept in that term.",
  "commit-monotone": "The commit index never goes back.",
  "commit-within-log": "The commit index never passes the last entry.",
  "commit-own-term": "A leader commits by counting only entries of its own term (Figure 8).",
  "applied-within-commit": "Only committed entries are applied.",
  "match-within-log": "No peer has acknowledged more than the leader's log holds.",
  "next-after-match": "What is sent to a peer next lies behind what it has acknowledged.",
  "inflight-balanced": "The messages and bytes in flight are never below zero.",
  "outputs-in-sequence": "Only an output that was handed out can become durable.",
  "stable-within-log": "What is durable never passes the last entry.",
  "read-after-own-commit": "A read index is never below the leader's first own commit.",
  "transfer-appends-nothing": "A leader appends nothing while it hands leadership over.",
  "transfer-target-whole": "Timeout-now goes to a voter that holds the leader's whole log.",
  "one-configuration-uncommitted":
    "A leader appends a configuration only when the one in force is committed.",
  "configurations-overlap":
    "Voters change by a joint configuration alone, whose outgoing half is the voters before.",
  "joint-left-by-its-own-final": "What follows a joint configuration is its own final one.",
  "voters-have-incarnations": "Nobody votes whose directory is not known.",
} as const;

/** The name of an invariant. */
export type InvariantName = keyof typeof INVARIANTS;

/** Reports a broken invariant. */
export function violated(name: InvariantName, detail: string): never {
  throw new InvariantViolation(`${name}: ${INVARIANTS[name]} ${detail}`);
}
