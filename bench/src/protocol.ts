/**
 * What the bench says to the three members it forked, over the IPC channel, and what they answer.
 * Requests are numbered; each gets exactly one answer.
 */
import type { LoadSample } from "./load.ts";
import type { LoopDelay } from "./loop-delay.ts";

/** The systems in this repository: bare, and with a Map that every member keeps. */
const OWN_NAMES = ["floor", "quorate", "floor-map", "quorate-map"] as const;
/** The systems that can be measured. All but our own are programs of `bench/peers`. */
export const SYSTEM_NAMES = [...OWN_NAMES, "hashicorp-raft", "etcd-raft", "dragonboat"] as const;
export type SystemName = (typeof SYSTEM_NAMES)[number];
export type OwnName = (typeof OWN_NAMES)[number];

export function isOwn(name: SystemName): name is OwnName {
  return (OWN_NAMES as readonly string[]).includes(name);
}

/** Whether it is a bare path that others are compared with. */
export function isFloor(name: string): boolean {
  return name === "floor" || name === "floor-map";
}

/** The floor that does as much as the system. */
export function floorOf(name: SystemName): SystemName {
  return name === "quorate-map" ? "floor-map" : "floor";
}

/** How a member is set up; which fields matter depends on the system. */
export interface MemberSetup {
  readonly system: SystemName;
  readonly id: string;
  readonly directory: string;
  /** All three, for systems with a static list. */
  readonly members: readonly { readonly id: string; readonly address: string }[];
  /** Floor only: the leader's port; undefined on the leader itself. */
  readonly leaderPort: number | undefined;
}

/** What a member answers to `open`. */
export interface Opened {
  /** The port that it picked, where that matters. */
  readonly port: number;
}

/** Whether a member can take load. */
export interface Readiness {
  readonly leads: boolean;
  /** Raft term; 0 for systems without one. */
  readonly term: number;
}

/** Processor time and counts at one moment. */
export interface MemberSample {
  readonly atMs: number;
  readonly cpuUs: number;
  readonly rssBytes: number;
  readonly load: LoadSample;
  /** Data-synced writes of the log so far; undefined where the system does not say. */
  readonly logWrites?: number | undefined;
  /** Of the event loop, where there is one. */
  readonly loopDelay?: LoopDelay | undefined;
}

export type Request =
  | { readonly type: "open"; readonly setup: MemberSetup }
  | { readonly type: "ready" }
  | { readonly type: "start"; readonly outstanding: number; readonly valueBytes: number }
  /** Takes a sample; `reset` begins a new window. */
  | { readonly type: "sample"; readonly reset: boolean }
  | { readonly type: "stop" }
  | { readonly type: "close" };

/** The answer to each kind of request. */
export interface Answers {
  readonly open: Opened;
  readonly ready: Readiness;
  readonly start: undefined;
  readonly sample: MemberSample;
  readonly stop: undefined;
  readonly close: undefined;
}

export type RequestMessage = { readonly number: number; readonly request: Request };
export type AnswerMessage = {
  readonly number: number;
  readonly value?: unknown;
  readonly error?: string;
};
