import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { EntryBatch } from "../../core/entry.ts";
import type { CoreView, Observer } from "../observer.ts";
import { NEMESES, nemesisOf } from "./catalogue.ts";
import { doneWrite, outputWith, playRole, rehearse } from "./fake-stage-harness.ts";
import type { Deed, FakeStage } from "./fake-stage-harness.ts";

const SECOND = 1_000_000;

/** What each of those that act at random times may do, and what it must have done at least. */
const RANDOM: Readonly<Record<string, { may: readonly Deed["what"][]; does: Deed["what"] }>> = {
  crash: { may: ["crash"], does: "crash" },
  "crash-at-disk": { may: ["crashAtDisk"], does: "crashAtDisk" },
  restart: { may: ["restart"], does: "restart" },
  transfer: { may: ["transfer"], does: "transfer" },
  comings: { may: ["settle", "change", "loseDisk"], does: "loseDisk" },
  roles: { may: ["ask"], does: "ask" },
  pause: { may: ["pause"], does: "pause" },
  partition: { may: ["cut", "healNetwork"], does: "cut" },
  flapping: { may: ["cut"], does: "cut" },
  "slow-link": { may: ["slow"], does: "slow" },
  "stall-link": { may: ["stall"], does: "stall" },
  reset: { may: ["reset"], does: "reset" },
  "disk-stall": { may: ["stallDisk"], does: "stallDisk" },
  "slow-disk": { may: ["slowDisk"], does: "slowDisk" },
  "disk-error": { may: ["failDisk", "crash"], does: "failDisk" },
  "disk-full": { may: ["fillDisk", "crash"], does: "fillDisk" },
  "bit-rot": { may: ["rot", "crash"], does: "rot" },
  "clock-skew": { may: ["skew"], does: "skew" },
};

/** The occasions of those that watch; n1 leads. */
/** Disks may hang for sixty election timeouts; nothing else lasts that long. */
function longestUs(kind: string): number {
  return kind === "disk-stall" ? 60 * SECOND : 4 * SECOND;
}

const OCCASIONS: Readonly<Record<string, (observer: Observer, stage: FakeStage) => void>> = {
  "after-election": (observer, { members }) => {
    const role = { type: "role", role: "leader", previous: "candidate", term: 2, reason: "" };
    observer.output?.(members[0]!, outputWith({ events: [role as never] }));
  },
  "after-vote": (observer, { members }) => {
    const message = { type: "request-vote-response", term: 2, granted: true } as const;
    observer.sent?.(members[1] ?? members[0]!, "n1", message);
  },
  "after-ack": (observer, { members }) => {
    const kind = { type: "append-entries-response", term: 2, success: true } as const;
    observer.sent?.(members[1] ?? members[0]!, "n1", {
      ...kind,
      index: 4,
      hintIndex: 0,
      hintTerm: 0,
    });
  },
  "after-append": (observer, { members }) => {
    const entries: readonly EntryBatch[] = [{} as EntryBatch];
    observer.output?.(members[0]!, outputWith({ entries }));
  },
  "after-commit": (observer, { members }) => {
    observer.settled?.(doneWrite(members.at(-1)!));
  },
  "after-snapshot": (observer, { members }) => {
    const snapshots = [{ peer: "n2", term: 2 }];
    observer.output?.(members[0]!, outputWith({ snapshots }));
  },
  "after-configuration": (observer, { members }) => {
    const event = { type: "membership", index: 4, term: 2, reason: "" };
    observer.output?.(members[0]!, outputWith({ events: [event as never] }));
  },
  "read-in-flight": (observer, { members }) => {
    const heartbeat = { type: "heartbeat", term: 2, commit: 1, round: round++ } as const;
    observer.sent?.(members[0]!, "n2", heartbeat);
  },
};
let round = 1;

/** Plays ten seconds: random ones are left alone, watching ones get occasions. */
function play(kind: string, given: Parameters<typeof rehearse>[1] = {}): FakeStage {
  round = 1;
  const { stage, observer } = rehearse(kind, given);
  playRole(stage.members[0]!, "leader");
  for (let i = 0; i < 400; i++) {
    OCCASIONS[kind]?.(observer, stage);
    stage.runFor(SECOND / 40);
  }
  return stage;
}

