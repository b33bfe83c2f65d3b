/**
 * What every nemesis is: something that does harm while it may.
 *
 * A nemesis draws from its own stream of randomness and acts only through {@link Stage}. What it
 * does ends by itself or with the healing, whichever comes first.
 */
import type { Configuration, MemberId } from "../../core/configuration.ts";
import type { MembershipChange } from "../../core/membership-change.ts";
import type { PlannedMembers } from "../../runtime/members.ts";
import type { DiskMoment } from "../disk-moment.ts";
import type { FullFrom } from "../member-disk.ts";
import type { MemberView, Observer } from "../observer.ts";
import type { NemesisOptions } from "../options.ts";
import type { Random } from "../../util/random.ts";

/** What may be asked of `members`. */
export type Wish = PlannedMembers | { readonly cancel: true };

/** What a nemesis may do. Nothing here throws because a member is already in that state. */
export interface Stage {
  readonly members: readonly MemberView[];
  readonly options: { readonly electionTimeoutMs: number; readonly heartbeatIntervalMs: number };
  nowUs(): number;
  /** Runs later, unless the world has been healed by then. */
  after(delayUs: number, act: () => void): void;
  /** The process dies (`power`: and with it what was not synced) and is started again. */
  crash(member: MemberView, how: "power" | "kill", downUs: number): void;
  /**
   * Power loss or kill while a later disk operation of the member is in flight: so many from now,
   * or the first of that kind. What was ordered before is forgotten.
   */
  crashAtDisk(
    member: MemberView,
    how: "power" | "kill",
    at: DiskMoment | number,
    downUs: number,
  ): void;
  /** The process stands still. */
  pause(member: MemberView, forUs: number): void;
  /** The replica is closed in an orderly way and started again. */
  restart(member: MemberView, downUs: number): void;
  /** A member is asked to move leadership, to the target or to whom it suits best. */
  transfer(member: MemberView, target: MemberView | undefined): void;
  /** Messages from one to the other are lost; connections over which they go end. */
  cut(from: MemberView, to: MemberView, forUs: number): void;
  /** Nothing moves from one to the other and nobody is told; later it arrives. */
  stall(from: MemberView, to: MemberView, forUs: number): void;
  /** Everything from one to the other takes so much longer. */
  slow(from: MemberView, to: MemberView, extraUs: number, forUs: number): void;
  /** Connections between the two end at once. */
  reset(a: MemberView, b: MemberView): void;
  /** Disk operations do not complete. */
  stallDisk(member: MemberView, forUs: number): void;
  /** Disk operations complete out of order and slowly. */
  slowDisk(member: MemberView, extraUs: number, forUs: number): void;
  /** The next write, sync or read of the log fails with an I/O error. */
  failDisk(member: MemberView, what: "write" | "read" | "sync"): void;
  /** What is cached of the disk of a member that is down, and clean, is read anew. */
  dropCaches(member: MemberView): void;
  /** No space is left beyond a few sectors, for a while; or so when the next segment is begun. */
  fillDisk(member: MemberView, forUs: number, from?: FullFrom): void;
  /**
   * Flips a bit of what is durable, or makes a sector of it unreadable, where the fault atlas
   * allows it. False where it does not.
   */
  rot(member: MemberView, random: Random): boolean;
  /** The clock of the member goes faster or slower for a while, in parts per million. */
  skew(member: MemberView, ppm: number, forUs: number): void;
  /** A free place for one more directory; undefined where none is left. */
  freePlace(): MemberView | undefined;
  /**
   * A member of that id begins on an empty directory in a free place: it waits to be added, or asks
   * these addresses to be taken.
   */
  settle(place: MemberView, id: MemberId, join: readonly string[] | undefined): void;
  /** The disk of a member is gone for good, and its process with it. */
  loseDisk(member: MemberView): void;
  /** Whoever leads, if anybody does, is asked for a change of membership. */
  change(change: MembershipChange): void;
  /** A member is asked, as a caller would, that the members change. */
  ask(member: MemberView, wish: Wish, timeoutMs: number): void;
  /** Who decides, as far as it is known to be committed. */
  readonly configuration: Configuration | undefined;
  /** Where a member listens. */
  addressOf(member: MemberView): string;
  /** Cuts everything that was done to the network. */
  healNetwork(): void;
}

/** A kind of trouble. */
export interface Nemesis {
  /** In kebab case; the name of its file and its `kind` in the options. */
  readonly kind: string;
  /** One sentence: what it does. */
  readonly text: string;
  /** Begins. What it returns is told everything that happens, until the healing. */
  begin(stage: Stage, options: NemesisOptions, random: Random): Observer;
}
