/**
 * What `quorate/testing` offers: tools to test systems made with Quorate, and to hold your own
 * implementations of its ports against their contracts.
 */
export { checkDiskMachine } from "./disk-machine-check.ts";
export type { DiskMachineCheckOptions } from "./disk-machine-check.ts";
export { checkDiskMachineCrashes } from "./disk-machine-crashes.ts";
export type { DiskMachineCrashOptions } from "./disk-machine-crashes.ts";
export { DiskMachineCheckError } from "./disk-machine-steps.ts";
export type { DiskMachineRule } from "./disk-machine-steps.ts";
export type { MachineStorage } from "../machine/machine-storage.ts";
export type {
  DoneOperation,
  Operation,
  OperationCall,
  RefusedOperation,
  UnknownOperation,
} from "./history.ts";
export { formatHistory, parseHistory } from "./history.ts";
export { refusedValuesSeen, revisionOrderViolations } from "./key-value-checks.ts";
export type {
  KeyValueInput,
  KeyValueOperation,
  KeyValueOutput,
  KeyValueState,
} from "./key-value-model.ts";
export { keyValueModel } from "./key-value-model.ts";
export type {
  LinearizabilityOptions,
  LinearizabilityStatistics,
  LinearizabilityVerdict,
  LinearizabilityViolation,
} from "./linearizability.ts";
export { checkLinearizable } from "./linearizability.ts";
export type { SequentialModel } from "./sequential-model.ts";
export type { SnapshotCheckOptions, SnapshotRule } from "./snapshot-check.ts";
export { checkSnapshots, SnapshotCheckError } from "./snapshot-check.ts";
