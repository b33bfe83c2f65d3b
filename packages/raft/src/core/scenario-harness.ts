/**
 * Plays scenarios: a script of commands, and under each command the trace of what it caused.
 *
 * A scenario file is text. Lines that begin with `#` are prose and are kept, `> …` is a command,
 * and what is indented below it is its trace. `expect` commands state what the scenario is about
 * and fail whatever the trace says: rewriting the golden traces cannot lose them. The commands are
 * in COMMANDS, each with a line of help.
 */
import type { Random } from "../util/random.ts";
import type { MemberId } from "./configuration.ts";
import { encodeConfiguration } from "./configuration-codec.ts";
import type { RaftOptions } from "./contract.ts";
import type { TestNode } from "./core-harness.ts";
import { configurationOf, incarnationOf, TestNetwork } from "./core-harness.ts";
import { EntryKind, packEntries } from "./entry.ts";
import type { MembershipChange, WantedMember } from "./membership-change.ts";
import type { Message } from "./message.ts";
import type { Output } from "./output.ts";
import { batchesOf } from "./solo-harness.ts";
import {
  describeEvent,
  describeRead,
  describeSending,
  describeWrite,
  isHeartbeat,
  traceLine,
} from "./trace-harness.ts";

/** Plays a scenario and returns its text with the traces as they are now. */
export function playScenario(text: string): string {
  const scenario = new Scenario();
  const lines: string[] = [];
  for (const line of text.trimEnd().split("\n")) {
    if (line.startsWith("  ")) continue; // the old trace
    if (line !== "" && !line.startsWith("#") && !line.startsWith("> ")) {
      throw new Error(`neither prose, command nor trace: ${line}`);
    }
    lines.push(line.trimEnd());
    if (line.startsWith("> ")) lines.push(...scenario.play(line.slice(2)));
  }
  return `${lines.join("\n")}\n`;
}

interface Held {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly message: Message;
}

type Command = (scenario: Scenario, words: readonly string[]) => void;

class Scenario {
  #network: TestNetwork | undefined;
  #lines: string[] = [];
  showsHeartbeats = false;
  /** Links and kinds whose messages are lost, or held back for a later `deliver`. */
  losses: string[] = [];
  holds: string[] = [];
  held: Held[] = [];

