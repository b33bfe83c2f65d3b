/**
 * Which commands of the log had an effect: all of them but the few that were repetitions, came too
 * late, or belonged to a session that was gone. The log alone does not say, so whoever reads it
 * afterwards (the feed of changes) asks here.
 *
 * Kept are the indexes of those without effect, the newest {@link INEFFECTIVE_MAX} of them; before
 * the oldest that had to go nothing is known any more ({@link History.knownFrom}).
 *
 *   u64 known from this index on, u32 count, then per index a u32: how far from the one before (the
 *   first one: from the index above)
 */
import type { ByteReader, ByteWriter } from "../util/bytes.ts";
import { BytesError } from "../util/bytes.ts";

/** Part of what is replicated: the same on every member. */
export const INEFFECTIVE_MAX = 65_536;
const U32_MAX = 0xffff_ffff;

/** The indexes without effect, of one group. */
export class History {
  #indexes: number[] = [];
  #head = 0;
  #knownFrom = 1;

  /** From here on it is known what had an effect. */
  get knownFrom(): number {
    return this.#knownFrom;
  }

  get count(): number {
    return this.#indexes.length - this.#head;
  }

  /** The command at `index`, above all before, had no effect. */
  ineffective(index: number): void {
    const last = this.count > 0 ? this.#indexes.at(-1)! : this.#knownFrom;
    // So far apart that the layout cannot say it: nothing is known of what lies before.
    if (index - last > U32_MAX) this.forgetBelow(index);
    this.#indexes.push(index);
    if (this.count > INEFFECTIVE_MAX) this.forgetBelow(this.#indexes[this.#head]! + 1);
  }

  /** Whether the command at `index`, at or above {@link knownFrom}, had an effect. */
  isEffective(index: number): boolean {
    let low = this.#head;
    let high = this.#indexes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#indexes[middle]! < index) low = middle + 1;
      else high = middle;
    }
    return this.#indexes[low] !== index;
  }

  /** Nobody asks for what is below `index` any more: the log has lost it. */
  forgetBelow(index: number): void {
    if (index <= this.#knownFrom) return;
    this.#knownFrom = index;
    while (this.#head < this.#indexes.length && this.#indexes[this.#head]! < index) this.#head++;
    if (this.#head > 1_024 && this.#head * 2 > this.#indexes.length) {
      this.#indexes = this.#indexes.slice(this.#head);
      this.#head = 0;
    }
  }

  encode(writer: ByteWriter): void {
    writer.u64(this.#knownFrom).u32(this.count);
    let before = this.#knownFrom;
    for (let at = this.#head; at < this.#indexes.length; at++) {
      writer.u32(this.#indexes[at]! - before);
      before = this.#indexes[at]!;
    }
  }

  /** Reads what {@link encode} wrote; throws {@link BytesError} where it is not that. */
  static decode(reader: ByteReader): History {
    const history = new History();
    history.#knownFrom = reader.u64();
    const count = reader.u32();
    if (count > INEFFECTIVE_MAX || count * 4 > reader.remaining) {
      throw new BytesError(`${count} indexes without effect`);
    }
    let index = history.#knownFrom;
    for (let i = 0; i < count; i++) {
      const step = reader.u32();
      if (i > 0 && step === 0) throw new BytesError("an index without effect twice");
      index += step;
      history.#indexes.push(index);
    }
    return history;
  }
}
