/**
 * `quorate/recipes`: what most programs want of consensus, ready to use: a map, locks, and work
 * that one member does at a time. Made with the public face of the library alone.
 */
export type { Access } from "./access.ts";
export { ComposedMachine } from "./compose.ts";
export type { AnyMachine, PartCommand, PartQuery, Parts } from "./compose.ts";
export { MapMachine } from "./map-machine.ts";
export type {
  MapChanged,
  MapCommand,
  MapDiffers,
  MapEntry,
  MapKey,
  MapQuery,
} from "./map-machine.ts";
export { ReplicatedMap } from "./replicated-map.ts";
export type { MapSwap } from "./replicated-map.ts";
export { LockMachine } from "./lock-machine.ts";
export type { LockCommand, LockHeld, LockQuery } from "./lock-machine.ts";
export { HeldLock } from "./held-lock.ts";
export { ReplicatedLock } from "./replicated-lock.ts";
export type { AcquireOptions, LockedWork, ReplicatedLockOptions } from "./replicated-lock.ts";
export { ScheduleMachine } from "./schedule-machine.ts";
export type { ClaimResult, JobState, ScheduleCommand, ScheduleQuery } from "./schedule-machine.ts";
export { everyWhileLeader } from "./every-while-leader.ts";
export type { EveryOptions, ScheduledRun } from "./every-while-leader.ts";
export type { RecipeClock } from "./recipe-clock.ts";
