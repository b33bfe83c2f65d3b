/**
 * The format of version 1, for ever: today's code writes these files byte for byte, and reads them.
 * A change of the format raises the version; this directory then stays, for reading.
 */
import * as fs from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { SimDisk } from "../disk/sim-disk.ts";
import { fromHex, toHex } from "../util/bytes.ts";
import {
  DIRECTORY,
  batchOf,
  configurationBatch,
  configurationOf,
  contentOf,
  emptyDisk,
  hard,
  open,
} from "./log-harness.ts";

const GOLDEN = fileURLToPath(new URL("golden/version-1/", import.meta.url));
const LINE_BYTES = 32;
const GROUPS = [1, 2, 3];

/** A small log with a record of every kind. */
async function write(): Promise<SimDisk> {
  const disk = await emptyDisk();
  const log = await open(disk);
  await log.append([
    { group: 1, hardState: hard(1, "n1"), entries: [configurationBatch(1, 1, 3)], commit: 0 },
    { group: 2, hardState: hard(2), entries: [batchOf(1, 2, { count: 2 })], commit: 1 },
  ]);
  await log.append([
    { group: 1, hardState: undefined, entries: [batchOf(2, 1, { text: "a" })], commit: 1 },
    { group: 1, hardState: hard(3, "n2", 2), entries: [batchOf(2, 3, { text: "b" })], commit: 2 },
  ]);
  await log.settle();
  for (let i = 3; i <= 20; i++) {
    const entries = [batchOf(i, 3, { text: "x".repeat(100) })];
    await log.append([{ group: 1, hardState: undefined, entries, commit: i - 1 }]);
  }
  await log.release(1, 19);
  const configuration = { index: 90, configuration: configurationOf(1) };
  const reset = { index: 100, term: 4, configuration, timeMs: 0 };
  await log.append([{ group: 3, hardState: undefined, reset, entries: [], commit: 0 }]);
  await log.append([{ group: 3, hardState: hard(4), entries: [batchOf(101, 4)], commit: 100 }]);
  await log.close();
  return disk;
}

const CONTENT = [
  `1: term 3 vote n2/${"cd".repeat(16)} from 19@3 20@3:${"x".repeat(100)}20`,
  "2: term 2 vote - from 0@0 1@2:v1 2@2:v2",
  "3: term 4 vote - from 100@4 101@4:v101",
];

/** Lines of an offset and 32 bytes; lines of zeros are left out. */
function dump(bytes: Uint8Array): string {
  let text = `${bytes.length} bytes\n`;
  for (let at = 0; at < bytes.length; at += LINE_BYTES) {
    const line = bytes.subarray(at, at + LINE_BYTES);
    if (line.some((byte) => byte !== 0)) text += `${String(at).padStart(5)} ${toHex(line)}\n`;
  }
  return text;
}

function undump(text: string): Uint8Array {
  const [first, ...lines] = text.trimEnd().split("\n");
  const bytes = new Uint8Array(Number.parseInt(first!, 10));
  for (const line of lines) {
    const [at, hex] = line.trim().split(" ");
    bytes.set(fromHex(hex!), Number(at));
  }
  return bytes;
}

test("version 1 is written byte for byte as ever", async () => {
  const disk = await write();
  const written = disk.paths().filter((path) => path.startsWith(DIRECTORY));
  if (process.env["QUORATE_UPDATE_GOLDEN"] === "1") {
    fs.mkdirSync(GOLDEN, { recursive: true });
    for (const name of fs.readdirSync(GOLDEN)) fs.rmSync(`${GOLDEN}${name}`);
    for (const path of written) {
      fs.writeFileSync(`${GOLDEN}${path.slice(DIRECTORY.length + 1)}.txt`, dump(disk.image(path)));
    }
  }
  expect(fs.readdirSync(GOLDEN).sort()).toEqual(
    written.map((path) => `${path.slice(DIRECTORY.length + 1)}.txt`),
  );
  for (const path of written) {
    const name = path.slice(DIRECTORY.length + 1);
    expect(dump(disk.image(path)), name).toBe(fs.readFileSync(`${GOLDEN}${name}.txt`, "utf8"));
  }
});

test("version 1 is read, and written on", async () => {
  const disk = new SimDisk();
  for (const name of fs.readdirSync(GOLDEN)) {
    const bytes = undump(fs.readFileSync(`${GOLDEN}${name}`, "utf8"));
    disk.place(`${DIRECTORY}/${name.replace(/\.txt$/, "")}`, bytes);
  }
  let log = await open(disk);
  expect(log.recovery).toMatchObject({ tornBytes: 0, rewrittenBytes: 0 });
  expect(await contentOf(log, GROUPS)).toEqual(CONTENT);
  await log.append([{ group: 2, hardState: undefined, entries: [batchOf(3, 2)], commit: 2 }]);
  await log.close();
  log = await open(disk);
  expect((await contentOf(log, GROUPS))[1]).toBe(`${CONTENT[1]} 3@2:v3`);
  await log.close();
});
