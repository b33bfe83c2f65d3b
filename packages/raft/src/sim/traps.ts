/**
 * Traps under everything that would make a run differ from the last one: the wall clock, unseeded
 * randomness, timers, files, sockets and processes of the host. While they are set, whoever touches
 * such a thing gets a {@link TrapError} that names it; so a state machine that looks at the clock
 * is found by its first run, and not by two members that disagree a month later.
 *
 * The simulator itself needs none of these. Its host does (a progress line, a test runner), which
 * is why traps stand only while simulated code runs: set them before a slice of events, remove them
 * after. Whatever the host has to do in between goes into {@link untrapped}.
 *
 * Limits: a function that was taken out of its object before (`const { random } = Math`) is out of
 * reach. Functions that Node's modules export are reached in either form of import. Where there is
 * no Node, there are none of its modules to trap, and nothing is imported here to find that out.
 */

/** Simulated code has touched something that no seed decides. */
export class TrapError extends Error {
  override readonly name = "TrapError";
  /** What was touched, as one would write it: `Math.random`. */
  readonly touched: string;

  constructor(touched: string) {
    super(
      `${touched} was touched by simulated code. Nothing may decide what happens but the ` +
        `arguments and the state: two members, or two runs of a seed, would differ here.`,
    );
    this.touched = touched;
  }
}

type Bag = Record<string, unknown>;

/** One function behind a trap. */
interface Trap {
  readonly owner: Bag;
  readonly key: string;
  readonly replacement: (original: unknown) => unknown;
}

interface Sprung {
  readonly trap: Trap;
  readonly before: PropertyDescriptor | undefined;
}

/** Functions of global objects; the empty name is the global object itself. */
const GLOBALS: ReadonlyArray<readonly [owner: string, keys: readonly string[]]> = [
  [
    "",
    [
      ...["setTimeout", "setInterval", "setImmediate", "requestAnimationFrame"],
      ...["fetch", "WebSocket", "Worker", "MessageChannel", "BroadcastChannel"],
    ],
  ],
  ["Math", ["random"]],
  ["performance", ["now", "mark", "measure"]],
  ["crypto", ["getRandomValues", "randomUUID"]],
  ["crypto.subtle", ["digest", "sign", "verify", "encrypt", "decrypt", "generateKey", "importKey"]],
  ["process", ["hrtime", "uptime", "cpuUsage", "memoryUsage", "nextTick"]],
  ["Atomics", ["wait", "waitAsync"]],
  ["AbortSignal", ["timeout"]],
];
/** What may be called nevertheless, by whoever looks for a mistake: printing decides nothing. */
const OF_CONSOLE: readonly string[] = ["log", "info", "warn", "error", "debug", "table", "trace"];
/** Modules of Node with all their functions, */
const MODULES: readonly string[] = [
  ...["timers", "timers/promises", "child_process", "worker_threads"],
  ...["fs", "fs/promises", "net", "dgram", "dns", "dns/promises", "tls", "http", "https", "http2"],
];
/** and one of which only some are meant. */
const RANDOM_OF_CRYPTO: readonly string[] = [
  "randomBytes",
  "randomFill",
  "randomFillSync",
  "randomInt",
  "randomUUID",
  "getRandomValues",
];

/** How many have set traps, and how many have asked to be without them for a moment. */
let depth = 0;
let suspended = 0;
let isSet = false;
let sprung: readonly Sprung[] = [];
let traps: readonly Trap[] | undefined;
let onTouched: ((touched: string) => void) | undefined;

/**
 * Sets the traps and returns their removal, which may be called once or more. Calls may be nested:
 * the traps go with the last removal. `touched` is told of each touch, also of one whose error is
 * swallowed by whoever caught it; that of the outermost call counts.
 *
 * @example
 * ```ts
 * const remove = trap();
 * try {
 *   await world.run(() => isOver);
 * } finally {
 *   remove();
 * }
 * ```
 */
export function trap(touched?: (touched: string) => void): () => void {
  if (depth === 0) onTouched = touched;
  depth++;
  adjust();
  let counts = true;
  return () => {
    if (!counts) return;
    counts = false;
    depth--;
    if (depth === 0) onTouched = undefined;
    adjust();
  };
}

/** Does something that belongs to the host, without traps; they are as before afterwards. */
export function untrapped<T>(act: () => T): T {
  suspended++;
  adjust();
  try {
    return act();
  } finally {
    suspended--;
    adjust();
  }
}

/** Sets or removes the traps where they are not as they have to be. */
function adjust(): void {
  const shallBeSet = depth > 0 && suspended === 0;
  if (shallBeSet === isSet) return;
  isSet = shallBeSet;
  if (shallBeSet) set();
  else remove();
}

