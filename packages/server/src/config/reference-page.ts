/**
 * docs/reference/configuration.md, made from the option table. A test compares the page with this.
 */
import { CONFIG_VARIABLE } from "./member-config.ts";
import { boundsText, defaultText, flagOf, OPTION_ROWS, variableOf } from "./options.ts";
import type { OptionName, OptionRow } from "./options.ts";

/** The whole page. */
export function configurationPage(): string {
  return `${HEAD}${[...OPTION_ROWS].map(sectionOf).join("\n")}`;
}

function sectionOf([name, row]: readonly [OptionName, OptionRow]): string {
  const bounds = boundsText(row);
  return [
    `### \`${name}\``,
    "",
    `${row.text.charAt(0).toUpperCase()}${row.text.slice(1)}.`,
    "",
    `- flag \`${row.flag}\`, variable \`${variableOf(name)}\``,
    `- ${row.type}${bounds === undefined ? "" : `: ${bounds}`}`,
    `- default: ${defaultText(row).replaceAll("<", "\\<")}`,
    "",
  ].join("\n");
}

const HEAD = `# Configuration of a member

\`quorate start\` takes every option as a flag, as an environment variable, or from a JSON file
that \`--config <file>\` or \`${CONFIG_VARIABLE}\` names. A flag wins over a variable, a
variable over the file, the file over the default. What is unknown, out of bounds or
contradictory is refused with exit code 2 before anything is opened.

\`\`\`json
{
  "id": "n1",
  "listen": "127.0.0.1:9091",
  "data": "./data/n1",
  "members": "n1=127.0.0.1:9091,n2=127.0.0.1:9092,n3=127.0.0.1:9093"
}
\`\`\`

\`${flagOf("members")}\` and \`${flagOf("bootstrap")}\` say how an *empty* directory begins. On
later starts they change nothing: who is a member is in the log by then.

`;
