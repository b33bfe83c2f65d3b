/** The check of snapshots against machines that keep the contract, and against ones that do not. */
import { describe, expect, test } from "vitest";
import { readJson } from "../machine/read-json.ts";
import { fromUtf8, utf8 } from "../util/bytes.ts";
import { checkSnapshots, SnapshotCheckError } from "./snapshot-check.ts";
import type { SnapshotCheckOptions } from "./snapshot-check.ts";

interface SetCell {
  readonly key: string;
  readonly value: number | undefined;
}

const COMMANDS: readonly SetCell[] = Array.from({ length: 120 }, (_, i) => ({
  key: `k${(i * 7) % 30}`,
  ...(i % 5 === 4 ? { value: undefined } : { value: i }),
}));

/** A machine that is right; the wrong ones below change one thing. */
class Cells {
  cells: Map<string, number> = new Map();

  apply({ key, value }: SetCell): number {
    const before = this.cells.get(key) ?? -1;
    if (value === undefined) this.cells.delete(key);
    else this.cells.set(key, value);
    return before;
  }

  query(key: string): number | undefined {
    return this.cells.get(key);
  }

  snapshot(): unknown {
    return this.read(new Map(this.cells));
  }

  async *read(cells: ReadonlyMap<string, number>): AsyncGenerator<Uint8Array> {
    for (const [key, value] of sorted(cells)) {
      await Promise.resolve();
      yield utf8(`${key}=${value}\n`);
    }
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    let text = "";
    for await (const chunk of chunks) text += fromUtf8(chunk);
    this.cells = new Map();
    for (const line of text.split("\n").slice(0, -1)) {
      const [key, value] = line.split("=") as [string, string];
      this.cells.set(key, Number(value));
    }
  }
}

/** As each member has to give them. */
function sorted(cells: ReadonlyMap<string, number>): [string, number][] {
  return [...cells].sort(([a], [b]) => (a < b ? -1 : 1));
}

const QUERIES = ["k1", "k2", "nothing"];

async function ruleOf(
  machine: () => Cells,
  more: Partial<SnapshotCheckOptions<SetCell, string>> = {},
): Promise<string | undefined> {
  try {
    const all = { machine, commands: COMMANDS, queries: QUERIES, ...more };
    await checkSnapshots<SetCell, string>(all);
    return undefined;
  } catch (error) {
    if (error instanceof SnapshotCheckError) return error.rule;
    throw error;
  }
}

describe("passes", () => {
  test("a machine that copies before it gives its first piece", async () => {
    expect(await ruleOf(() => new Cells())).toBeUndefined();
    expect(await ruleOf(() => new Cells(), { pieceBytes: 3 })).toBeUndefined();
  });

  test("values, and pieces that are held", async () => {
    class Plain extends Cells {
      override snapshot(): unknown {
        return sorted(this.cells);
      }
      override async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
        this.cells = new Map(await readJson<[string, number][]>(chunks));
      }
    }
    class Held extends Cells {
      override *snapshot(): Generator<Uint8Array> {
        for (const [key, value] of sorted(this.cells)) yield utf8(`${key}=${value}\n`);
      }
    }
    expect(await ruleOf(() => new Plain())).toBeUndefined();
    expect(await ruleOf(() => new Held())).toBeUndefined();
  });
});

describe("finds", () => {
  test("commands that show in a snapshot that began before them", async () => {
    class Late extends Cells {
      override async *snapshot(): AsyncGenerator<Uint8Array> {
        // An iterator over a Map sees what comes and goes meanwhile.
        for (const [key, value] of this.cells) yield utf8(`${key}=${value}\n`);
      }
    }
    class LateByATurn extends Cells {
      override async *snapshot(): AsyncGenerator<Uint8Array> {
        await Promise.resolve();
        yield* this.read(new Map(this.cells));
      }
    }
    expect(await ruleOf(() => new Late())).toBe("point-in-time");
    expect(await ruleOf(() => new LateByATurn())).toBe("point-in-time");
  });

  test("a machine that a snapshot changes, or one that is given up", async () => {
    class Consumed extends Cells {
      override snapshot(): unknown {
        const cells = new Map(this.cells);
        this.cells.delete("k1");
        return this.read(cells);
      }
    }
    class Locked extends Cells {
      isRead = false;
      override apply(command: SetCell): number {
        return this.isRead ? -1 : super.apply(command);
      }
      override *snapshot(): Generator<Uint8Array> {
        // Not in a finally: whoever gives it up leaves the lock.
        this.isRead = true;
        for (const [key, value] of sorted(this.cells)) yield utf8(`${key}=${value}\n`);
        this.isRead = false;
      }
    }
    expect(await ruleOf(() => new Consumed())).toBe("unchanged");
    expect(await ruleOf(() => new Locked())).toBe("unchanged");
  });

  test("what restore leaves behind, forgets or cannot cut", async () => {
    class Merged extends Cells {
      override async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
        const before = this.cells;
        await super.restore(chunks);
        this.cells = new Map([...before, ...this.cells]);
      }
    }
    class Forgetful extends Cells {
      writes = 0;
      override apply(command: SetCell): number {
        super.apply(command);
        return ++this.writes;
      }
    }
    class ByPiece extends Cells {
      override async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
        this.cells = new Map();
        for await (const chunk of chunks) {
          for (const line of fromUtf8(chunk).split("\n").slice(0, -1)) {
            const [key, value] = line.split("=") as [string, string];
            this.cells.set(key, Number(value));
          }
        }
      }
    }
    expect(await ruleOf(() => new Merged())).toBe("restored");
    expect(await ruleOf(() => new Forgetful())).toBe("restored");
    expect(await ruleOf(() => new ByPiece())).toBeUndefined();
    expect(await ruleOf(() => new ByPiece(), { pieceBytes: 10 })).toBe("restored");
  });

  test("a machine that throws, with what it threw", async () => {
    class Throws extends Cells {
      override snapshot(): unknown {
        throw new Error("not today");
      }
    }
    const options = { machine: () => new Throws(), commands: COMMANDS };
    const failure = checkSnapshots<SetCell, string>(options);
    await expect(failure).rejects.toThrow(/^\[throws\] .*not today$/);
  });

  test("and says where: the rule, the byte, both sides, and behind which command", async () => {
    class Late extends Cells {
      override async *snapshot(): AsyncGenerator<Uint8Array> {
        for (const [key, value] of this.cells) yield utf8(`${key}=${value}\n`);
      }
    }
    const options = { machine: () => new Late(), commands: COMMANDS };
    const failure = checkSnapshots<SetCell, string>(options);
    await expect(failure).rejects.toThrow(
      /^\[point-in-time\] a snapshot beside which \d+ commands were applied differs from /,
    );
    await expect(failure).rejects.toThrow(
      /, from byte \d+ on: .* against .*; the snapshot was taken behind 12 of 120 commands$/,
    );
  });
});
