/**
 * Where bits may rot and sectors become unreadable: only where recovery is owed.
 *
 * A fault that may strike anywhere proves nothing, because then any loss is excused. So the atlas
 * decides for the whole run which members may be hit and where, such that three things are owed
 * nevertheless: no acknowledged entry is lost, the cluster makes progress, and the member that was
 * hit says so.
 *
 * Which members. Of n members at most n minus a majority may ever be hit. One that is hit counts as
 * *lost* from then on: it may refuse to start with `LOG_DAMAGED`, for ever. A member that was lost
 * in another way uses up the same allowance (`lost`).
 *
 * Which bytes. One copy cannot know whether the last write, which no mark proves yet, was
 * acknowledged: when it rots, it looks like the torn end of a write that nobody ever believed, and
 * recovery cuts it, as it must. The member would then go on, vote, and help to elect a leader that
 * does not have the entry: with three members one such byte loses acknowledged data, and no code
 * could prevent it. This is what design.md says remains. So the atlas hits only what recovery is
 * bound to notice: bytes of whole records *below* a durable mark that stands elsewhere on the
 * medium, and the identities of segments that are in use. The proof lies behind the byte: in a
 * later record or in a slot. It outlives it, since segments are recycled oldest first and slots are
 * written in turn. A member is hit once, so that no second hit can take the proof of the first.
 *
 * A sector that cannot be read any more is the same, as long as all of it lies below the mark and
 * nothing will be written there: else a write would make it readable with half of it gone.
 *
 * Why nothing is lost then. Until its process ends, a member that was hit speaks from memory, which
 * is sound; what it reads from its log is checked. Afterwards it says nothing any more. Let an
 * entry be acknowledged by a majority A. A later leader needs the votes of a majority E, and none
 * of E is lost. A and E have a member in common; it is not lost, so its copy is the one that it
 * acknowledged, and it votes for nobody who has less. This holds only while the copies of all
 * others are sound: whoever damages disks in another way must tell the atlas. Progress is owed
 * because those who are not lost are a majority.
 *
 * Of snapshots two are kept, so that one may rot. So the newest one is hit where there is an older
 * one from which the log goes on; the member is not lost, and owes to come back.
 *
 * What it means for "acknowledged is durable on a quorum": a lost member holds nothing, and votes
 * for nobody. An entry is safe as long as those that hold it and are not lost, together with those
 * that are lost, make a majority.
 */
import type { SimDisk } from "../disk/sim-disk.ts";
import { nameOf } from "../disk/path.ts";
import { SECTOR_BYTES } from "../disk/sim-content.ts";
import { comparePositions, laterOf, ORIGIN } from "../log/position.ts";
import type { Position } from "../log/position.ts";
import { bodyIsWhole, emptyHeader, readHeader, recordBytes, RecordKind } from "../log/record.ts";
import type { RecordSeal } from "../log/record.ts";
import { logSeal } from "../log/seal.ts";
import {
  decodeIdentity,
  decodeSlots,
  parseSegmentName,
  SEGMENT_HEAD_BYTES,
} from "../log/segment.ts";
import type { SegmentIdentity } from "../log/segment.ts";
import { parseSnapshotName } from "../snapshot/snapshot-format.ts";
import { crc32 } from "../util/checksum.ts";
import type { Random } from "../util/random.ts";
import type { MemberDisk } from "./member-disk.ts";
import { chance, pick } from "./random-streams.ts";

/** Where a bit can rot: these bytes of this file. */
export interface RotPlace {
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
}

/** How often it is the identity of a segment instead of a record, per mille. */
const IDENTITY_SHARE = 60;
const IDENTITY_BYTES = 512;
/** How often a sector becomes unreadable instead, per mille. */
const UNREADABLE_SHARE = 250;

/** The allowance of one run, and what was done with it. */
export class FaultAtlas {
  readonly #allowance: number;
  readonly #damaged: Set<number> = new Set();
  readonly #lost: Set<number> = new Set();
  readonly #hitSnapshots: Set<number> = new Set();

  /** `members`: how many there are. */
  constructor(members: number) {
    this.#allowance = members - (Math.floor(members / 2) + 1);
  }

  /** Whether bits of this member may rot. Members are named by their numbers. */
  mayRot(member: number): boolean {
    return !this.#lost.has(member) && this.#lost.size < this.#allowance;
  }

  /** Whether bits of this member have rotted: it may refuse to start, and counts as lost. */
  isDamaged(member: number): boolean {
    return this.#damaged.has(member);
  }

