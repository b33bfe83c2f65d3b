/**
 * An ordered map with copies that cost nothing: a B+-tree, copied on write.
 *
 * Keys are *binary strings*: every char is one byte (0 to 255), so that `<` compares bytes. Every
 * node carries the epoch of the tree that may change it. `clone()` gives both trees a new epoch;
 * from then on each of them copies a shared node before it changes it, once, and a change costs at
 * most the depth of the tree in copied nodes. Without clones around, changes are made in place.
 *
 * Invariants, checked by `check()` in the tests:
 *  - all leaves have the same depth; keys ascend strictly;
 *  - every node except the root has NODE_MIN to NODE_MAX keys (leaf) or children (branch);
 *  - `keys[i]` of a branch: above every key under `children[i]`, at most the first under
 *    `children[i + 1]`.
 *
 * A cursor reads the tree as it was when the cursor was made only if the tree is not changed
 * meanwhile: walk a clone where other work goes on between two steps.
 */

const NODE_MAX = 64;
const NODE_MIN = 24;

interface Leaf<V> {
  readonly leaf: true;
  readonly epoch: number;
  readonly keys: string[];
  readonly values: V[];
}

interface Branch<V> {
  readonly leaf: false;
  readonly epoch: number;
  readonly keys: string[];
  readonly children: Node<V>[];
}

type Node<V> = Leaf<V> | Branch<V>;

let lastEpoch = 0;

/** An ordered map from binary strings to values; see the top of the file. */
export class BTree<V> {
  #root: Node<V> = { leaf: true, epoch: 0, keys: [], values: [] };
  #size = 0;
  #epoch = ++lastEpoch;

  /** How many keys there are. */
  get size(): number {
    return this.#size;
  }

  /** An independent tree with the same content, in constant time. */
  clone(): BTree<V> {
    const copy = new BTree<V>();
    copy.#root = this.#root;
    copy.#size = this.#size;
    this.#epoch = ++lastEpoch;
    return copy;
  }

  get(key: string): V | undefined {
    let node = this.#root;
    while (!node.leaf) node = node.children[upperBound(node.keys, key)]!;
    const at = lowerBound(node.keys, key);
    return node.keys[at] === key ? node.values[at] : undefined;
  }

  /** Sets a key and returns its former value. */
  set(key: string, value: V): V | undefined {
    const root = this.#own(this.#root);
    this.#root = root;
    const previous = this.#insert(root, key, value);
    if (previous === undefined) this.#size++;
    if (widthOf(root) > NODE_MAX) {
      const { separator, right } = split(root);
      this.#root = { leaf: false, epoch: this.#epoch, keys: [separator], children: [root, right] };
    }
    return previous;
  }

  /** Removes a key and returns its former value. */
  delete(key: string): V | undefined {
    const previous = this.get(key);
    if (previous === undefined) return undefined;
    const root = this.#own(this.#root);
    this.#root = root;
    this.#remove(root, key);
    this.#size--;
    if (!root.leaf && root.children.length === 1) this.#root = root.children[0]!;
    return previous;
  }

  /** Walks upwards from the first key that is at least `from`. */
  cursor(from: string = ""): Cursor<V> {
    const cursor = new Cursor<V>();
    let node = this.#root;
    while (!node.leaf) {
      const at = upperBound(node.keys, from);
      cursor.push(node, at + 1);
      node = node.children[at]!;
    }
    cursor.enter(node, lowerBound(node.keys, from));
    return cursor;
  }

  /** Says what is wrong with the structure; undefined where nothing is. For tests. */
  check(): string | undefined {
    const depths = new Set<number>();
    const found = { keys: 0 };
    const problem = checkNode(this.#root, {
      depth: 0,
      low: undefined,
      high: undefined,
      depths,
      found,
    });
    if (problem !== undefined) return problem;
    if (depths.size > 1) return "leaves of different depth";
    return found.keys === this.#size ? undefined : `size ${this.#size}, found ${found.keys}`;
  }

  /** The node itself where this tree may change it, otherwise a copy that it may change. */
  #own(node: Node<V>): Node<V> {
    if (node.epoch === this.#epoch) return node;
    return node.leaf
      ? { leaf: true, epoch: this.#epoch, keys: node.keys.slice(), values: node.values.slice() }
      : {
          leaf: false,
          epoch: this.#epoch,
          keys: node.keys.slice(),
          children: node.children.slice(),
        };
  }

  #insert(node: Node<V>, key: string, value: V): V | undefined {
    if (node.leaf) {
      const at = lowerBound(node.keys, key);
      if (node.keys[at] === key) {
        const previous = node.values[at];
        node.values[at] = value;
        return previous;
      }
      node.keys.splice(at, 0, key);
      node.values.splice(at, 0, value);
      return undefined;
    }
    const at = upperBound(node.keys, key);
    const child = this.#own(node.children[at]!);
    node.children[at] = child;
    const previous = this.#insert(child, key, value);
    if (widthOf(child) > NODE_MAX) {
      const { separator, right } = split(child);
      node.keys.splice(at, 0, separator);
      node.children.splice(at + 1, 0, right);
    }
    return previous;
  }

  /** Removes a key that is there. */
  #remove(node: Node<V>, key: string): void {
    if (node.leaf) {
      const at = lowerBound(node.keys, key);
      node.keys.splice(at, 1);
      node.values.splice(at, 1);
      return;
    }
    const at = upperBound(node.keys, key);
    const child = this.#own(node.children[at]!);
    node.children[at] = child;
    this.#remove(child, key);
    if (widthOf(child) < NODE_MIN) this.#refill(node, at);
  }

  /** Merges the thin child with a neighbour; a merged node that is too wide is split again. */
  #refill(parent: Branch<V>, thin: number): void {
    const at = thin > 0 ? thin - 1 : thin;
    const left = this.#own(parent.children[at]!);
    const right = parent.children[at + 1]!;
    parent.children[at] = left;
    append(left, parent.keys[at]!, right);
    if (widthOf(left) <= NODE_MAX) {
      parent.keys.splice(at, 1);
      parent.children.splice(at + 1, 1);
      return;
    }
    const halves = split(left);
    parent.keys[at] = halves.separator;
    parent.children[at + 1] = halves.right;
  }
}

