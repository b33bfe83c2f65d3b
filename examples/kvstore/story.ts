/**
 * What happens in a member, told as CKite's walk-through tells it: transitions, votes, each
 * configuration, the join, each new commit index.
 */
import type { Configuration, Replica, ReplicaEvent } from "quorate";
import type { Get, Put } from "./kv-store.ts";

const ROLES = {
  follower: "Follower",
  "pre-candidate": "PreCandidate",
  candidate: "Candidate",
  leader: "Leader",
} as const;

/** Tells the story of a member from now on. */
export function tellStory(node: Replica<Put, Get>, say: (line: string) => void): void {
  const story = new Story(node, say);
  story.begin();
  node.onAny((event) => story.hear(event));
}

class Story {
  readonly #node: Replica<Put, Get>;
  readonly #say: (line: string) => void;
  #state = "Starter";
  #votes = 0;
  #configuration = "";
  #isMember: boolean;

  constructor(node: Replica<Put, Get>, say: (line: string) => void) {
    this.#node = node;
    this.#say = say;
    this.#isMember = this.#votesIn(node.status().configuration);
  }

  begin(): void {
    const { state, lastIndex, role, term } = this.#node.status();
    if (state === "joining") {
      this.#say("Empty log & no snapshot: will try to join an existing cluster");
    } else {
      this.#say(`Starting with a log of ${lastIndex} entries`);
      this.#move(`${ROLES[role]}[${term}]`);
    }
  }

  hear(event: ReplicaEvent): void {
    const line = this.#lineOf(event);
    if (line !== undefined) this.#say(line);
  }

  #lineOf(event: ReplicaEvent): string | undefined {
    switch (event.type) {
      case "term":
        this.#votes = 0;
        return undefined;
      case "role":
        this.#move(`${ROLES[event.role]}[${event.term}]`, event.reason);
        return undefined;
      case "vote":
        if (event.candidate === this.#node.id) return this.#gotVote();
        return `Voted for ${event.candidate} in term[${event.term}]`;
      case "vote-received":
        return event.granted && !event.pre ? this.#gotVote() : undefined;
      case "ready":
        return `Start being Leader[${event.term}]`;
      case "leader":
        if (event.leader === this.#node.id) return undefined;
        return `Following ${event.leader === undefined ? "None" : `Some(${event.leader})`} in term[${event.term}]`;
      case "joining":
        return `Try to join with ${event.peer}: ${event.reason}`;
      case "joined":
        return `Taken in by the cluster ${event.clusterId}`;
      case "configuration":
        return `Applying ${configurationText(event.configuration)}`;
      case "configuration-committed":
        return this.#changed(event.configuration);
      case "commit":
        return `New commitIndex is #${event.index}`;
      case "snapshot-taken":
        return `Compacted the log: snapshot #${event.index}, ${event.bytes} bytes`;
      case "snapshot-restored":
        return `Installed snapshot #${event.index}, ${event.bytes} bytes`;
      case "truncated":
        return `Discarded the entries from #${event.from} on`;
      case "removed":
        return `Left the cluster: ${event.reason}`;
      case "failed":
        return `Failed: ${event.error.message}`;
      case "closed":
        return "Stopped";
      default:
        return undefined;
    }
  }

  #move(to: string, reason?: string): void {
    this.#say(
      `Transition from ${this.#state} to ${to}${reason === undefined ? "" : `: ${reason}`}`,
    );
    this.#state = to;
  }

  #gotVote(): string {
    this.#votes += 1;
    return `Got ${this.#votes} votes in a majority of ${this.#node.members.list().quorum}`;
  }

  #changed(configuration: Configuration): string | undefined {
    const { voters, outgoing } = configuration;
    const text = `(${voters.join(",")})`;
    const now = outgoing.length === 0 ? text : `[Cold=(${outgoing.join(",")}), Cnew=${text}]`;
    // Where only somebody who does not vote has come or gone, nothing has changed yet.
    if (now !== this.#configuration) this.#say(`Cluster Configuration changed to ${now}`);
    this.#configuration = now;
    if (this.#isMember || !this.#votesIn(configuration)) return undefined;
    this.#isMember = true;
    return "Join successful";
  }

  #votesIn({ voters, outgoing }: Configuration): boolean {
    return outgoing.length === 0 && voters.includes(this.#node.id);
  }
}

function configurationText({ voters, outgoing, learners }: Configuration): string {
  const list = (ids: readonly string[]): string => `List(${ids.join(", ")})`;
  if (outgoing.length > 0) return `JointConfiguration(${list(outgoing)},${list(voters)})`;
  const text = `NewConfiguration(${list(voters)})`;
  return learners.length === 0 ? text : `${text}, catching up: ${list(learners)}`;
}
