/**
 * The format of version 1, for ever: today's code writes this file byte for byte, and reads it. A
 * change of the format raises the version; the golden file then stays, for reading.
 */
import * as fs from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { SimDisk } from "../disk/sim-disk.ts";
import { fromHex, toHex, utf8 } from "../util/bytes.ts";
import { crc32 } from "../util/checksum.ts";
import { decodeNote, encodeNote, snapshotName } from "./snapshot-format.ts";
import { DIRECTORY, emptyDisk, open } from "./snapshot-harness.ts";
import { contentOf, metaOf, take } from "./snapshot-samples.ts";

const GOLDEN = fileURLToPath(new URL("golden/version-1.txt", import.meta.url));
const PATH = `${DIRECTORY}/${snapshotName(metaOf(1_000), "snap")}`;
const TEXT = "the state of a machine";

/** The name, and lines of 32 bytes; then the note that a part of it would have. */
async function write(): Promise<string> {
  const disk = await emptyDisk();
  const store = await open(disk);
  const id = await take(store, 1_000, utf8(TEXT));
  return `${PATH}\n${lines(disk.image(PATH))}note\n${lines(encodeNote(id, crc32))}`;
}

function lines(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 32) text += `${toHex(bytes.subarray(at, at + 32))}\n`;
  return text;
}

test("version 1 is written byte for byte as ever", async () => {
  const written = await write();
  if (process.env["QUORATE_UPDATE_GOLDEN"] === "1") {
    fs.mkdirSync(fileURLToPath(new URL("golden/", import.meta.url)), { recursive: true });
    fs.writeFileSync(GOLDEN, written);
  }
  expect(written).toBe(fs.readFileSync(GOLDEN, "utf8"));
});

test("version 1 is read", async () => {
  const [name, ...rest] = fs.readFileSync(GOLDEN, "utf8").trimEnd().split("\n");
  const note = rest.indexOf("note");
  const disk = new SimDisk();
  disk.place(name!, fromHex(rest.slice(0, note).join("")));
  const store = await open(disk);
  const [id] = store.list;
  expect(await store.verify(id!)).toEqual(metaOf(1_000));
  expect(await contentOf(store, id!)).toEqual(utf8(TEXT));
  expect(decodeNote(fromHex(rest.slice(note + 1).join("")), crc32)).toEqual(id);
});
