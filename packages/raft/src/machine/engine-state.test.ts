import { expect, test } from "vitest";
import { BytesError } from "../util/bytes.ts";
import { EngineState } from "./engine-state.ts";

test("the engine's state comes back from its bytes, and nothing else passes for it", () => {
  const state = new EngineState();
  state.timeMs = 123_456_789_012;
  state.machineVersion = 7;
  state.history.ineffective(40);
  state.sessions.open(12, 5, 1_000);
  expect(state.sessions.judge(12, 1, 1, 6)).toBe("new");
  state.sessions.keep(1, "kept");
  const bytes = state.encode();
  const back = EngineState.decode(bytes);
  expect(back.encode()).toEqual(bytes);
  expect([back.timeMs, back.machineVersion]).toEqual([123_456_789_012, 7]);
  expect(back.history.isEffective(40)).toBe(false);
  expect(back.sessions.judge(12, 1, 1, 7)).toBe("duplicate");
  expect(back.sessions.result).toBe("kept");
  for (let length = 0; length < bytes.length; length++) {
    expect(() => EngineState.decode(bytes.subarray(0, length))).toThrow(BytesError);
  }
  expect(() => EngineState.decode(Uint8Array.of(...bytes, 0))).toThrow(BytesError);
  expect(() => EngineState.decode(Uint8Array.of(9, ...bytes.subarray(1)))).toThrow("version 9");
});