describe("the catalogue", () => {
  test("holds one nemesis for each file, by the name of the file", () => {
    const notNemeses = ["catalogue", "fake-stage-harness", "nemesis", "rhythm", "targets"];
    const files = readdirSync(import.meta.dirname)
      .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
      .map((name) => name.slice(0, -3))
      .filter((name) => !notNemeses.includes(name));
    expect(NEMESES.map(({ kind }) => kind).toSorted()).toEqual(files.toSorted());
    expect(Object.keys({ ...RANDOM, ...OCCASIONS }).toSorted()).toEqual(files.toSorted());
    for (const { text } of NEMESES) expect(text).toMatch(/^[A-Z].*\.$/);
  });

  test("finds a nemesis by its name and says where there is none", () => {
    expect(nemesisOf("after-ack").kind).toBe("after-ack");
    expect(() => nemesisOf("kraken")).toThrow('there is no nemesis "kraken"');
  });
});

describe.each(NEMESES.map(({ kind }) => kind))("%s", (kind) => {
  test("does the same again for the same seed, and something else for another", () => {
    const deeds = play(kind).deeds;
    expect(deeds.length).toBeGreaterThan(20);
    expect(play(kind).deeds).toEqual(deeds);
    expect(play(kind, { seed: 2 }).deeds).not.toEqual(deeds);
  });

  test("orders whole microseconds of a sensible length, for members that exist", () => {
    const wrong: Deed[] = [];
    for (const members of [1, 2, 3, 5]) {
      for (const deed of play(kind, { members }).deeds) {
        const lengths = deed.how.filter((one) => typeof one === "number");
        const isFine =
          lengths.every((one) => Number.isSafeInteger(one) && Math.abs(one) <= longestUs(kind)) &&
          deed.whom.every((id) => Number(id.slice(1)) <= members) &&
          new Set(deed.whom).size === deed.whom.length;
        if (!isFine) wrong.push(deed);
      }
    }
    expect(wrong).toEqual([]);
  });

  test("stops with the healing", () => {
    const { stage, observer } = rehearse(kind);
    playRole(stage.members[0]!, "leader");
    OCCASIONS[kind]?.(observer, stage);
    stage.heal();
    const before = stage.deeds.length;
    stage.runFor(10 * SECOND);
    expect(stage.deeds).toHaveLength(before);
  });
});

describe.each(Object.entries(RANDOM))("%s, at random times,", (kind, { may, does }) => {
  test("does what its name says and nothing else", () => {
    const deeds = play(kind).deeds.map(({ what }) => what);
    expect(deeds.filter((what) => !may.includes(what))).toEqual([]);
    expect(deeds).toContain(does);
  });

  test("comes about as often as everyMs says", () => {
    const rare = play(kind, { everyMs: 1_000, seed: 5 }).deeds.length;
    const often = play(kind, { everyMs: 50, seed: 5 }).deeds.length;
    expect(often).toBeGreaterThan(4 * rare);
  });
});

describe.each(Object.keys(OCCASIONS))("%s, on occasions,", (kind) => {
  test("does nothing without one", () => {
    const { stage } = rehearse(kind);
    stage.runFor(10 * SECOND);
    expect(stage.deeds).toEqual([]);
  });

  test("takes none where the share is nought, and some where it is small", () => {
    // Seed 1 leaves the first append of a leadership alone, which is an occasion in any case.
    expect(play(kind, { share: 0 }).deeds).toEqual([]);
    const some = play(kind, { share: 100, everyMs: 0 }).deeds.length;
    expect(some).toBeGreaterThan(0);
    expect(some).toBeLessThan(play(kind, { share: 1_000, everyMs: 0 }).deeds.length);
  });

  test("leaves the cluster alone for a while after each", () => {
    const seldom = play(kind, { everyMs: 2_000 }).deeds.length;
    expect(seldom).toBeLessThan(play(kind, { everyMs: 50 }).deeds.length / 3);
  });
});

