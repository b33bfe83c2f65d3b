/**
 * Changes of membership as values: what may be asked for, what is planned, how it is answered.
 *
 * A plan is made before anything is appended, and what is appended is the plan's own first step:
 * so what a plan shows and what a change does cannot differ.
 */
import type { Configuration, Incarnation, Member, MemberId } from "./configuration.ts";

/** The role of a member that is no part of a joint configuration. */
export type MemberRole = "voter" | "learner";

/** A member as `set` names it. */
export interface WantedMember {
  readonly id: MemberId;
  readonly address: string;
  readonly role: MemberRole;
}

/**
 * What may be changed. Where new voters have to catch up first, `timeoutMs` of cluster time is
 * what they get for it.
 */
export type MembershipChange =
  | {
      readonly type: "add";
      readonly member: Member;
      readonly role: MemberRole;
      readonly timeoutMs: number;
    }
  | { readonly type: "remove"; readonly id: MemberId }
  | {
      readonly type: "replace";
      readonly id: MemberId;
      readonly address?: string | undefined;
      readonly incarnation?: Incarnation | undefined;
      readonly timeoutMs: number;
    }
  | { readonly type: "promote"; readonly id: MemberId; readonly timeoutMs: number }
  | { readonly type: "demote"; readonly id: MemberId }
  /** Exactly these from now on; who is known keeps its incarnation. */
  | {
      readonly type: "set";
      readonly members: readonly WantedMember[];
      readonly timeoutMs: number;
    }
  /** The directory of a member that was added before it was started. */
  | {
      readonly type: "bind";
      readonly id: MemberId;
      readonly incarnation: Incarnation;
      readonly address: string;
    }
  | { readonly type: "address"; readonly id: MemberId; readonly address: string }
  /** Takes back a change that still waits for its new voters. */
  | { readonly type: "cancel" };

/** Who decides in a configuration, and how many of them may fail. */
export interface Standing {
  readonly voters: readonly MemberId[];
  readonly learners: readonly MemberId[];
  /** How many voters make a majority. */
  readonly quorum: number;
  /** How many voters may be away without stopping the cluster. */
  readonly tolerates: number;
}

/** One step of a plan: an entry that is appended, or what is waited for between two. */
export interface PlanStep {
  readonly type: "learners" | "wait" | "joint" | "final";
  readonly text: string;
  /** What every decision needs while this step lasts. */
  readonly quorum: string;
}

/** What would become of a change, and what would be done for it. */
export interface MembershipPlan {
  readonly before: Standing;
  readonly after: Standing;
  readonly steps: readonly PlanStep[];
  /** Why it is refused; undefined where it is not. */
  readonly refused: PlanRefusal | undefined;
}

/** Why a plan is refused. */
export interface PlanRefusal {
  readonly reason: "unsafe" | "busy" | "member-exists" | "member-unknown";
  /** One sentence. */
  readonly detail: string;
}

/** A plan of the core: with the configuration to append. */
export interface PlannedChange extends MembershipPlan {
  /** The configuration to append; undefined where all is as it is wanted, or refused. */
  readonly next: Configuration | undefined;
}

/**
 * Why a change is refused; nothing was appended. `not-ready`, `transferring` and `settling` (a
 * configuration is not committed yet, or joint) pass by themselves and soon; `busy` (another change
 * waits for its new voters) passes when that one ends; `changed`: the configuration in force is not
 * the one that was expected.
 */
export type MembershipRefusal =
  | "not-leader"
  | "not-ready"
  | "transferring"
  | "settling"
  | "changed"
  | PlanRefusal["reason"];

/** Where a change of membership began, or why it did not. */
export type MembershipResult =
  | {
      readonly ok: true;
      /** The entry of the first configuration of the change, or of the one in force. */
      readonly index: number;
      /** Nothing was appended: all is as it is wanted. */
      readonly unchanged: boolean;
    }
  | {
      readonly ok: false;
      readonly reason: MembershipRefusal;
      /** One sentence. */
      readonly detail: string;
      readonly leader: MemberId | undefined;
      /** The entry of the configuration in force. */
      readonly index: number;
    };