  get network(): TestNetwork {
    if (this.#network === undefined) throw new Error("a scenario begins with > network");
    return this.#network;
  }

  set network(network: TestNetwork) {
    this.#network = network;
  }

  play(command: string): string[] {
    this.#lines = [];
    const [name = "", ...words] = command.split(" ");
    const run = COMMANDS[name];
    if (run === undefined) throw new Error(`no command ${name}`);
    try {
      run(this, words);
    } catch (cause) {
      throw new Error(`> ${command}\n${String(cause)}\n${this.#lines.join("\n")}`, { cause });
    }
    return this.#lines;
  }

  say(text: string): void {
    this.#lines.push(`  ${text}`.trimEnd());
  }

  trace(member: string, text: string): void {
    this.say(traceLine(this.#network?.nowMs ?? 0, member, text));
  }

  /** Forgets what the running command has shown so far. */
  hush(): void {
    this.#lines = [];
  }

  traceSent(from: MemberId, to: MemberId, message: Message): void {
    if (isHeartbeat(message) && !this.showsHeartbeats) return;
    this.trace(`${from} →`, describeSending(to, message));
  }

  /** The message that was shown last does not get on its way. */
  traceDropped(from: MemberId, to: MemberId, message: Message): void {
    if (isHeartbeat(message) && !this.showsHeartbeats) return;
    this.#lines.pop();
    const isHeld = this.held.at(-1)?.message === message;
    this.trace(`${from} ${isHeld ? "…" : "✗"}`, describeSending(to, message));
  }

  /** Whether a message is kept from arriving, and how. */
  intercept(from: MemberId, to: MemberId, message: Message): boolean {
    const isNamed = (patterns: readonly string[]): boolean =>
      patterns.some((pattern) => {
        const [link = "", type = "*"] = pattern.split(" ");
        const [a, b] = link.split(">");
        return (
          (a === "*" || a === from) &&
          (b === "*" || b === to) &&
          (type === "*" || type === message.type)
        );
      });
    if (isNamed(this.holds)) this.held.push({ from, to, message });
    else if (!isNamed(this.losses)) return false;
    return true;
  }
}

/**
 * Timeouts as the script gives them: T plus the next of a list, whose last one stays. A shorter
 * draw (`campaignSoon`) is what the next one is longer than T, as far as it goes.
 */
class ScriptedTimeouts implements Random {
  readonly #timeouts: number[];
  readonly #electionTimeoutMs: number;

  constructor(timeouts: readonly number[], electionTimeoutMs: number) {
    this.#timeouts = [...timeouts];
    this.#electionTimeoutMs = electionTimeoutMs;
  }

  below(n: number): number {
    const isShort = n < Math.floor(this.#electionTimeoutMs / 2);
    if (isShort) return Math.min(this.#timeouts[0]! - this.#electionTimeoutMs, n - 1);
    const timeout = this.#timeouts.length > 1 ? this.#timeouts.shift()! : this.#timeouts[0]!;
    const draw = timeout - this.#electionTimeoutMs;
    if (!(draw >= 0 && draw < n)) throw new Error(`no election timeout: ${timeout} ms`);
    return draw;
  }
}

const COMMANDS: Readonly<Record<string, Command>> = {
  /**
   * network n1 n2 n3 [learners x1] [strangers x2] [timeouts n1=1000,1400 n2=1100] [options k=v]
   * [disks manual]
   */
  network(scenario, words) {
    const options = sectionsOf(["voters", ...words]);
    const timeouts = new Map(
      (options.get("timeouts") ?? []).map((word) => {
        const [id = "", list = ""] = word.split("=");
        return [id, list.split(",").map(Number)] as const;
      }),
    );
    const raft = Object.fromEntries(
      (options.get("options") ?? []).map((word) => {
        const [name = "", value] = word.split("=");
        return [name, Number(value)];
      }),
    ) as Partial<RaftOptions>;
    scenario.network = new TestNetwork({
      voters: options.get("voters") ?? [],
      learners: options.get("learners") ?? [],
      strangers: options.get("strangers") ?? [],
      persistence: options.get("disks")?.[0] === "manual" ? "manual" : "auto",
      raft,
      random: (id, position) =>
        new ScriptedTimeouts(timeouts.get(id) ?? [1_000 + 100 * position], 1_000),
      observer: {
        output: (node, output) => traceOutput(scenario, node, output),
        sent: (_nowMs, from, { to, message }) => scenario.traceSent(from, to, message),
        dropped: (_nowMs, from, to, message) => scenario.traceDropped(from, to, message),
      },
    });
    scenario.network.drop = (from, to, message) => scenario.intercept(from, to, message);
  },

  /** log n1 1 1 2 [term 3] [vote n2] [commit 2]: starts the member again with this log */
  log(scenario, [id = "", ...words]) {
    const { network } = scenario;
    const options = sectionsOf(["terms", ...words]);
    const terms = (options.get("terms") ?? []).map(Number);
    const node = network.node(id);
    const [vote] = options.get("vote") ?? [];
    node.durable.batches = batchesOf(terms);
    node.durable.hardState = {
      term: Number(options.get("term")?.[0] ?? terms.at(-1) ?? 0),
      vote: vote === undefined ? undefined : { id: vote, incarnation: incarnationOf(vote) },
      commit: Number(options.get("commit")?.[0] ?? 0),
    };
    network.restart(id);
  },

  /** run 50: lets 50 ms pass */
  run: ({ network }, [ms]) => network.run(Number(ms)),

  /** until ready n1 | leader | commit n1 5 | role n1 follower: lets time pass until it is so */
  until({ network }, [what = "", id = "", value = ""]) {
    network.runUntil(() => {
      if (what === "leader") return network.leader() !== undefined;
      const { role, ready, commit } = network.raft(id).status();
      if (what === "ready") return ready;
      if (what === "role") return role === value;
      if (what === "commit") return commit >= Number(value);
      throw new Error(`until ${what}`);
    });
  },

  /** elect n1: the others' campaigns are lost until n1 leads and has committed; not shown */
  elect(scenario, [id = ""]) {
    scenario.network.electNode(id);
    const { term, commit } = scenario.network.raft(id).status();
    scenario.hush();
    scenario.trace(id, `leads term ${term}, commit ${commit}`);
  },

  /** propose n1 a b: as one proposal */
  propose(scenario, [id = "", ...texts]) {
    const result = scenario.network.propose(id, ...texts);
    if (!result.ok) scenario.trace(id, `refuses the proposal: ${result.reason}`);
  },

  /** transfer n1 [n2] */
  transfer(scenario, [id = "", target]) {
    const { network } = scenario;
    const result = network.transfer(id, target);
    if (!result.ok) scenario.trace(id, `refuses the transfer: ${result.reason}`);
  },

  /** configure n1 voters n1 n2 outgoing n2 n3 learners n4: appends a configuration entry */
  configure({ network }, [id = "", ...words]) {
    const options = sectionsOf(words);
    const configuration = configurationOf(
      options.get("voters") ?? [],
      options.get("learners"),
      options.get("outgoing"),
    );
    const payload = encodeConfiguration(configuration);
    network.proposeEntries(id, packEntries([{ kind: EntryKind.configuration, payload }]));
  },

  /**
   * change n1 add n4 | add n4 learner | remove n2 | replace n2 | promote x1 | demote n2 | cancel |
   * set n1 n2 learners x1, each [within 500] [expecting 7]: the index of the configuration
   */
  change(scenario, [id = "", ...words]) {
    const change = changeOf(words);
    const expected = sectionsOf(words).get("expecting")?.[0];
    const options = expected === undefined ? {} : { expectedIndex: Number(expected) };
    const result = scenario.network.change(id, change, options);
    if (!result.ok) scenario.trace(id, `refuses: ${result.reason}: ${result.detail}`);
    else if (result.unchanged) scenario.trace(id, "has nothing to change");
  },

  /** read n2 */
  read(scenario, [id = ""]) {
    if (scenario.network.read(id) === undefined) scenario.trace(id, "refuses the read");
  },

  /** partition n1 n2 | n3: only who is in one group hears each other */
  partition: ({ network }, words) =>
    network.partition(
      ...words
        .join(" ")
        .split("|")
        .map((group) => group.trim().split(" ")),
    ),

  isolate: ({ network }, [id = ""]) => network.isolate(id),

  /** block n1 n2: one way */
  block: ({ network }, [from = "", to = ""]) => network.block(from, to),

  heal: ({ network }) => network.heal(),

  crash: ({ network }, ids) => ids.forEach((id) => network.crash(id)),

  restart: ({ network }, ids) => ids.forEach((id) => network.restart(id)),

  pause: ({ network }, [id = ""]) => network.pause(id),

  resume: ({ network }, [id = ""]) => network.resume(id),

  /** disk n1 manual | auto */
  disk({ network }, [id = "", mode]) {
    network.node(id).autoPersist = mode === "auto";
    if (mode === "auto") network.persist(id);
  },

  /** persist n1 [2]: the oldest writes are durable now */
  persist: ({ network }, [id = "", count = "Infinity"]) => network.persist(id, Number(count)),

  /** completed n1 3: the disk says once more, or late, that output 3 is durable */
  completed({ network }, [id = "", output]) {
    network.raft(id).persisted(network.nowMs, Number(output));
    network.pump(network.node(id));
  },

  /** lose n1>n2 [type], n1>* [type]: just these messages are lost from now on */
  lose: (scenario, words) => void (scenario.losses = patternsOf(words)),

  /** hold n1>n2 [type], …: just these messages are held back from now on */
  hold: (scenario, words) => void (scenario.holds = patternsOf(words)),

  /** deliver [count]: the oldest messages that were held back arrive */
  deliver(scenario, [count = "Infinity"]) {
    for (const { from, to, message } of scenario.held.splice(0, Number(count))) {
      scenario.trace(to, `hears late from ${describeSending(from, message)}`);
      scenario.network.deliver(from, to, message);
    }
  },

  unreachable({ network }, [id = "", peer = ""]) {
    network.raft(id).unreachable(network.nowMs, peer);
    network.pump(network.node(id));
  },

  /** show heartbeats | hide heartbeats */
  show: (scenario) => void (scenario.showsHeartbeats = true),
  hide: (scenario) => void (scenario.showsHeartbeats = false),

  /** logs: the term of every entry, and how far each member has committed */
  logs(scenario) {
    for (const node of scenario.network.nodes.values()) {
      if (!node.isUp) scenario.say(`${node.id}  down`);
      else {
        const { term, commit } = node.raft.status();
        const terms = termsOf(node).join(" ") || "-";
        scenario.say(`${node.id}  term ${term}, commit ${commit}  log ${terms}`);
      }
    }
  },

  status(scenario) {
    for (const node of scenario.network.nodes.values()) {
      if (!node.isUp) scenario.say(`${node.id}  down`);
      else {
        const { role, term, leader, commit, persisted, lastIndex } = node.raft.status();
        const log = `log ${lastIndex}, durable ${persisted}, commit ${commit}`;
        scenario.say(`${node.id}  ${role} of term ${term}, leader ${leader ?? "unknown"}, ${log}`);
      }
    }
  },

  /** peers n1: what the leader knows of each */
  peers(scenario, [id = ""]) {
    for (const peer of scenario.network.raft(id).status().peers) {
      const { matchIndex, nextIndex, state, inflightMessages } = peer;
      scenario.say(
        `${peer.id}  ${state}, match ${matchIndex}, next ${nextIndex}, in flight ${inflightMessages}`,
      );
    }
  },

  /**
   * expect leader n1 | no leader | role n1 x | term n1 3 | commit n1 3 | log n1 1 1 | equal logs
   */
  expect(scenario, words) {
    const problem = checkExpectation(scenario.network, words);
    if (problem !== undefined) throw new Error(problem);
  },
};

function checkExpectation(network: TestNetwork, words: readonly string[]): string | undefined {
  const [what = "", id = "", ...rest] = words;
  const differ = (found: unknown): string | undefined =>
    String(found) === rest.join(" ") ? undefined : `${id} has ${what} ${String(found)}`;
  switch (what) {
    case "leader":
      return network.leader()?.id === id ? undefined : `${network.leader()?.id} leads`;
    case "no":
      return network.leader() === undefined ? undefined : `${network.leader()?.id} leads`;
    case "equal": {
      const logs = [...network.nodes.values()].map((node) => termsOf(node).join(" "));
      return new Set(logs).size === 1 ? undefined : `logs differ:\n${logs.join("\n")}`;
    }
    case "role":
    case "term":
    case "commit":
      return differ(network.raft(id).status()[what]);
    case "voters":
    case "outgoing":
    case "learners":
      return differ(network.raft(id).status().configuration[what].join(" "));
    case "log":
      return differ(termsOf(network.node(id)).join(" "));
    case "read": {
      const outcomes = [...network.nodes.values()].flatMap((node) => node.reads);
      const outcome = outcomes.find((o) => o.context === Number(id));
      if (outcome === undefined) return differ("open");
      return differ(outcome.status === "ok" ? outcome.index : outcome.status);
    }
    default:
      return `cannot expect ${what}`;
  }
}

function traceOutput(scenario: Scenario, node: TestNode, output: Output): void {
  for (const event of output.events) {
    const text = describeEvent(node.id, event);
    if (text !== undefined) scenario.trace(node.id, text);
  }
  const write = describeWrite(output);
  if (write !== undefined) {
    scenario.trace(
      node.id,
      node.autoPersist ? `writes ${write}` : `begins write ${output.number}: ${write}`,
    );
  }
  for (const outcome of output.reads) scenario.trace(node.id, describeRead(outcome));
}

function patternsOf(words: readonly string[]): string[] {
  const patterns = words.join(" ").split(",");
  return patterns.map((pattern) => pattern.trim()).filter((pattern) => pattern !== "");
}

/** Words after a section's name belong to it, up to the next name. */
function sectionsOf(words: readonly string[]): Map<string, string[]> {
  const sections = new Map<string, string[]>();
  let open: string[] = [];
  for (const word of words) {
    if (SECTIONS.has(word)) sections.set(word, (open = []));
    else open.push(word);
  }
  return sections;
}

const SECTIONS: ReadonlySet<string> = new Set([
  "asked",
  "strangers",
  "within",
  "expecting",
  "voters",
  "outgoing",
  "learners",
  "timeouts",
  "options",
  "disks",
  "terms",
  "term",
  "vote",
  "commit",
]);

function changeOf(words: readonly string[]): MembershipChange {
  const sections = sectionsOf(["asked", ...words]);
  const [type = "", ...ids] = sections.get("asked") ?? [];
  const [id = "", role = "voter"] = ids;
  const timeoutMs = Number(sections.get("within")?.[0] ?? 10_000);
  const member = { id, address: `${id}:1`, incarnation: incarnationOf(id) };
  switch (type) {
    case "add":
      return { type, member, role: role === "learner" ? role : "voter", timeoutMs };
    case "replace":
      return { type, id, timeoutMs };
    case "promote":
      return { type, id, timeoutMs };
    case "remove":
    case "demote":
      return { type, id };
    case "cancel":
      return { type };
    case "set": {
      const learners = sections.get("learners") ?? [];
      const wanted = (ids: readonly MemberId[], as: "voter" | "learner"): WantedMember[] =>
        ids.map((one) => ({ id: one, address: `${one}:1`, role: as }));
      const members = [...wanted(ids, "voter"), ...wanted(learners, "learner")];
      return { type, members, timeoutMs };
    }
    default:
      throw new Error(`change ${type}`);
  }
}

/** The term of every entry of a member's log, as it believes it to be. */
function termsOf(node: TestNode): number[] {
  const { log } = node.raft.state;
  return Array.from({ length: log.lastIndex }, (_, i) => log.termAt(i + 1) ?? -1);
}