  /**
   * Flips a bit of the newest of two whole snapshots of a member that is down, where its log
   * reaches back to the older one: it owes to begin with that, and is not lost. Once per member,
   * since the next one may hit what the first one made it rely on.
   */
  rotSnapshot(
    member: number,
    disk: MemberDisk,
    by: { readonly logStart: number; readonly random: Random },
  ): string | undefined {
    if (this.#hitSnapshots.has(member) || this.#damaged.has(member)) return undefined;
    const whole = disk.disk.paths().filter((path) => path.endsWith(".snap"));
    const [older, newest] = whole.slice(-2);
    if (older === undefined || newest === undefined) return undefined;
    const image = disk.disk.durableImage(newest);
    const isReached = by.logStart <= (parseSnapshotName(nameOf(older))?.index ?? 0);
    if (image === undefined || !isReached || disk.disk.durableImage(older) === undefined) {
      return undefined;
    }
    this.#hitSnapshots.add(member);
    const at = by.random.below(image.length);
    const mask = 1 << by.random.below(8);
    disk.flip(newest, at, mask);
    return `${newest} at ${at}, bits ${mask.toString(2)}`;
  }

  /** A member was lost in another way. */
  lost(member: number): void {
    this.#lost.add(member);
  }

  /**
   * Flips a bit of this member's log, or makes a sector of it unreadable. Returns what it did, for
   * people; undefined where it may not, or where the log holds nothing yet whose loss would be
   * noticed.
   */
  rot(member: number, disk: MemberDisk, random: Random): string | undefined {
    if (!this.mayRot(member)) return undefined;
    const { records, identities, sectors } = rotPlaces(disk.disk);
    if (records.length === 0) return undefined;
    const isSpoiled = chance(random, UNREADABLE_SHARE) && sectors.length > 0;
    this.#damaged.add(member);
    this.#lost.add(member);
    if (isSpoiled) return spoil(disk, pick(random, sectors), random);
    const places = chance(random, IDENTITY_SHARE) ? identities : records;
    const { path, offset, bytes } = pick(random, places);
    const at = offset + random.below(bytes);
    const mask = 1 << random.below(8);
    disk.flip(path, at, mask);
    return `${path} at ${at}, bits ${mask.toString(2)}`;
  }
}

function spoil(disk: MemberDisk, { path, offset, bytes }: RotPlace, random: Random): string {
  const at = offset + random.below(bytes);
  disk.spoil(path, at, 1);
  return `${path} at ${at}, unreadable`;
}

/** What may rot of a log such that recovery has to refuse. Empty before it holds an entry. */
export function rotPlaces(disk: SimDisk): {
  readonly records: readonly RotPlace[];
  readonly identities: readonly RotPlace[];
  /** The records whose sectors hold nothing that is to come, as far as they do. */
  readonly sectors: readonly RotPlace[];
} {
  const walk = new Walk();
  for (const path of disk.paths()) {
    const parsed = parseSegmentName(nameOf(path));
    const image = parsed?.suffix === "log" ? disk.durableImage(path) : undefined;
    if (image !== undefined) walk.segment(path, image);
  }
  return walk.places();
}

/** Walks over durable segments as recovery would, oldest first. */
class Walk {
  #mark: Position = ORIGIN;
  #isOver = false;
  #holdsEntries = false;
  readonly #records: { readonly place: RotPlace; readonly at: Position }[] = [];
  readonly #identities: RotPlace[] = [];

  segment(path: string, image: Uint8Array): void {
    const head = image.subarray(0, SEGMENT_HEAD_BYTES);
    const identity = decodeIdentity(head, crc32);
    if (identity === undefined) return;
    for (const { mark } of decodeSlots(head, identity, crc32)) {
      this.#mark = laterOf(this.#mark, mark);
    }
    // Behind the end of the log there is at most a segment that was prepared.
    if (this.#isOver) return;
    this.#identities.push({ path, offset: 0, bytes: IDENTITY_BYTES });
    this.#isOver = !this.#walk(path, image, identity);
  }

  places(): ReturnType<typeof rotPlaces> {
    if (!this.#holdsEntries) return { records: [], identities: [], sectors: [] };
    const proven = this.#records.filter(({ at }) => comparePositions(at, this.#mark) < 0);
    return {
      records: proven.map(({ place }) => place),
      identities: this.#identities,
      sectors: proven.flatMap((record) => this.#settled(record)),
    };
  }

  /** What of a record stands in sectors that are all below the mark: none, or one piece. */
  #settled({ place, at }: { place: RotPlace; at: Position }): RotPlace[] {
    if (at.segment !== this.#mark.segment) return [place];
    const end = this.#mark.offset - (this.#mark.offset % SECTOR_BYTES);
    const bytes = Math.min(place.bytes, end - place.offset);
    return bytes > 0 ? [{ ...place, bytes }] : [];
  }

  /** Whether the segment ends with an `end` record, so that the log goes on in the next one. */
  #walk(path: string, image: Uint8Array, identity: SegmentIdentity): boolean {
    const seal: RecordSeal = logSeal(crc32, identity.logId);
    const header = emptyHeader();
    const segment = identity.sequence;
    let offset = SEGMENT_HEAD_BYTES;
    for (;;) {
      const belongs =
        readHeader(image, offset, header, seal) &&
        header.segment === segment &&
        header.offset === offset;
      if (!belongs || !bodyIsWhole(image, offset, header, seal)) return false;
      const bytes = recordBytes(header.bodyBytes);
      this.#records.push({ place: { path, offset, bytes }, at: { segment, offset } });
      this.#mark = laterOf(this.#mark, { segment: header.markSegment, offset: header.markOffset });
      if (header.kind === RecordKind.entries) this.#holdsEntries = true;
      if (header.kind === RecordKind.end) return true;
      offset += bytes;
    }
  }
}
