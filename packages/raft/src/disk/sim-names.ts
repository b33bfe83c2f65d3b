/**
 * The names of a simulated disk: what a lookup finds now, and what the medium holds.
 *
 * Names change in the cache and become durable only when their directory is synced. Until then
 * each change (created, renamed, removed, directory made) is kept or lost by a power loss on its
 * own, in order; a rename is one change, so that its target is never missing. A name whose
 * directory was lost is lost as well. A failed directory sync forgets the changes: they stay
 * visible and never reach the medium.
 */
import type { Random } from "../util/random.ts";
import { nameOf, parentOf } from "./path.ts";
import type { SimContent } from "./sim-content.ts";

/** What a name stands for. */
export type SimNode = SimContent | "directory";

interface NameChange {
  readonly parent: string;
  /** The name that goes, if one does. */
  readonly from: string | undefined;
  /** The name that comes, if one does, and what it stands for. */
  readonly to: string | undefined;
  readonly node: SimNode;
}

/** Live and durable names; "/" is always there. */
export class SimNames {
  readonly #live: Map<string, SimNode> = new Map([["/", "directory"]]);
  readonly #durable: Map<string, SimNode> = new Map([["/", "directory"]]);
  #changes: NameChange[] = [];

  get(path: string): SimNode | undefined {
    return this.#live.get(path);
  }

  create(path: string, node: SimNode): void {
    this.#change({ parent: parentOf(path), from: undefined, to: path, node });
  }

  rename(from: string, to: string, node: SimNode): void {
    this.#change({ parent: parentOf(from), from, to, node });
  }

  remove(path: string, node: SimNode): void {
    this.#change({ parent: parentOf(path), from: path, to: undefined, node });
  }

  /** The names in a directory, sorted. */
  list(directory: string): string[] {
    const names: string[] = [];
    for (const path of this.#live.keys()) {
      if (path !== "/" && parentOf(path) === directory) names.push(nameOf(path));
    }
    return names.sort();
  }

  /** All live files by path, sorted. */
  files(): [string, SimContent][] {
    const files: [string, SimContent][] = [];
    for (const [path, node] of this.#live) if (node !== "directory") files.push([path, node]);
    return files.sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /** Sectors that all live files take. */
  get allocatedSectors(): number {
    let sectors = 0;
    for (const node of this.#live.values()) {
      if (node !== "directory") sectors += node.allocatedSectors;
    }
    return sectors;
  }

  /** Makes the names of a directory durable; `lost` forgets to. */
  sync(directory: string, lost: boolean): void {
    const rest: NameChange[] = [];
    for (const change of this.#changes) {
      if (change.parent !== directory) rest.push(change);
      else if (!lost) apply(this.#durable, change);
    }
    this.#changes = rest;
  }

  /** The file that the medium has under this name. */
  durableFile(path: string): SimContent | undefined {
    const node = this.#durable.get(path);
    return node === "directory" ? undefined : node;
  }

  /** Puts a name on the medium at once, with its directories: for tests that prepare a disk. */
  place(path: string, node: SimNode): void {
    for (let at = path; at !== "/"; at = parentOf(at)) {
      const placed = at === path ? node : "directory";
      this.#live.set(at, placed);
      this.#durable.set(at, placed);
    }
  }

  /** What is left after the power went. It takes over the files: these names are not used again. */
  afterPowerLoss(random: Random): SimNames {
    const kept = new Map(this.#durable);
    const keep = drawKeep(random);
    for (const change of this.#changes) if (keep()) apply(kept, change);
    const left = new SimNames();
    const contents = new Set<SimContent>();
    for (const [path, node] of [...kept].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (!isReachable(kept, path)) continue;
      // One file, however many names it has.
      if (node !== "directory" && !contents.has(node)) {
        contents.add(node);
        node.losePower(random);
      }
      left.#live.set(path, node);
      left.#durable.set(path, node);
    }
    return left;
  }

  copy(): SimNames {
    const copy = new SimNames();
    const contents = new Map<SimContent, SimContent>();
    const copied = (node: SimNode): SimNode =>
      node === "directory" ? node : copyOnce(contents, node);
    for (const [path, node] of this.#live) copy.#live.set(path, copied(node));
    for (const [path, node] of this.#durable) copy.#durable.set(path, copied(node));
    copy.#changes = this.#changes.map((change) => ({ ...change, node: copied(change.node) }));
    return copy;
  }

  #change(change: NameChange): void {
    apply(this.#live, change);
    this.#changes.push(change);
  }
}

function apply(names: Map<string, SimNode>, change: NameChange): void {
  // Only what it meant: with an earlier change lost, the name may stand for another file.
  if (change.from !== undefined && names.get(change.from) === change.node) {
    names.delete(change.from);
  }
  if (change.to !== undefined) names.set(change.to, change.node);
}

function drawKeep(random: Random): () => boolean {
  const mode = random.below(4);
  if (mode === 0) return () => false;
  if (mode === 1) return () => true;
  return () => random.below(2) === 0;
}

function isReachable(names: ReadonlyMap<string, SimNode>, path: string): boolean {
  for (let at = path; at !== "/"; at = parentOf(at)) {
    if (names.get(parentOf(at)) !== "directory") return false;
  }
  return true;
}

/** The one copy of a content, however many names it has. */
function copyOnce(contents: Map<SimContent, SimContent>, node: SimContent): SimContent {
  let copy = contents.get(node);
  if (copy === undefined) {
    copy = node.copy();
    contents.set(node, copy);
  }
  return copy;
}
