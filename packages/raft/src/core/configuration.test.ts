/**
 * Configurations and their bytes: one way to write each, and nothing is believed that does not fit
 * together.
 */
import { describe, expect, test } from "vitest";
import { ByteWriter, BytesError, fromHex, toHex } from "../util/bytes.ts";
import type { Configuration } from "./configuration.ts";
import { finalOf, makeConfiguration, NO_INCARNATION, votersOnly } from "./configuration.ts";
import { decodeConfiguration, encodeConfiguration } from "./configuration-codec.ts";
import { configurationOf, incarnationOf } from "./member-harness.ts";

const member = (id: string) => ({ id, address: `${id}:1`, incarnation: incarnationOf(id) });

const joint = makeConfiguration({
  ...configurationOf(["n1", "n2"], ["x1"], ["n1", "n2", "n3"]),
  pending: { voters: ["n1", "n2", "n3"], learners: ["x1"], added: ["n3"], untilMs: 70_000 },
  final: {
    learners: ["n3", "x1"],
    arrivals: [{ id: "n3", address: "n3:2", incarnation: NO_INCARNATION }],
  },
  change: { token: 77, index: 5, undone: "no" },
});

describe("bytes", () => {
  test.each<[string, Configuration]>([
    ["nobody", configurationOf([])],
    ["voters", configurationOf(["n2", "n1"])],
    ["all that there can be", joint],
    ["one that founds anew", { ...configurationOf(["n1"]), refounds: true }],
    ["a pending change", { ...finalOf(joint) }],
    ["one that was taken back", { ...votersOnly([member("n1")]), change: mark("timeout") }],
    ["one that was cancelled", { ...votersOnly([member("n1")]), change: mark("cancelled") }],
  ])("%s is read as it was written", (_name, configuration) => {
    expect(decodeConfiguration(encodeConfiguration(configuration))).toEqual(configuration);
  });

  test("the first version is written where nothing else is said", () => {
    expect(toHex(encodeConfiguration(votersOnly([member("n1")])))).toBe(
      `0100010002006e3104006e313a31${incarnationOf("n1")}01`,
    );
    expect(encodeConfiguration(joint)[0]).toBe(2);
  });

  test("nothing cut short is read, and nothing with something behind it", () => {
    const bytes = encodeConfiguration(joint);
    for (let end = 0; end < bytes.length; end++) {
      expect(() => decodeConfiguration(bytes.subarray(0, end))).toThrow(BytesError);
    }
    expect(() => decodeConfiguration(Uint8Array.of(...bytes, 0))).toThrow(BytesError);
  });

  test.each<[string, number, number]>([
    ["a later version", 0, 3],
    ["flags in the first version", 0, 1],
    ["flags that are not known", 1, 31],
    ["no flags in the second version", 1, 0],
  ])("%s is refused", (_name, at, value) => {
    const bytes = encodeConfiguration(joint);
    bytes[at] = value;
    expect(() => decodeConfiguration(bytes)).toThrow(BytesError);
  });

  test.each<[string, Configuration]>([
    [
      "a final part of one that is not joint",
      { ...joint, outgoing: [], voters: ["n1", "n2", "n3"] },
    ],
    ["a final learner that is a voter", withFinal(["n2", "n3", "x1"])],
    ["a final learner that nobody knows", withFinal(["n3", "n9", "x1"])],
    ["an arrival that is no learner", withFinal(["x1"])],
    ["a pending change without voters", withPending({ voters: [] })],
    ["a pending voter that nobody knows", withPending({ voters: ["n1", "n9"] })],
    ["a pending voter that is to learn", withPending({ learners: ["n1"] })],
    ["an added member that is no learner", withPending({ added: ["n1"] })],
    ["ids that are not sorted", withPending({ voters: ["n2", "n1"] })],
    ["a joint one without voters", joinedWithout()],
  ])("%s is refused", (_name, configuration) => {
    expect(() => decodeConfiguration(encodeConfiguration(configuration))).toThrow(BytesError);
  });

  test("a member that votes and learns, or has no role, is refused", () => {
    for (const roles of [0, 5, 6, 7, 8]) {
      const bytes = new ByteWriter().u8(1).u8(0).u16(1).text("n1").text("n1:1");
      bytes.raw(fromHex(incarnationOf("n1"))).u8(roles);
      expect(() => decodeConfiguration(bytes.copy())).toThrow(BytesError);
    }
  });
});

describe("what follows a joint configuration", () => {
  test("is its incoming voters, and the learners that it names", () => {
    const final = finalOf(joint);
    expect(final).toMatchObject({ voters: ["n1", "n2"], outgoing: [], learners: ["n3", "x1"] });
    expect(final.members.map((m) => m.address)).toEqual(["n1:1", "n2:1", "n3:2", "x1:1"]);
    expect(final.pending).toEqual(joint.pending);
    expect(final.change).toEqual(joint.change);
    expect(final.final).toBeUndefined();
  });

  test("is the same learners where it says nothing", () => {
    const final = finalOf(configurationOf(["n1"], ["x1"], ["n1", "n2"]));
    expect(final).toEqual(configurationOf(["n1"], ["x1"]));
  });
});

function mark(undone: "timeout" | "cancelled") {
  return { token: 2 ** 48 - 1, index: 9, undone } as const;
}

function withFinal(learners: readonly string[]): Configuration {
  const { pending: _, ...rest } = joint;
  return { ...rest, final: { ...joint.final!, learners } };
}

function withPending(fields: Partial<NonNullable<Configuration["pending"]>>): Configuration {
  return { ...joint, pending: { ...joint.pending!, ...fields } };
}

function joinedWithout(): Configuration {
  return configurationOf([], [], ["n1"]);
}
