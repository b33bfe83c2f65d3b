/**
 * The bytes of one write: records put together in one buffer that is used again and again, so that
 * a gathered batch costs one copy and one data-synced write, and no allocation per entry.
 */
import { assert } from "../util/assert.ts";
import type { Position } from "./position.ts";
import { RECORD_HEADER_BYTES, RECORD_VERSION, recordBytes, writeHeader } from "./record.ts";
import type { RecordHeader, RecordKind, RecordSeal } from "./record.ts";

/** What a record holds, apart from its place. */
export interface RecordContent {
  readonly kind: RecordKind;
  readonly flags: number;
  readonly group: number;
  readonly commit: number;
  readonly body: Uint8Array;
  readonly bodyCrc: number;
}

const CAPACITY_MIN = 65_536;
/** A buffer that one large write made grow is given back beyond this. */
const CAPACITY_KEPT = 4_194_304; // 4 MiB

/** Records on their way to one place of one segment. */
export class Chunk {
  readonly #seal: RecordSeal;
  readonly #header: RecordHeader;
  #bytes: Uint8Array = new Uint8Array(CAPACITY_MIN);
  #length = 0;
  #records = 0;

  constructor(seal: RecordSeal, opening: number) {
    this.#seal = seal;
    this.#header = {
      version: RECORD_VERSION,
      kind: 1,
      flags: 0,
      bodyBytes: 0,
      segment: 0,
      offset: 0,
      group: 0,
      markSegment: 0,
      markOffset: 0,
      bodyCrc: 0,
      commit: 0,
      opening,
    };
  }

  get length(): number {
    return this.#length;
  }

  get records(): number {
    return this.#records;
  }

  /** Starts anew: records will stand from `at` on, and `mark` is what is durable by now. */
  begin(at: Position, mark: Position): void {
    this.#length = 0;
    this.#records = 0;
    this.#header.segment = at.segment;
    this.#header.offset = at.offset;
    this.#header.markSegment = mark.segment;
    this.#header.markOffset = mark.offset;
    if (this.#bytes.length > CAPACITY_KEPT) this.#bytes = new Uint8Array(CAPACITY_MIN);
  }

  /** Adds a record and returns its offset in the segment. */
  add(content: RecordContent): number {
    const header = this.#header;
    const { body } = content;
    const at = this.#reserve(recordBytes(body.length));
    const offset = header.offset;
    header.kind = content.kind;
    header.flags = content.flags;
    header.group = content.group;
    header.commit = content.commit;
    header.bodyBytes = body.length;
    header.bodyCrc = content.bodyCrc;
    writeHeader(this.#bytes, at, header, this.#seal);
    this.#bytes.set(body, at + RECORD_HEADER_BYTES);
    this.#bytes.fill(0, at + RECORD_HEADER_BYTES + body.length, this.#length);
    header.offset = offset + recordBytes(body.length);
    this.#records++;
    return offset;
  }

  /** What is to be written: a view, valid until the next `begin`. */
  view(): Uint8Array {
    assert(this.#length % 8 === 0, "records are aligned to 8 bytes");
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
    }
    return at;
  }
}