describe("what is aimed at", () => {
  test("a disk is mostly full when a segment is begun, and again when a log has got space", () => {
    const from = play("disk-full").deeds.filter(({ what }) => what === "fillDisk");
    const aimed = from.filter(({ how }) => how[1] === "next-segment");
    expect(aimed.length).toBeGreaterThan(from.length / 2);
    expect(aimed.length).toBeLessThan(from.length);
    const { stage, observer } = rehearse("disk-full", { everyMs: 0 });
    const [member] = stage.members;
    for (const state of ["full", "ok"] as const) {
      for (let i = 0; i < 20; i++) observer.event?.(member!, { type: "storage", state });
    }
    observer.started?.(member!);
    const filled = stage.deeds.map(({ what, how }) => `${what} ${how[1]}`);
    expect(new Set(filled)).toEqual(new Set(["fillDisk next-segment", "fillDisk now"]));
  });

  test("a member that is to die at a rare moment is mostly left alone until it does", () => {
    const { stage, observer } = rehearse("crash-at-disk", { members: 1 });
    stage.runFor(20 * SECOND);
    const patient = stage.deeds.length;
    expect(new Set(stage.deeds.map(({ how }) => typeof how[1]))).toEqual(
      new Set(["string", "number"]),
    );
    for (let i = 0; i < 800; i++) {
      observer.died?.(stage.members[0]!, "power");
      stage.runFor(SECOND / 40);
    }
    expect(stage.deeds.length - patient).toBeGreaterThan(2 * patient);
  });

  test("caches are dropped of a member that has died, not of others", () => {
    const { stage, observer } = rehearse("disk-error", { everyMs: 1_000_000 });
    for (let i = 0; i < 50; i++) observer.died?.(stage.members[2]!, "failed");
    stage.runFor(1);
    const dropped = stage.deeds.filter(({ what }) => what === "dropCaches");
    expect(dropped.length).toBeGreaterThan(5);
    expect(dropped.length).toBeLessThan(40);
    expect(dropped.every(({ whom }) => whom.join() === "n3")).toBe(true);
  });

  test("one that died at its disk dies again at times while it starts", () => {
    const { stage, observer } = rehearse("crash-at-disk", { members: 1 });
    let again = 0;
    for (let i = 0; i < 200; i++) {
      stage.runFor(SECOND / 4);
      observer.died?.(stage.members[0]!, "power");
      const before = stage.deeds.length;
      observer.started?.(stage.members[0]!);
      stage.runFor(1);
      again += stage.deeds.length - before;
    }
    expect(again).toBeGreaterThan(10);
    expect(again).toBeLessThan(80);
  });

  test("an election strikes the leader or a voter within some 60 ms on average", () => {
    const delays: number[] = [];
    const victims = new Set<string>();
    for (let seed = 1; seed <= 200; seed++) {
      const { stage, observer } = rehearse("after-election", { seed });
      OCCASIONS["after-election"]!(observer, stage);
      stage.runFor(SECOND);
      const first = stage.deeds[0];
      if (first === undefined) continue;
      delays.push(first.atUs);
      victims.add(first.whom[0]!);
    }
    const mean = delays.reduce((a, b) => a + b, 0) / delays.length;
    expect(mean).toBeGreaterThan(5_000);
    expect(mean).toBeLessThan(60_000);
    expect(victims.size).toBe(5);
  });

  test("a vote brings down the voter or the candidate at once, back within 15 ms", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const { stage, observer } = rehearse("after-vote", { seed });
      OCCASIONS["after-vote"]!(observer, stage);
      stage.runFor(2_000);
      const crashes = stage.deeds.filter(({ what }) => what === "crash");
      expect(crashes.length).toBeGreaterThan(0);
      for (const { whom, how } of crashes) {
        expect(["n1", "n2"]).toContain(whom[0]);
        expect(how[1]).toBeGreaterThanOrEqual(1_000);
        expect(how[1]).toBeLessThanOrEqual(15_000);
      }
      for (const { what, whom } of stage.deeds) if (what === "cut") expect(whom).toContain("n1");
    }
  });

  test("a refused vote is no occasion", () => {
    const { stage, observer } = rehearse("after-vote");
    const message = { type: "request-vote-response", term: 2, granted: false } as const;
    observer.sent?.(stage.members[1]!, "n1", message);
    stage.runFor(SECOND);
    expect(stage.deeds).toEqual([]);
  });

  test("an acknowledgement always takes the power from the one who gave it", () => {
    for (let seed = 1; seed <= 50; seed++) {
      const { stage, observer } = rehearse("after-ack", { seed });
      OCCASIONS["after-ack"]!(observer, stage);
      stage.runFor(2_000);
      const hit = stage.deeds.find(({ what, whom }) => what === "crash" && whom[0] === "n2");
      expect(hit?.how[0]).toBe("power");
    }
  });

  test("an acknowledgement of an old term's entry takes the leader away, not who gave it", () => {
    let struck = 0;
    for (let seed = 1; seed <= 50; seed++) {
      const { stage, observer } = rehearse("after-ack", { seed, share: 0 });
      const log = { lastIndex: 4, termAt: () => 1 };
      stage.members[1]!.core = { commit: 2, log } as unknown as CoreView;
      OCCASIONS["after-ack"]!(observer, stage);
      stage.runFor(2_000);
      if (stage.deeds.length > 0) struck++;
      const whom = stage.deeds.filter(({ what }) => what === "crash").map((deed) => deed.whom[0]);
      expect(whom).not.toContain("n2");
      for (const deed of stage.deeds) expect(deed.whom).toContain("n1");
    }
    expect(struck).toBeGreaterThan(5);
    expect(struck).toBeLessThan(35);
  });

  test("a commit takes the power from the leader that made it, not from followers", () => {
    const { stage, observer } = rehearse("after-ack", { everyMs: 0 });
    const commit = { type: "commit", index: 3, term: 2 } as const;
    playRole(stage.members[1]!, "follower");
    observer.output?.(stage.members[1]!, outputWith({ events: [commit] }));
    stage.runFor(SECOND);
    expect(stage.deeds).toEqual([]);
    playRole(stage.members[0]!, "leader");
    observer.output?.(stage.members[0]!, outputWith({ events: [commit] }));
    stage.runFor(SECOND);
    expect(stage.deeds.map(({ what, whom }) => [what, whom])).toEqual([["crash", ["n1"]]]);
  });

  test("an append cuts the leader off from all, or from all but one", () => {
    const reached = new Set<number>();
    for (let seed = 1; seed <= 50; seed++) {
      const { stage, observer } = rehearse("after-append", { seed });
      playRole(stage.members[0]!, "leader");
      OCCASIONS["after-append"]!(observer, stage);
      const cut = stage.deeds.filter(({ what, whom }) => what === "cut" && whom[0] === "n1");
      reached.add(cut.length);
    }
    expect(reached).toEqual(new Set([3, 4]));
  });

  test("the first append of a leadership is an occasion of its own", () => {
    let struck = 0;
    for (let seed = 1; seed <= 100; seed++) {
      const { stage, observer } = rehearse("after-append", { seed, share: 0 });
      playRole(stage.members[0]!, "leader");
      for (let i = 0; i < 5; i++) OCCASIONS["after-append"]!(observer, stage);
      if (stage.deeds.length > 0) struck++;
      expect(stage.deeds.length).toBeLessThanOrEqual(8);
    }
    expect(struck).toBeGreaterThan(10);
    expect(struck).toBeLessThan(50);
  });

  test("an answered write brings down the leader, whoever answered", () => {
    const { stage, observer } = rehearse("after-commit");
    playRole(stage.members[3]!, "leader", 3);
    playRole(stage.members[1]!, "leader", 2);
    OCCASIONS["after-commit"]!(observer, stage);
    stage.runFor(2_000);
    expect(stage.deeds[0]?.whom).toEqual(["n4"]);
  });

  test("a round is one occasion, however many heartbeats carry it", () => {
    const { stage, observer } = rehearse("read-in-flight", { everyMs: 0, share: 1_000 });
    const heartbeat = { type: "heartbeat", term: 2, commit: 1, round: 9 } as const;
    for (const to of ["n2", "n3", "n4", "n5"]) observer.sent?.(stage.members[0]!, to, heartbeat);
    stage.runFor(SECOND);
    const once = stage.deeds.length;
    expect(once).toBeGreaterThan(0);
    observer.sent?.(stage.members[0]!, "n2", heartbeat);
    stage.runFor(SECOND);
    expect(stage.deeds).toHaveLength(once);
    observer.sent?.(stage.members[0]!, "n2", { ...heartbeat, round: 0 });
    stage.runFor(SECOND);
    expect(stage.deeds).toHaveLength(once);
  });
});
