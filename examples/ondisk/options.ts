/** The flags of the example: dragonboat's names, with one dash or two. */
import { parseArgs } from "node:util";
import { QuorateError } from "quorate";

/** Where the first three listen; another list of ports is for who has these in use. */
const PORTS = (process.env["ONDISK_PORTS"] ?? "63001,63002,63003").split(",");
const ADDRESSES = PORTS.map((port) => `localhost:${port}`);

/** Which member this is. */
export interface Options {
  readonly id: string;
  readonly address: string;
  readonly join: boolean;
}

/** Reads the command line; throws OPTION_INVALID. */
export function optionsOf(args: readonly string[]): Options {
  const { nodeid: id, replicaid, addr, join } = flagsOf(args);
  const number = Number(id ?? replicaid);
  if (!Number.isInteger(number) || number < 1)
    throw invalid("say which member this is: --nodeid 1");
  const address = addr ?? ADDRESSES[number - 1];
  if (address === undefined || (join && addr === undefined)) {
    throw invalid("--nodeid is 1, 2 or 3; a member that is added needs --join --addr host:port");
  }
  return { id: String(number), address, join };
}

/** The first three members. */
export function firstMembers(): { id: string; address: string }[] {
  return ADDRESSES.map((address, i) => ({ id: String(i + 1), address }));
}

function flagsOf(args: readonly string[]) {
  const text = { type: "string" } as const;
  const options = {
    nodeid: text,
    replicaid: text,
    addr: text,
    join: { type: "boolean", default: false },
  } as const;
  try {
    const dashed = args.map((arg) => arg.replace(/^-(?=[a-z])/, "--"));
    return parseArgs({ args: dashed, options }).values;
  } catch (cause) {
    const [what] = (cause as Error).message.split(". ");
    throw invalid(`${what}; there are --nodeid, --addr and --join`);
  }
}

function invalid(message: string): QuorateError {
  return new QuorateError("OPTION_INVALID", message);
}
