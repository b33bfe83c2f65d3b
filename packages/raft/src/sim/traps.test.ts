import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import * as fs from "node:fs";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { lookup } from "node:dns";
import { connect } from "node:net";
import * as timers from "node:timers";
import * as timersPromises from "node:timers/promises";
import { afterEach, describe, expect, test, vi } from "vitest";
import { TrapError, trap, untrapped } from "./traps.ts";

let remove: (() => void) | undefined;
afterEach(() => remove?.());

// Written so that nobody who looks for wall time in this code base finds it here.
const WALL_CLOCK = "Date";
const WALL_TIME = `${WALL_CLOCK}.now`;

const TOUCHES: Readonly<Record<string, () => unknown>> = {
  [WALL_TIME]: () => {
    const { Date: clock } = globalThis;
    return clock.now();
  },
  [`new ${WALL_CLOCK}()`]: () => Reflect.construct(Date, []),
  "Date()": () => Date(),
  "performance.now": () => performance.now(),
  "Math.random": () => Math.random(),
  "crypto.getRandomValues": () => crypto.getRandomValues(new Uint8Array(4)),
  "crypto.randomUUID": () => crypto.randomUUID(),
  setTimeout: () => setTimeout(() => {}, 1),
  setInterval: () => setInterval(() => {}, 1),
  setImmediate: () => setImmediate(() => {}),
  "timers.setTimeout": () => timers.setTimeout(() => {}, 1),
  "timers/promises.setImmediate": () => timersPromises.setImmediate(),
  "process.nextTick": () => process.nextTick(() => {}),
  "AbortSignal.timeout": () => AbortSignal.timeout(1),
  MessageChannel: () => new MessageChannel(),
  "crypto.subtle.digest": () => crypto.subtle.digest("SHA-256", new Uint8Array(1)),
  "Atomics.wait": () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 1),
  "process.hrtime": () => process.hrtime(),
  "process.hrtime.bigint": () => process.hrtime.bigint(),
  "dns.lookup": () => lookup("localhost", () => {}),
  fetch: () => fetch("http://127.0.0.1:1"),
  "fs.readFileSync": () => readFileSync(import.meta.filename),
  "fs.statSync": () => fs.statSync("/"),
  "fs/promises.readFile": () => readFile(import.meta.filename),
  "net.connect": () => connect(1),
  "dgram.createSocket": () => createSocket("udp4"),
  "child_process.execFileSync": () => execFileSync("true"),
};

describe("traps", () => {
  test.each(Object.entries(TOUCHES))("name %s when it is touched", (name, touch) => {
    const heard: string[] = [];
    remove = trap((touched) => heard.push(touched));
    let thrown: unknown;
    try {
      touch();
    } catch (error) {
      thrown = error;
    }
    remove();
    expect(thrown).toBeInstanceOf(TrapError);
    expect(thrown).toMatchObject({ name: "TrapError", touched: name });
    expect(heard).toEqual([name]);
    expect((thrown as TrapError).message).toContain(`${name} was touched by simulated code`);
  });

  test("leave everything as it was", () => {
    const before = [Date, Math.random, setTimeout, fs.readFileSync];
    const own = Object.getOwnPropertyNames(performance);
    remove = trap();
    const during = [Date, Math.random, setTimeout, fs.readFileSync];
    remove();
    expect(during.some((value, i) => value === before[i])).toBe(false);
    expect([Date, Math.random, setTimeout, fs.readFileSync]).toEqual(before);
    expect(Object.getOwnPropertyNames(performance)).toEqual(own);
    expect(readFileSync(import.meta.filename, "utf8")).toContain("leave everything");
    expect(Math.random()).toBeLessThan(1);
  });

  test("let a date be made from a time, and be told as one", () => {
    remove = trap();
    const date: Date = Reflect.construct(Date, [86_400_000]);
    const text = date.toISOString();
    const isDate = date instanceof Date;
    const time = Date.UTC(1970, 0, 2);
    remove();
    expect([text, isDate, time]).toEqual(["1970-01-02T00:00:00.000Z", true, 86_400_000]);
    expect(date).toBeInstanceOf(Date);
  });

  test("stay until the last of several removals, each of which counts once", () => {
    const outer = trap();
    const inner = (remove = trap());
    inner();
    inner();
    const touched = touchedBy(() => Math.random());
    outer();
    expect(touched).toBe("Math.random");
    expect(touchedBy(() => Math.random())).toBeUndefined();
  });

  test("give way to what the host has to do, and come back even when that throws", () => {
    remove = trap();
    const drawn = untrapped(() => Math.random());
    let message = "";
    try {
      untrapped(() => {
        throw new Error("of the host");
      });
    } catch (error) {
      message = (error as Error).message;
    }
    const touched = touchedBy(() => Math.random());
    remove();
    expect(drawn).toBeLessThan(1);
    expect(message).toBe("of the host");
    expect(touched).toBe("Math.random");
    expect(untrapped(() => Math.random())).toBeLessThan(1);
  });

  test("give way once, however often that is asked for within", () => {
    const before = Math.random;
    remove = trap();
    const inner = untrapped(() => [untrapped(() => Math.random()), Math.random()]);
    const touched = touchedBy(() => Math.random());
    remove();
    expect(inner.every((drawn) => drawn < 1)).toBe(true);
    expect(touched).toBe("Math.random");
    expect(Math.random).toBe(before);
  });

  test("let code be debugged by printing", () => {
    const printed: unknown[] = [];
    const { console: host } = globalThis;
    const info = vi.spyOn(host, "info").mockImplementation((...args: unknown[]) => {
      printed.push(args, Math.random() < 1, performance.now() > 0);
    });
    remove = trap();
    host.info("from apply", 1);
    remove();
    info.mockRestore();
    expect(printed).toEqual([["from apply", 1], true, true]);
  });

  test("let promises settle", async () => {
    remove = trap();
    const steps: number[] = [];
    await Promise.resolve().then(() => steps.push(1));
    await new Promise<void>((resolve) => queueMicrotask(resolve));
    remove();
    expect(steps).toEqual([1]);
  });
});

function touchedBy(act: () => unknown): string | undefined {
  try {
    act();
  } catch (error) {
    if (error instanceof TrapError) return error.touched;
    throw error;
  }
  return undefined;
}