/** Walks a tree in key order: `key` and `value` are valid after `next()` returned true. */
export class Cursor<V> {
  key = "";
  value!: V;
  readonly #branches: Branch<V>[] = [];
  readonly #nexts: number[] = [];
  #leaf: Leaf<V> | undefined;
  #at = 0;

  /** Moves on by one key; false at the end. */
  next(): boolean {
    while (this.#leaf !== undefined) {
      if (this.#at < this.#leaf.keys.length) {
        this.key = this.#leaf.keys[this.#at]!;
        this.value = this.#leaf.values[this.#at]!;
        this.#at++;
        return true;
      }
      this.#climb();
    }
    return false;
  }

  /** @internal */
  push(branch: Branch<V>, next: number): void {
    this.#branches.push(branch);
    this.#nexts.push(next);
  }

  /** @internal */
  enter(leaf: Leaf<V>, at: number): void {
    this.#leaf = leaf;
    this.#at = at;
  }

  /** Goes to the first key of the next leaf. */
  #climb(): void {
    this.#leaf = undefined;
    while (this.#branches.length > 0) {
      const top = this.#branches.length - 1;
      const next = this.#nexts[top]!;
      const branch = this.#branches[top]!;
      if (next === branch.children.length) {
        this.#branches.pop();
        this.#nexts.pop();
        continue;
      }
      this.#nexts[top] = next + 1;
      let node = branch.children[next]!;
      while (!node.leaf) {
        this.push(node, 1);
        node = node.children[0]!;
      }
      this.enter(node, 0);
      return;
    }
  }
}

/** The position of the first key that is at least `key`. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The position of the first key that is above `key`: in a branch, the child that holds it. */
function upperBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle]! <= key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function widthOf<V>(node: Node<V>): number {
  return node.leaf ? node.keys.length : node.children.length;
}

/** Cuts an owned node in two and returns the right half. */
function split<V>(node: Node<V>): { separator: string; right: Node<V> } {
  const half = widthOf(node) >>> 1;
  if (node.leaf) {
    const keys = node.keys.splice(half);
    const right: Leaf<V> = {
      leaf: true,
      epoch: node.epoch,
      keys,
      values: node.values.splice(half),
    };
    return { separator: keys[0]!, right };
  }
  const children = node.children.splice(half);
  const keys = node.keys.splice(half);
  const separator = node.keys.pop()!;
  return { separator, right: { leaf: false, epoch: node.epoch, keys, children } };
}

/** Appends the content of `right` to the owned node `left`. */
function append<V>(left: Node<V>, separator: string, right: Node<V>): void {
  if (left.leaf && right.leaf) {
    left.keys.push(...right.keys);
    left.values.push(...right.values);
  } else if (!left.leaf && !right.leaf) {
    left.keys.push(separator, ...right.keys);
    left.children.push(...right.children);
  }
}

interface CheckState {
  readonly depth: number;
  readonly low: string | undefined;
  readonly high: string | undefined;
  readonly depths: Set<number>;
  readonly found: { keys: number };
}

function checkNode<V>(node: Node<V>, state: CheckState): string | undefined {
  const { keys } = node;
  const { low, high, depth } = state;
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    if (i > 0 && keys[i - 1]! >= key) return `keys do not ascend at depth ${depth}`;
    if (low !== undefined && key < low) return `a key below its separator at depth ${depth}`;
    if (high !== undefined && key >= high) return `a key above its separator at depth ${depth}`;
  }
  const width = widthOf(node);
  const least = depth === 0 ? (node.leaf ? 0 : 2) : NODE_MIN;
  if (width < least || width > NODE_MAX) return `a node of width ${width} at depth ${depth}`;
  if (node.leaf) {
    state.depths.add(depth);
    state.found.keys += keys.length;
    return keys.length === node.values.length ? undefined : "keys and values differ in number";
  }
  for (let i = 0; i < width; i++) {
    const inner = { low: keys[i - 1] ?? low, high: keys[i] ?? high, depth: depth + 1 };
    const problem = checkNode(node.children[i]!, { ...state, ...inner });
    if (problem !== undefined) return problem;
  }
  return undefined;
}
