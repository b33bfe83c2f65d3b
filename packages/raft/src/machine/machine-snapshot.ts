/**
 * What a machine's `snapshot()` returned, told apart.
 *
 *   bytes                          the whole state
 *   asynchronous iterable          pieces of a point in time, read while commands are applied
 *   synchronous iterable           pieces, all read before the next command is applied
 *   anything else JSON can hold    the whole state, as JSON text
 *
 * An array is a JSON value, not a sequence of pieces. The first piece of an asynchronous iterable
 * is asked for at once: the body of an async generator begins to run only then, and what it reads
 * of the machine before its first `await` or `yield` has to be of this moment.
 */
import { utf8 } from "../util/bytes.ts";
import type { MachineSnapshot } from "./machine-host.ts";

/** Tells apart what `snapshot()` returned; throws where it is none of these. */
export function machineSnapshotOf(value: unknown): MachineSnapshot {
  if (value instanceof Uint8Array) return { kind: "whole", bytes: value.slice() };
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    if (isAsyncIterable(value)) {
      const pieces = value[Symbol.asyncIterator]();
      return { kind: "live", pieces, first: pieces.next() };
    }
    if (isIterable(value)) return { kind: "held", pieces: value[Symbol.iterator]() };
    if ("then" in value && typeof value.then === "function") {
      // Its own failure must not become an unhandled rejection on top of ours.
      Promise.resolve(value).catch(() => {});
      throw new TypeError("snapshot returned a promise: return an async iterable");
    }
  }
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new TypeError(`snapshot returned a ${typeof value}`);
  return { kind: "whole", bytes: utf8(text) };
}

/** A piece that an iterator gave; throws where it is none. */
export function pieceOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new TypeError("snapshot gave a piece that is no Uint8Array");
}

function isAsyncIterable(value: object): value is AsyncIterable<unknown, unknown, undefined> {
  return typeof (value as AsyncIterable<unknown>)[Symbol.asyncIterator] === "function";
}

function isIterable(value: object): value is Iterable<unknown, unknown, undefined> {
  return typeof (value as Iterable<unknown>)[Symbol.iterator] === "function";
}
