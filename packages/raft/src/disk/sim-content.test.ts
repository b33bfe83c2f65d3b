import { describe, expect, test } from "vitest";
import { SeededRandom } from "../util/random.ts";
import { KeptBytes, isKept } from "./sim-bytes.ts";
import { SECTOR_BYTES, SimContent } from "./sim-content.ts";

const SECTORS = 8;
const BYTES = SECTORS * SECTOR_BYTES;

/** Two whole images and a dirty bit per sector: slow, and plainly right. */
class Model {
  size = 0;
  durableSize = 0;
  readonly cache = new Uint8Array(BYTES);
  readonly medium = new Uint8Array(BYTES);
  readonly dirty: boolean[] = Array.from({ length: SECTORS }, () => false);
  readonly allocated: boolean[] = Array.from({ length: SECTORS }, () => false);

  write(bytes: Uint8Array, position: number): void {
    this.cache.set(bytes, position);
    this.#each(position, position + bytes.length, (s) => {
      this.dirty[s] = true;
      this.allocated[s] = true;
    });
    this.size = Math.max(this.size, position + bytes.length);
  }

  truncate(size: number): void {
    if (size < this.size) {
      this.cache.fill(0, size);
      this.#each(size, this.size, (s) => {
        this.dirty[s] = true;
        this.allocated[s] = true;
      });
      for (let s = Math.ceil(size / SECTOR_BYTES); s < SECTORS; s++) this.allocated[s] = false;
    }
    this.size = size;
  }

  syncRange(position: number, end: number): void {
    this.#each(position, end, (s) => {
      if (this.dirty[s]!) this.#copy(this.cache, this.medium, s);
      this.dirty[s] = false;
    });
    this.durableSize = Math.max(this.durableSize, Math.min(end, this.size));
  }

  sync(): void {
    this.syncRange(0, BYTES);
    this.durableSize = this.size;
  }

  dropRange(position: number, end: number): void {
    this.#each(position, end, (s) => (this.dirty[s] = false));
  }

  evict(): void {
    this.#each(0, BYTES, (s) => {
      if (!this.dirty[s]!) this.#copy(this.medium, this.cache, s);
    });
    this.cache.fill(0, this.size);
  }

  #copy(from: Uint8Array, to: Uint8Array, sector: number): void {
    const at = sector * SECTOR_BYTES;
    to.set(from.subarray(at, at + SECTOR_BYTES), at);
  }

  #each(position: number, end: number, act: (sector: number) => void): void {
    if (position >= end) return;
    const last = Math.ceil(end / SECTOR_BYTES);
    for (let s = Math.floor(position / SECTOR_BYTES); s < last; s++) act(s);
  }
}

/** One step on both. A file grows only by what is written, so that the model can be small. */
function step(random: SeededRandom, content: SimContent, model: Model): void {
  const position = random.below(BYTES - 1);
  const end = position + 1 + random.below(BYTES - position);
  const bytes = new Uint8Array(end - position).fill(1 + random.below(200));
  switch (random.below(9)) {
    case 0:
    case 1:
      content.write(bytes, position);
      model.write(bytes, position);
      break;
    case 2:
    case 3:
      content.writeThrough(bytes, position);
      model.write(bytes, position);
      model.syncRange(position, end);
      break;
    case 4:
      content.truncate(Math.min(position, model.size));
      model.truncate(Math.min(position, model.size));
      break;
    case 5:
      content.sync();
      model.sync();
      break;
    case 6:
      content.syncRange(position, end);
      model.syncRange(position, end);
      break;
    case 7:
      content.dropRange(position, end);
      model.dropRange(position, end);
      break;
    default:
      content.evict();
      model.evict();
  }
}

describe("cache and medium", () => {
  test("agree with two whole images, whatever is done", () => {
    for (let seed = 1; seed <= 150; seed++) {
      const random = new SeededRandom(seed);
      let content = new SimContent();
      const model = new Model();
      for (let i = 0; i < 40; i++) {
        step(random, content, model);
        if (random.below(8) === 0) content = content.copy();
        const isEqual =
          content.size === model.size &&
          content.durableSize === model.durableSize &&
          content.allocatedSectors === model.allocated.filter(Boolean).length &&
          Buffer.compare(content.image(), model.cache.subarray(0, model.size)) === 0 &&
          Buffer.compare(content.durableImage(), model.medium.subarray(0, model.durableSize)) === 0;
        if (!isEqual) expect.fail(`they differ with seed ${seed} after step ${i}`);
      }
      content.losePower({ below: () => 0 });
      const left = model.medium.subarray(0, model.durableSize);
      expect(Buffer.compare(content.image(), left), `seed ${seed}`).toBe(0);
      expect(Buffer.compare(content.durableImage(), left), `seed ${seed}`).toBe(0);
    }
  });

  test("what fits into so many sectors ends at a sector, and what is there needs none", () => {
    const content = new SimContent();
    content.write(new Uint8Array(600), 0);
    expect(content.sectorsNeeded(1_000, 100)).toBe(1);
    expect(content.fitting(1_000, 3_000, 0)).toBe(24);
    expect(content.fitting(1_000, 3_000, 2)).toBe(24 + 2 * SECTOR_BYTES);
    expect(content.fitting(1_000, 3_000, 99)).toBe(3_000);
    expect(content.fitting(0, 1_024, 0)).toBe(1_024);
  });
});

describe("power loss", () => {
  test("tears what is dirty in a large file, in every shape", () => {
    const shapes = new Map<string, number>();
    const random = new SeededRandom(1);
    for (let i = 0; i < 400; i++) {
      const content = new SimContent();
      content.writeThrough(new Uint8Array(200 * SECTOR_BYTES), 0);
      content.write(new Uint8Array(4 * SECTOR_BYTES).fill(1), 100 * SECTOR_BYTES);
      content.losePower(random);
      const image = content.image();
      const shape = [0, 1, 2, 3].map((s) => image[(100 + s) * SECTOR_BYTES]).join("");
      shapes.set(shape, (shapes.get(shape) ?? 0) + 1);
    }
    expect(shapes.size).toBe(16);
    const whole = shapes.get("0000")! + shapes.get("1111")!;
    expect(whole).toBeLessThan(200);
    for (const shape of ["1000", "1110", "0111", "0001", "1101", "0100"]) {
      expect(shapes.get(shape), shape).toBeGreaterThan(8);
    }
  });
});

describe("what is kept of a write", () => {
  test("shows any change, of few bytes and many, of zeros and others", () => {
    const keeper = new KeptBytes();
    for (const length of [0, 1, 7, 400, 1_023, 1_027, 4_096, 9_001, 65_536]) {
      for (const value of [0, 3]) {
        for (const shift of [0, 1, 4]) {
          const bytes = new Uint8Array(length + shift).fill(value).subarray(shift);
          const kept = keeper.keep(bytes);
          const other = keeper.keep(new Uint8Array(length).fill(9));
          expect([isKept(kept, bytes), isKept(other, bytes)]).toEqual([true, length === 0]);
          for (const at of [0, length >> 1, length - 1]) {
            if (at < 0 || at >= length) continue;
            bytes[at] = value + 1;
            expect(isKept(kept, bytes), `${length} bytes, changed at ${at}`).toBe(false);
            bytes[at] = value;
          }
          expect(Buffer.compare(kept, bytes)).toBe(0);
        }
      }
    }
  });
});
