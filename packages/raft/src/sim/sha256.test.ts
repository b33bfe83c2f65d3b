/** Against Node's own, over every length around the edges of a block. */
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { sha256 } from "./sha256.ts";

test("it is SHA-256 for every length up to three blocks", () => {
  for (let length = 0; length <= 200; length++) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 7 + length) & 0xff);
    expect([...sha256(bytes)]).toEqual([...createHash("sha256").update(bytes).digest()]);
  }
});
