import { describe, expect, test } from "vitest";
import { durationText } from "./status-shape.ts";

describe("durations", () => {
  test("are written as the ancestor wrote them", () => {
    expect(durationText(128)).toBe("128.milliseconds");
    expect(durationText(0)).toBe("0.milliseconds");
    const ms = ((13 * 60 + 4) * 60 + 47) * 1_000 + 214;
    expect(durationText(ms)).toBe("13.hours+4.minutes+47.seconds+214.milliseconds");
    expect(durationText(86_400_000)).toBe("1.days");
    expect(durationText(61_000.9)).toBe("1.minutes+1.seconds");
    expect(durationText(-5)).toBe("0.milliseconds");
  });
});
