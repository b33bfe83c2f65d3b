/**
 * docs/reference/command-line.md: the help texts, as the commands print them.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { runCli } from "./program.ts";

const COMMANDS = [
  "start",
  "dev",
  "put",
  "get",
  "delete",
  "list",
  "status",
  "transfer",
  "members",
  "members add",
  "members remove",
  "members replace",
  "members promote",
  "members demote",
  "members set",
  "members cancel",
  "members plan",
  "snapshot",
  "doctor",
  "recover",
];

const HEAD = `# Command line

\`quorate\` comes with the package \`quorate-server\`. \`start\` and \`dev\` run members; the
others talk to running ones over HTTP.

- A client command asks the endpoints in their order until one answers. A *read* or a *write of a
  key* is sent to the next endpoint after any failure, round after round, until \`--timeout\` has
  passed. A write has a name, its idempotency key, and happens once however often it is sent. Where
  nobody could say what became of it, the command ends with exit code 5: it may have happened or
  may yet. Run it again with the same \`--idempotency-key\`, within a minute, and it happens once.
- Other changes, such as \`transfer\`, are sent again only where it is certain that they had no
  effect: the connection was refused, or the answer says \`not-done\`.
- Where no endpoint can be connected to, a command fails at once.
- \`get\` writes the bytes of the value and nothing else; in a terminal, and only there, it adds a
  line end where the value has none.
- Colours appear in a terminal only, and not where \`NO_COLOR\` is set.
- \`start\` ends with 0 after SIGINT or SIGTERM, and otherwise with the code of what made it end.
  Its options are described in [configuration.md](configuration.md), its log lines are JSON unless
  they go to a terminal.
- \`dev\` keeps data and logs under \`--data\`, one folder or file per member. It starts a crashed
  member again, with growing pauses; a member that cannot start for a lasting reason ends all. The
  first Ctrl-C ends all members in order, the second kills them. If \`dev\` itself is killed, its
  members end, too.

`;

test("docs/reference/command-line.md has the help of every command", async () => {
  const path = resolve(import.meta.dirname, "../../../../docs/reference/command-line.md");
  const sections = [`\`\`\`\n${await helpOf([])}\`\`\`\n`];
  for (const command of COMMANDS) {
    const help = await helpOf(command.split(" "));
    sections.push(`## quorate ${command}\n\n\`\`\`\n${help}\`\`\`\n`);
  }
  const page = HEAD + sections.join("\n");
  if (process.env["QUORATE_UPDATE_GOLDEN"] === "1") writeFileSync(path, page);
  expect(readFileSync(path, "utf8")).toBe(page);
});

async function helpOf(command: readonly string[]): Promise<string> {
  let text = "";
  const output = { columns: 98, write: (chunk: string | Uint8Array) => (text += String(chunk)) };
  const stdin = (async function* () {})();
  const terminal = { stdin, stdout: output, stderr: output, env: {} };
  expect(await runCli([...command, "--help"], terminal)).toBe(0);
  return text;
}
