/** What a leader says where it has no entries to send. */
import type { Director } from "quorate/sim";

type PeerMessage = Parameters<Parameters<Director["lose"]>[0]>[2];

/** Whether a message without entries tells that more than those up to `index` is committed. */
export function tellsOfMore(message: PeerMessage, index: number): boolean {
  const { type } = message;
  return (type === "heartbeat" || type === "commit-notice") && message.commit > index;
}
