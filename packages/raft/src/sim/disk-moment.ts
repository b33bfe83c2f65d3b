/**
 * Moments of a disk at which a death tells most: while a write of several sectors is in flight, so
 * that it is torn; while a name is made, changed or brought to the medium; where one segment of the
 * log ends and the next begins. Most operations are none of these, so a death at any of the next
 * few would hardly ever meet one.
 */
import { nameOf } from "../disk/path.ts";
import type { SimOperation } from "../disk/sim-operations.ts";
import { RECORD_HEADER_BYTES } from "../log/record.ts";
import { parseSegmentName, SLOT_BYTES } from "../log/segment.ts";

/**
 * - `large-write`: of more than two sectors, into the log
 * - `segment-end`: of the record that ends a segment
 * - `mark`: of a durable mark into its slot
 * - `segment-begin`: the first one into another segment than before
 * - `preparing`: into a segment that is not in use yet
 * - `create`, `rename`, `sync`, `sync-names`: of any file or directory
 */
export const DISK_MOMENTS = [
  "large-write",
  "segment-end",
  "mark",
  "segment-begin",
  "preparing",
  "create",
  "rename",
  "sync",
  "sync-names",
] as const;

/** The name of a moment. */
export type DiskMoment = (typeof DISK_MOMENTS)[number];

/** Says of each operation that begins whether it is the moment. */
type Watch = (operation: SimOperation) => boolean;

const LARGE_BYTES_MIN = 1_025;

const WATCHES: Readonly<Record<Exclude<DiskMoment, "segment-begin">, Watch>> = {
  "large-write": (operation) => isOfLog(operation) && operation.bytes >= LARGE_BYTES_MIN,
  "segment-end": (operation) => isOfLog(operation) && operation.bytes === RECORD_HEADER_BYTES,
  mark: (operation) => isOfLog(operation) && operation.bytes === SLOT_BYTES,
  preparing: ({ kind, path }) => kind === "write" && isBeingMade(path),
  create: ({ creates }) => creates,
  rename: ({ kind }) => kind === "rename",
  sync: ({ kind }) => kind === "sync",
  "sync-names": ({ kind }) => kind === "syncDirectory",
};

/** Says of each operation that begins whether it is that moment. Knows only what it has seen. */
export function watchFor(moment: DiskMoment): (operation: SimOperation) => boolean {
  return moment === "segment-begin" ? anotherSegment() : WATCHES[moment];
}

function anotherSegment(): Watch {
  let before: string | undefined;
  return (operation) => {
    if (!isOfLog(operation)) return false;
    const isOther = before !== undefined && operation.path !== before;
    before = operation.path;
    return isOther;
  };
}

/** A write of the running log: only that has urgent files. */
function isOfLog({ kind, urgent }: SimOperation): boolean {
  return kind === "write" && urgent;
}

/** A segment that has not got its final name. */
function isBeingMade(path: string): boolean {
  const suffix = parseSegmentName(nameOf(path))?.suffix;
  return suffix === "new" || suffix === "spare";
}
