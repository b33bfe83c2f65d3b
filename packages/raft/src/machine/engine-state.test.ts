import { expect, test } from "vitest";
import { BytesError } from "../util/bytes.ts";
import { EngineState } from "./engine-state.ts";

test("the engine's state comes back from its bytes, and nothing else passes for it", () => {
  const state = new EngineState();
  state.timeMs = 123_456_789_012;
  state.machineVersion = 7;
  const bytes = state.encode();
  expect(EngineState.decode(bytes)).toEqual(state);
  for (let length = 0; length < bytes.length; length++) {
    expect(() => EngineState.decode(bytes.subarray(0, length))).toThrow(BytesError);
  }
  expect(() => EngineState.decode(Uint8Array.of(...bytes, 0))).toThrow(BytesError);
  expect(() => EngineState.decode(Uint8Array.of(9, ...bytes.subarray(1)))).toThrow("version 9");
});
