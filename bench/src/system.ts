/** One member of a system under measurement, inside its own process. */
import { isFloor, isOwn } from "./protocol.ts";
import type { MemberSetup, Opened, Readiness, SystemName } from "./protocol.ts";

/** What a member of any system can do. */
export interface System {
  open(setup: MemberSetup): Promise<Opened>;
  ready(): Readiness;
  submit(value: Uint8Array): Promise<unknown>;
  /** Data-synced writes so far, where the system counts them. */
  logWrites(): number | undefined;
  close(): Promise<void>;
}

/** Loads only the system that is asked for, so that the others cost nothing. */
export async function makeSystem(name: SystemName): Promise<System> {
  if (!isOwn(name)) throw new Error(`${name} is a program of its own`);
  const keepsMap = name === "floor-map" || name === "quorate-map";
  if (isFloor(name)) return new (await import("./floor-system.ts")).FloorSystem(keepsMap);
  return new (await import("./quorate-system.ts")).QuorateSystem(keepsMap);
}
