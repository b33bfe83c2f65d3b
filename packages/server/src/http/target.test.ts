import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { keyFromText, keyToText } from "../store/key.ts";
import {
  flagOf,
  integerOf,
  keyOfSegment,
  parametersOf,
  percentDecode,
  restOfPath,
} from "./target.ts";

describe("request targets", () => {
  test("every text comes back from its encoded path segment and parameter", () => {
    const text = fc.string({ unit: "binary", minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(text, (key) => {
        const segment = restOfPath(`/kv/${encodeURIComponent(key)}?local=true`);
        expect(keyToText(keyOfSegment(segment, 4_096))).toBe(key);
        const query = new URLSearchParams({ key }).toString();
        expect(parametersOf(`/kv?${query}`, ["key"]).get("key")).toBe(keyFromText(key));
      }),
      { seed: 1 },
    );
  });

  test("a plus is a plus in the path and a space in the query", () => {
    expect(keyOfSegment("a+b", 9)).toBe("a+b");
    expect(parametersOf("/kv?key=a+b%2Bc", ["key"]).get("key")).toBe("a b+c");
  });

  test("malformed percent-encoding is refused", () => {
    for (const bad of ["%", "%2", "%zz", "a%%", "%u1234", "%2 "]) {
      expect(percentDecode(bad)).toBeUndefined();
    }
  });

  test("a key is refused with the reason: empty, too long, not UTF-8", () => {
    expect(() => keyOfSegment("", 10)).toThrow("the key is empty");
    expect(() => keyOfSegment("k".repeat(11), 10)).toThrow("the key has 11 bytes; at most 10");
    expect(() => keyOfSegment("%ff", 10)).toThrow("not valid UTF-8");
    expect(() => keyOfSegment("%c0%80", 10)).toThrow("not valid UTF-8");
    expect(() => keyOfSegment("%ed%a0%80", 10)).toThrow("not valid UTF-8");
    expect(() => keyOfSegment("%zz", 10)).toThrow("two hex digits");
  });

  test("unknown and repeated parameters are refused by name", () => {
    expect(() => parametersOf("/kv?lcoal=true", ["local"])).toThrow(
      'unknown parameter "lcoal": it takes local',
    );
    expect(() => parametersOf("/status?x", [])).toThrow('unknown parameter "x": it takes none');
    expect(() => parametersOf("/kv?local&local", ["local"])).toThrow("given twice");
    expect(parametersOf("/kv?", []).size).toBe(0);
    expect(parametersOf("/kv?&local&", ["local"]).get("local")).toBe("");
  });

  test("flags and numbers are read strictly", () => {
    const parameters = parametersOf("/kv?a&b=true&c=false&d=yes&n=17&m=-1", [
      "a",
      "b",
      "c",
      "d",
      "n",
      "m",
    ]);
    expect(["a", "b", "c", "x"].map((name) => flagOf(parameters, name))).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(() => flagOf(parameters, "d")).toThrow('d must be true or false, not "yes"');
    expect(integerOf(parameters, "n", { min: 1, max: 17 })).toBe(17);
    expect(integerOf(parameters, "x", { min: 1, max: 17 })).toBeUndefined();
    for (const name of ["m", "d"]) {
      expect(() => integerOf(parameters, name, { min: 0, max: 9 })).toThrow(
        `${name} must be a whole number from 0 to 9`,
      );
    }
    expect(() => integerOf(parameters, "n", { min: 1, max: 16 })).toThrow("from 1 to 16");
  });
});
