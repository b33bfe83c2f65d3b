/**
 * Watches a network of cores and throws as soon as one of Raft's promises is broken. It looks at
 * outputs, at messages as they leave and at the disks, and believes no core.
 *
 *  - election safety: at most one member becomes leader in a term; a member votes once per term,
 *    over crashes too, and a candidate votes for itself
 *  - log matching: an entry of an index and a term has one content and one term before it, for
 *    ever
 *  - leader completeness: a new leader holds every entry that was committed in a *lower* term
 *  - state-machine safety: one entry per committed index, and a commit index that never goes back
 *  - a leader counts only up to entries of its own term (Figure 8)
 *  - a committed entry is on the disks of a quorum when its leader says so, and is never
 *    truncated
 *  - what a member promised (a vote, an acknowledgement) is on its disk when the promise leaves,
 *    and the terms of its promises never fall
 *  - a read index is not below what was committed anywhere when the read was asked; a read ends
 *    once
 */
import { crc32 } from "../util/checksum.ts";
import type { MemberId } from "./configuration.ts";
import type { TestNode } from "./core-harness.ts";
import { configurationOf } from "./core-harness.ts";
import { EntryCursor } from "./entry.ts";
import type { TestDisk } from "./member-harness.ts";
import { isLeading } from "./message.ts";
import type { Message } from "./message.ts";
import type { CoreEvent, Output, ReadOutcome } from "./output.ts";

interface CommittedEntry {
  /** Term of the entry. */
  readonly term: number;
  /** The term in which it became committed: that of the leader that said so first. */
  readonly inTerm: number;
}

/** What a member has said of itself since it started. */
interface Life {
  readonly core: unknown;
  commit: number;
  isLeader: boolean;
}

interface OpenRead {
  readonly floor: number;
}

/** What can go wrong with a promise: a defect of the core, named. */
export class BrokenPromise extends Error {
  override readonly name = "BrokenPromise";
}

function broken(what: string): never {
  throw new BrokenPromise(what);
}

/** See the top of this file. */
export class SafetyWatch {
  /** Highest index that anybody has ever said to be committed. */
  commit = 0;
  /** Reads that are waiting, by member and context. */
  readonly openReads: Map<string, OpenRead> = new Map();
  answeredReads = 0;
  readonly #nodes: () => Iterable<TestNode>;
  readonly #voters: readonly MemberId[];
  readonly #leaders: Map<number, MemberId> = new Map();
  readonly #votes: Map<string, MemberId> = new Map();
  readonly #promisedTerms: Map<MemberId, number> = new Map();
  readonly #entries: Map<string, string> = new Map();
  readonly #committed: Map<number, CommittedEntry> = new Map();
  readonly #lives: Map<MemberId, Life> = new Map();
  readonly #cursor: EntryCursor = new EntryCursor();

  constructor(voters: readonly MemberId[], nodes: () => Iterable<TestNode>) {
    this.#voters = voters;
    this.#nodes = nodes;
  }

  /** A member handed out an output; nothing of it has been carried out yet. */
  onOutput(node: TestNode, output: Output): void {
    for (const batch of output.entries) {
      let before = node.raft.state.log.termAt(batch.firstIndex - 1);
      this.#cursor.reset(batch);
      while (this.#cursor.next()) {
        const { index, kind, payload } = this.#cursor.view;
        const previous = before;
        before = batch.term;
        // What stands before may have left the log by now.
        if (previous === undefined) continue;
        const content = `${kind}:${crc32(payload)} behind term ${previous}`;
        const known = this.#entries.get(`${index}@${batch.term}`);
        if (known === undefined) this.#entries.set(`${index}@${batch.term}`, content);
        else if (known !== content) {
          broken(`log matching: ${node.id} has ${index}@${batch.term} ${content}, not ${known}`);
        }
      }
    }
    const life = this.#lifeOf(node);
    for (const event of output.events) this.#onEvent(node, life, event);
    if (output.commit !== life.commit) {
      broken(`${node.id} hands out commit ${output.commit}, its events say ${life.commit}`);
    }
    for (const outcome of output.reads) this.#onRead(node, outcome);
  }

  /** A message leaves a member. */
  onSent(node: TestNode, to: MemberId, message: Message): void {
    if (message.type === "request-vote") this.#vote(node.id, message.term, node.id);
    else if (message.type === "request-vote-response" && message.granted) {
      this.#vote(node.id, message.term, to);
    } else if (message.type === "append-entries-response" && message.success) {
      this.#acknowledged(node, message.term, message.index);
    } else if (!isLeading(message)) return;
    this.#promised(node, message.term);
  }

  /** A member is asked for a read. */
  onReadAsked(node: TestNode, context: number): void {
    this.openReads.set(`${node.id}#${context}`, { floor: this.commit });
  }

  /** The member refused to take the read in. */
  onReadRefused(node: TestNode, context: number): void {
    this.openReads.delete(`${node.id}#${context}`);
  }

  /** A member crashed: whoever waited there knows. */
  onCrash(id: MemberId): void {
    for (const key of this.openReads.keys()) {
      if (key.startsWith(`${id}#`)) this.openReads.delete(key);
    }
  }

