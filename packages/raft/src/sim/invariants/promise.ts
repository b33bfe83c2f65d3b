/**
 * Which messages bind the member that sends them: others act on them as on something that cannot
 * be taken back. All others (refusals, pre-votes, answers to heartbeats, requests for an index)
 * promise nothing that a crash could break.
 */
import type {
  AppendEntries,
  AppendEntriesResponse,
  CommitNotice,
  Heartbeat,
  RequestVote,
  RequestVoteResponse,
} from "../../core/message.ts";
import type { PeerMessage } from "../../transport/peer-message.ts";

/** A message that binds its sender. */
export type PromiseMessage =
  | RequestVote
  | RequestVoteResponse
  | AppendEntries
  | AppendEntriesResponse
  | Heartbeat
  | CommitNotice;

/** Whether a message binds its sender. */
export function isPromise(message: PeerMessage): message is PromiseMessage {
  switch (message.type) {
    case "request-vote":
    case "append-entries":
    case "heartbeat":
    case "commit-notice":
      return true;
    case "request-vote-response":
      return message.granted;
    case "append-entries-response":
      return message.success;
    default:
      return false;
  }
}
