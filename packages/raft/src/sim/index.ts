/**
 * `quorate/sim`: whole clusters in one thread, from one seed, in virtual time, running the real
 * engine over simulated disks, networks and clocks. Runs in a browser as well.
 */
export type {
  ClientOptions,
  ClockOptions,
  DelayOptions,
  DiskOptions,
  NemesisOptions,
  NetworkOptions,
  SimOptions,
} from "./options.ts";
export { drawOptions } from "./draw-options.ts";
export { PROFILES } from "./profiles.ts";
export type { Profile } from "./profiles.ts";
export type { RunHow, RunSubject, RunViolation, SimResult } from "./run.ts";
export { runSimulation } from "./run.ts";
export type { ShrinkAttempt, ShrinkHow } from "./shrink.ts";
export { shrink } from "./shrink.ts";
export { TRACE_HEAD } from "./trace.ts";
export type {
  AppliedCommand,
  CoreView,
  DeathKind,
  DurableView,
  MemberView,
  Observer,
  SimOperation,
} from "./observer.ts";
export { SimViolation } from "./observer.ts";
export type { FoundViolation, MachineOf, Subject } from "./sim-world.ts";
export { SimWorld } from "./sim-world.ts";
export { SimMember } from "./sim-member.ts";
export { WorldStage } from "./world-stage.ts";
export type { Rule, StoryOptions, Which } from "./stage-director.ts";
export { Director, STORY_TIMEOUT_MS } from "./stage-director.ts";
export type { Invariant, InvariantContext } from "./invariants/invariant.ts";
export { INVARIANTS_OF_A_RUN } from "./invariants/catalogue.ts";
export type { Nemesis, Stage } from "./nemesis/nemesis.ts";
export { NEMESES } from "./nemesis/catalogue.ts";
export type { Call, CallTerms, ClientContext, Harbour, Workload } from "./workload/workload.ts";
export { keyValueSubject } from "./workload/kv-subject.ts";
export type { SimulateOptions, SimulationSummary } from "./simulate.ts";
export { simulate } from "./simulate.ts";
export type { MachineStorage } from "../machine/machine-storage.ts";
export { onSimDisk } from "./on-sim-disk.ts";
export { SimulationFailure } from "./simulation-failure.ts";
export type { RunEnd } from "./machine-check.ts";
export type { TestCluster, TestClusterOptions } from "./test-cluster.ts";
export { testCluster } from "./test-cluster.ts";
export type { TestMember } from "./test-member.ts";
export { TrapError, trap, untrapped } from "./traps.ts";
export { SimDisk } from "../disk/sim-disk.ts";
export type { Disk, DiskFile, DiskLock, DiskReason, OpenOptions } from "../disk/disk.ts";
export { DiskError } from "../disk/disk.ts";
// What opens a log alone, over any disk: for stories of the log below the engine.
export { openLog } from "../log/open-log.ts";
export type { LogOptions } from "../log/open-log.ts";
export type { Log } from "../log/log.ts";
// What looks at directories and repairs them, over any disk: see `inspectDataDir` of the library.
export { inspectDirectory } from "../runtime/repair/inspect-data-dir.ts";
export { planQuorumRecovery } from "../runtime/repair/quorum-loss.ts";
export { recoverDirectory } from "../runtime/repair/recover-quorum.ts";
export type { RecoverPorts } from "../runtime/repair/recover-quorum.ts";
export { sha256 } from "./sha256.ts";