function set(): void {
  traps ??= allTraps();
  sprung = traps.map((one) => {
    const before = Object.getOwnPropertyDescriptor(one.owner, one.key);
    const value = one.replacement(one.owner[one.key]);
    const enumerable = before?.enumerable ?? false;
    const fixed = { enumerable, configurable: true, writable: true } as const;
    Object.defineProperty(one.owner, one.key, { value, ...fixed });
    return { trap: one, before };
  });
  syncImports();
}

function remove(): void {
  for (const { trap: one, before } of sprung) {
    if (before === undefined) Reflect.deleteProperty(one.owner, one.key);
    else Object.defineProperty(one.owner, one.key, before);
  }
  sprung = [];
  syncImports();
}

function allTraps(): Trap[] {
  const found: Trap[] = [];
  const world = globalThis as unknown as Bag;
  for (const [name, keys] of GLOBALS) {
    const owner = name === "" ? world : ownerOf(world, name);
    if (owner === undefined) continue;
    for (const key of keys) addTrap(found, owner, key, name === "" ? key : `${name}.${key}`);
  }
  addConsole(found, bagOf(world["console"]));
  found.push({ owner: world, key: "Date", replacement: (date) => timelessDate(date) });
  for (const name of MODULES) {
    const module = builtin(name);
    if (module === undefined) continue;
    for (const key of Object.keys(module)) {
      // Looking at a getter that warns of its old age would be a touch of ours.
      if (Object.getOwnPropertyDescriptor(module, key)?.get !== undefined) continue;
      addTrap(found, module, key, `${name}.${key}`);
    }
  }
  const crypto = builtin("crypto");
  if (crypto !== undefined) {
    for (const key of RANDOM_OF_CRYPTO) addTrap(found, crypto, key, `crypto.${key}`);
  }
  return found;
}

// eslint-disable-next-line max-params -- where it goes and what it is
function addTrap(found: Trap[], owner: Bag, key: string, name: string): void {
  if (typeof owner[key] !== "function") return;
  if (Object.getOwnPropertyDescriptor(owner, key)?.configurable === false) return;
  // A function, as it has to serve behind `new` as well.
  const replacement = function (): never {
    throw touch(name);
  };
  // What hangs on it is a way to the same thing, as hrtime.bigint.
  for (const [own, value] of Object.entries(owner[key])) {
    if (typeof value !== "function") continue;
    const inner = (): never => {
      throw touch(`${name}.${own}`);
    };
    Object.defineProperty(replacement, own, { value: inner });
  }
  found.push({ owner, key, replacement: () => replacement });
}

/** A console writes to files or sockets of the host: each call gives way. */
function addConsole(found: Trap[], console: Bag | undefined): void {
  for (const key of OF_CONSOLE) {
    if (typeof console?.[key] !== "function") continue;
    const replacement =
      (original: unknown) =>
      (...args: unknown[]): unknown =>
        untrapped(() => Reflect.apply(original as () => unknown, console, args) as unknown);
    found.push({ owner: console, key, replacement });
  }
}

/** The object behind a dotted name, where there is one. */
function ownerOf(world: Bag, name: string): Bag | undefined {
  let owner: Bag | undefined = world;
  for (const part of name.split(".")) owner = bagOf(owner?.[part]);
  return owner;
}

/** A Date that can hold and format a time, but knows none of its own. */
function timelessDate(original: unknown): unknown {
  return new Proxy(original as DateConstructor, {
    construct(date, args, newTarget) {
      if (args.length === 0) throw touch("new Date()");
      return Reflect.construct(date, args, newTarget) as object;
    },
    apply() {
      throw touch("Date()");
    },
    get(date, key, receiver) {
      if (key === "now") throw touch(["Date", "now"].join("."));
      return Reflect.get(date, key, receiver) as unknown;
    },
  });
}

function touch(name: string): TrapError {
  onTouched?.(name);
  return new TrapError(name);
}

/** A module of Node, where this is Node. */
function builtin(name: string): Bag | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?: (id: string) => unknown } };
  return bagOf(process?.getBuiltinModule?.(`node:${name}`));
}

/** Named imports of Node's modules are copies: they follow only when they are told to. */
function syncImports(): void {
  const sync = builtin("module")?.["syncBuiltinESMExports"];
  if (typeof sync === "function") sync();
}

function bagOf(value: unknown): Bag | undefined {
  const isBag = (typeof value === "object" && value !== null) || typeof value === "function";
  return isBag ? (value as Bag) : undefined;
}
