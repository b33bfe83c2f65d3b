/** The page on the library names all that the library has: nothing is added without a word. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const page = read("docs/reference/library.md");

test.each([
  [
    "options of openReplica",
    "runtime/replica.ts",
    /interface ReplicaOptions<[\s\S]*?\n}/,
    /readonly (\w+)\??:/g,
  ],
  [
    "events of the host",
    "runtime/replica.ts",
    /type HostEvent =[\s\S]*?;\n\n/,
    /type: ((?:"[\w-]+"(?: \| )?)+)/g,
  ],
  [
    "events of the core",
    "core/output.ts",
    /type CoreEvent =[\s\S]*?;\n\n/,
    /type: ((?:"[\w-]+"(?: \| )?)+)/g,
  ],
  ["functions and values", "index.ts", /[\s\S]*/, /^export \{([^}]*)\}/gm],
])("%s are on the page of the library", (_, file, part, names) => {
  const [text] = part.exec(read(`packages/raft/src/${file}`)) ?? [""];
  const found = [...text.matchAll(names)].flatMap(([, name]) => name!.match(/[\w-]+/g) ?? []);
  expect(found.length).toBeGreaterThan(5);
  expect(
    found.filter((name) => !page.includes(`\`${name}`) && !page.includes(`${name}\``)),
  ).toEqual([]);
});

function read(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
}
