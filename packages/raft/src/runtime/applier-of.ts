/** Which applier a group needs: that follows from its machine. */
import type { RaftInputs } from "../core/contract.ts";
import type { Applier, ApplierHooks } from "./applier.ts";
import { DiskApplier } from "./disk-applier.ts";
import type { GroupContext } from "./group-context.ts";
import { MemoryApplier } from "./memory-applier.ts";

// eslint-disable-next-line max-params -- the two of every applier, and whose they are
/** Makes the applier of a group. */
export function applierOf(
  context: GroupContext,
  core: RaftInputs,
  startIndex: number,
  hooks: ApplierHooks,
): Applier {
  const { machine, journal } = context;
  if (machine.kind === "memory") return new MemoryApplier(core, startIndex, { ...hooks, machine });
  return new DiskApplier(core, startIndex, {
    ...hooks,
    machine,
    journal,
    retryMs: context.options.electionTimeoutMs,
    clusterId: () => context.clusterId(),
    wake: () => context.wake(),
  });
}
