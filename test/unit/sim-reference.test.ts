/**
 * docs/internals/simulator.md lists what there is. QUORATE_UPDATE_GOLDEN=1 rewrites its tables.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { INVARIANTS_OF_A_RUN, NEMESES } from "quorate/sim";
import { expect, test } from "vitest";
import { PROFILES, traitsOf } from "../../packages/raft/src/sim/profiles.ts";

const PAGE = join(import.meta.dirname, "../../docs/internals/simulator.md");

test("the page of the simulator lists its nemeses", () => {
  compare("nemeses", [
    "| nemesis | what it does |",
    "|---|---|",
    ...NEMESES.map(({ kind, text }) => `| \`${kind}\` | ${text} |`),
  ]);
});

test("the page of the simulator lists its invariants", () => {
  compare("invariants", [
    "| invariant | what it says |",
    "|---|---|",
    ...INVARIANTS_OF_A_RUN.map(({ name, text }) => `| \`${name}\` | ${text} |`),
  ]);
});

test("the page of the simulator lists its profiles", () => {
  const favouritesOf = (profile: (typeof PROFILES)[number]): string => {
    const { favourites } = traitsOf(profile);
    return Object.keys(favourites).join(", ") || "–";
  };
  compare("profiles", [
    "| profile | members | nemeses it likes |",
    "|---|---|---|",
    ...PROFILES.map((profile) => {
      const members = [...new Set(traitsOf(profile).members)].toSorted((a, b) => a - b);
      return `| \`${profile}\` | ${members.join(", ")} | ${favouritesOf(profile)} |`;
    }),
  ]);
});

function compare(name: string, lines: readonly string[]): void {
  const page = readFileSync(PAGE, "utf8");
  const begin = `<!-- ${name} -->\n`;
  const from = page.indexOf(begin) + begin.length;
  const wanted = `${page.slice(0, from)}${lines.join("\n")}\n${page.slice(page.indexOf(`<!-- /${name} -->`))}`;
  if (process.env["QUORATE_UPDATE_GOLDEN"] === "1") writeFileSync(PAGE, wanted);
  expect(readFileSync(PAGE, "utf8")).toBe(wanted);
}
