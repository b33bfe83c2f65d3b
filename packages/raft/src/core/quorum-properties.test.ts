/**
 * Majorities against the definition, word for word: a set decides if it holds more than half of the
 * voters, and in a joint configuration more than half of either half (thesis, 4.3).
 */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Configuration, MemberId } from "./configuration.ts";
import { configurationOf } from "./core-harness.ts";
import { isSoleVoter, majority, quorumValue, voteResult } from "./quorum.ts";

const IDS = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];

const someIds: fc.Arbitrary<MemberId[]> = fc.subarray(IDS);

const anyConfiguration: fc.Arbitrary<Configuration> = fc
  .record({
    voters: someIds,
    outgoing: fc.oneof(fc.constant<MemberId[]>([]), someIds),
    learners: someIds,
  })
  .map(({ voters, outgoing, learners }) =>
    configurationOf(
      voters,
      learners.filter((id) => !voters.includes(id) && !outgoing.includes(id)),
      outgoing,
    ),
  );

const anyValues: fc.Arbitrary<Map<MemberId, number>> = fc
  .array(fc.nat(8), { minLength: IDS.length, maxLength: IDS.length })
  .map((values) => new Map(IDS.map((id, i) => [id, values[i] ?? 0])));

/** True, false, or not voted. */
const anyVotes: fc.Arbitrary<Map<MemberId, boolean>> = fc
  .array(fc.constantFrom(true, false, undefined), {
    minLength: IDS.length,
    maxLength: IDS.length,
  })
  .map((votes) => {
    const map = new Map<MemberId, boolean>();
    votes.forEach((vote, i) => {
      if (vote !== undefined) map.set(IDS[i] ?? "", vote);
    });
    return map;
  });

function isMajority(of: readonly MemberId[], set: ReadonlySet<MemberId>): boolean {
  let inside = 0;
  for (const id of of) if (set.has(id)) inside++;
  return 2 * inside > of.length;
}

/** Nobody decides where nobody votes; an empty outgoing half asks for nothing. */
function isQuorum({ voters, outgoing }: Configuration, set: ReadonlySet<MemberId>): boolean {
  return isMajority(voters, set) && (outgoing.length === 0 || isMajority(outgoing, set));
}

function holders(values: ReadonlyMap<MemberId, number>, value: number): Set<MemberId> {
  return new Set(IDS.filter((id) => (values.get(id) ?? 0) >= value));
}

describe("quorumValue", () => {
  test("is the largest value that a quorum has reached", () => {
    fc.assert(
      fc.property(anyConfiguration, anyValues, (configuration, values) => {
        const reached = [...new Set(values.values())].filter((value) =>
          isQuorum(configuration, holders(values, value)),
        );
        const value = quorumValue(configuration, (id) => values.get(id) ?? 0);
        expect(value).toBe(Math.max(-Infinity, ...reached));
      }),
      { numRuns: 1_000 },
    );
  });

  test("counts no learner, whatever it has", () => {
    fc.assert(
      fc.property(anyConfiguration, anyValues, fc.nat(100), (configuration, values, high) => {
        const valueOf = (id: MemberId): number => values.get(id) ?? 0;
        const withLearners = (id: MemberId): number =>
          configuration.learners.includes(id) ? high : valueOf(id);
        expect(quorumValue(configuration, withLearners)).toBe(quorumValue(configuration, valueOf));
      }),
    );
  });

  test("does not depend on the order of the voters", () => {
    fc.assert(
      fc.property(anyConfiguration, anyValues, fc.nat(), (configuration, values, turn) => {
        const turned = (ids: readonly MemberId[]): MemberId[] => {
          const at = ids.length === 0 ? 0 : turn % ids.length;
          return [...ids.slice(at), ...ids.slice(0, at)].reverse();
        };
        const { voters, outgoing } = configuration;
        const other = { ...configuration, voters: turned(voters), outgoing: turned(outgoing) };
        const valueOf = (id: MemberId): number => values.get(id) ?? 0;
        expect(quorumValue(other, valueOf)).toBe(quorumValue(configuration, valueOf));
      }),
    );
  });

  test("never falls when somebody gets further", () => {
    fc.assert(
      fc.property(
        anyConfiguration,
        anyValues,
        fc.constantFrom(...IDS),
        (configuration, values, id) => {
          const before = quorumValue(configuration, (m) => values.get(m) ?? 0);
          values.set(id, (values.get(id) ?? 0) + 1);
          expect(quorumValue(configuration, (m) => values.get(m) ?? 0)).toBeGreaterThanOrEqual(
            before,
          );
        },
      ),
    );
  });

  test("a joint configuration has at most what either half alone has", () => {
    fc.assert(
      fc.property(anyConfiguration, anyValues, (configuration, values) => {
        fc.pre(configuration.outgoing.length > 0);
        const valueOf = (id: MemberId): number => values.get(id) ?? 0;
        const half = (voters: readonly MemberId[]): number =>
          quorumValue({ ...configuration, voters, outgoing: [] }, valueOf);
        const { voters, outgoing } = configuration;
        expect(quorumValue(configuration, valueOf)).toBe(Math.min(half(voters), half(outgoing)));
      }),
    );
  });
});

describe("voteResult", () => {
  test("is won with a quorum for it, and lost once a quorum is impossible", () => {
    fc.assert(
      fc.property(anyConfiguration, anyVotes, (configuration, votes) => {
        const granted = new Set(IDS.filter((id) => votes.get(id) === true));
        const possible = new Set(IDS.filter((id) => votes.get(id) !== false));
        const expected = isQuorum(configuration, granted)
          ? "won"
          : isQuorum(configuration, possible)
            ? "pending"
            : "lost";
        expect(voteResult(configuration, votes)).toBe(expected);
      }),
      { numRuns: 1_000 },
    );
  });

  test("two elections that both count every voter once cannot both be won", () => {
    fc.assert(
      fc.property(anyConfiguration, anyVotes, (configuration, votes) => {
        const opposite = new Map([...votes].map(([id, vote]) => [id, !vote] as const));
        const results = [voteResult(configuration, votes), voteResult(configuration, opposite)];
        expect(results.filter((result) => result === "won").length).toBeLessThan(2);
      }),
    );
  });

  test("a joint quorum meets every quorum of the configuration before and of the one after", () => {
    fc.assert(
      fc.property(someIds, someIds, someIds, someIds, (voters, outgoing, joint, other) => {
        fc.pre(voters.length > 0 && outgoing.length > 0);
        const set = new Set(joint);
        fc.pre(isQuorum(configurationOf(voters, [], outgoing), set));
        const votes = new Map(joint.map((id) => [id, true] as const));
        expect(voteResult(configurationOf(voters, [], outgoing), votes)).toBe("won");
        for (const alone of [voters, outgoing]) {
          if (!isMajority(alone, new Set(other))) continue;
          expect(other.some((id) => set.has(id))).toBe(true);
        }
      }),
    );
  });
});

test("majority is more than half, and no more than needed", () => {
  for (let count = 1; count <= 100; count++) {
    expect(2 * majority(count)).toBeGreaterThan(count);
    expect(2 * (majority(count) - 1)).toBeLessThanOrEqual(count);
  }
});

test("a sole voter is who wins with its own vote alone", () => {
  fc.assert(
    fc.property(anyConfiguration, fc.constantFrom(...IDS), (configuration, id) => {
      const wins = voteResult(configuration, new Map([[id, true]])) === "won";
      expect(isSoleVoter(configuration, id)).toBe(wins);
    }),
    { numRuns: 1_000 },
  );
});