  /** A restart begins a new life; it may know of a commitment from its disk. */
  #lifeOf(node: TestNode): Life {
    const known = this.#lives.get(node.id);
    if (known !== undefined && known.core === node.core) return known;
    const { hardState, start } = node.durable;
    const commit = Math.max(hardState.commit, start?.index ?? 0);
    if (commit > this.commit) broken(`${node.id} has commit ${commit} on disk`);
    const life: Life = { core: node.core, commit, isLeader: false };
    this.#lives.set(node.id, life);
    return life;
  }

  #onEvent(node: TestNode, life: Life, event: CoreEvent): void {
    if (event.type === "role") {
      life.isLeader = event.role === "leader";
      if (life.isLeader) this.#elected(node, event.term);
    } else if (event.type === "commit") {
      this.#onCommit(node, life, event);
    } else if (event.type === "reset") {
      const committed = this.#committed.get(event.index);
      if (committed?.term !== event.term) {
        broken(`${node.id} takes over ${event.index}@${event.term}, which nobody committed`);
      }
    } else if (event.type === "truncated") {
      const committed = this.#committed.get(event.from);
      if (committed?.term === event.term) {
        broken(`${node.id} truncates the committed entry ${event.from}@${event.term}`);
      }
    }
  }

  #elected(node: TestNode, term: number): void {
    const known = this.#leaders.get(term);
    if (known !== undefined) broken(`${known} and ${node.id} are both elected in term ${term}`);
    this.#leaders.set(term, node.id);
    for (const [index, entry] of this.#committed) {
      if (entry.inTerm >= term || index < node.raft.state.log.startIndex) continue;
      const own = node.raft.state.log.termAt(index);
      if (own !== entry.term) {
        broken(
          `leader completeness: ${node.id}, leader of term ${term}, has ${index}@${own}, but ` +
            `${index}@${entry.term} was committed in term ${entry.inTerm}`,
        );
      }
    }
  }

  #onCommit(node: TestNode, life: Life, event: { index: number; term: number }): void {
    const { log } = node.raft.state;
    const commit = event.index;
    if (commit <= life.commit) broken(`${node.id} goes from commit ${life.commit} to ${commit}`);
    if (commit > log.lastIndex) broken(`${node.id} commits ${commit} of ${log.lastIndex}`);
    if (life.isLeader && log.termAt(commit) !== event.term) {
      broken(`${node.id}, leader of term ${event.term}, counts ${commit}@${log.termAt(commit)}`);
    }
    for (let index = life.commit + 1; index <= commit; index++) {
      // What a snapshot stands for is judged at its own index.
      if (index < log.startIndex) continue;
      const own = log.termAt(index) ?? -1;
      const known = this.#committed.get(index);
      if (known === undefined) {
        if (!life.isLeader) broken(`${node.id} commits ${index} before any leader did`);
        this.#committed.set(index, { term: own, inTerm: event.term });
      } else if (known.term !== own) {
        broken(`${node.id} commits ${index}@${own}, but ${index}@${known.term} is committed`);
      }
    }
    life.commit = commit;
    if (commit > this.commit) {
      this.commit = commit;
      this.#checkQuorumHas(commit, log.termAt(commit) ?? -1);
    }
  }

  #checkQuorumHas(index: number, term: number): void {
    const holders: MemberId[] = [];
    for (const node of this.#nodes()) {
      if (this.#voters.includes(node.id) && diskTerm(node.durable, index, term) === term) {
        holders.push(node.id);
      }
    }
    if (2 * holders.length <= this.#voters.length) {
      broken(`${index}@${term} is committed, but only on the disks of ${holders.join()}`);
    }
  }

  #onRead(node: TestNode, { context, index, status }: ReadOutcome): void {
    const key = `${node.id}#${context}`;
    const read = this.openReads.get(key);
    if (read === undefined) broken(`read ${key} ends twice, or was never asked`);
    this.openReads.delete(key);
    if (status !== "ok") return;
    this.answeredReads++;
    if (index < read.floor) {
      broken(
        `stale read ${key}: index ${index}, but ${read.floor} was committed when it was asked`,
      );
    }
  }

  #vote(id: MemberId, term: number, candidate: MemberId): void {
    const known = this.#votes.get(`${id} ${term}`);
    if (known !== undefined && known !== candidate) {
      broken(`${id} votes for ${known} and for ${candidate} in term ${term}`);
    }
    this.#votes.set(`${id} ${term}`, candidate);
  }

  #acknowledged(node: TestNode, term: number, index: number): void {
    // A later term may have overwritten the entries meanwhile: then this is an old, true answer.
    if (term < node.raft.state.term) return;
    const last = node.durable.lastIndex;
    if (last < index) broken(`${node.id} acknowledges ${index} with ${last} on disk`);
  }

  #promised(node: TestNode, term: number): void {
    const { hardState } = node.durable;
    if (hardState.term < term) {
      broken(`${node.id} promises in term ${term} with term ${hardState.term} on disk`);
    }
    const before = this.#promisedTerms.get(node.id) ?? 0;
    if (term > before) this.#promisedTerms.set(node.id, term);
    if (node.raft.state.term < before) {
      broken(`${node.id} is in term ${node.raft.state.term} after promises in term ${before}`);
    }
  }
}

/** The term of an entry on a disk; `wanted` where a snapshot covers it. */
function diskTerm(disk: TestDisk, index: number, wanted: number): number | undefined {
  const { batches, start } = disk;
  // What a snapshot stands for is committed, hence equal everywhere.
  if (start !== undefined && index <= start.index) return wanted;
  let low = 0;
  let high = batches.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const batch = batches[middle]!;
    if (batch.lastIndex < index) low = middle + 1;
    else if (batch.firstIndex > index) high = middle - 1;
    else return batch.term;
  }
  return undefined;
}

/** Names of voters and learners for a network of some size. */
export function membersOf(
  voters: number,
  learners: number,
): {
  voters: MemberId[];
  learners: MemberId[];
} {
  const configuration = configurationOf(
    Array.from({ length: voters }, (_, i) => `n${i + 1}`),
    Array.from({ length: learners }, (_, i) => `x${i + 1}`),
  );
  return { voters: [...configuration.voters], learners: [...configuration.learners] };
}
