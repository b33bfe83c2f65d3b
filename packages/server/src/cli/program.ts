/**
 * The command line: which commands there are and how they are called. What a command does is in its
 * own file, loaded when it is called, so that `quorate get` does not load a server.
 *
 * Exit codes: 0 done; 2 the call itself is wrong; 3 the key is absent; others by the error tables.
 */
import { Command, CommanderError, Option } from "commander";
import type { CommandOptions } from "commander";
import { boundsText, defaultText, OPTION_ROWS } from "../config/options.ts";
import { VERSION } from "../version.ts";
import type { ClientFlags } from "./client.ts";
import type { DevFlags } from "./dev-plan.ts";
import type { DoctorFlags } from "./doctor-command.ts";
import { integer } from "./flag-values.ts";
import { addMembersCommands } from "./members-program.ts";
import type { RecoverFlags } from "./recover-command.ts";
import { failureOf, stylesOf } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

/** Runs a command line (without the program's own name) and gives its exit code; never rejects. */
export async function runCli(args: readonly string[], terminal: Terminal): Promise<number> {
  let exitCode = 0;
  const program = buildProgram(terminal, (code) => (exitCode = code));
  try {
    await program.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (error) {
    // Help and version come as errors, too; what is wrong with a call commander has said by now.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const failure = failureOf(error);
    if (failure.message !== "") {
      const style = stylesOf(terminal.stderr, terminal.env);
      terminal.stderr.write(`${style("red", "error:")} ${failure.message}\n`);
    }
    return failure.exitCode;
  }
}

type Exit = (code: number) => void;

function buildProgram(terminal: Terminal, exit: Exit): Command {
  const program = new Command("quorate");
  program
    .description("A replicated key-value store: run members, and talk to them.")
    .version(VERSION, "-V, --version")
    .exitOverride()
    .showSuggestionAfterError(true)
    .showHelpAfterError("(add --help for all options)")
    .configureOutput({
      writeOut: (text) => void terminal.stdout.write(text),
      writeErr: (text) => void terminal.stderr.write(text),
      getOutHelpWidth: () => terminal.stdout.columns ?? 100,
      getErrHelpWidth: () => terminal.stderr.columns ?? 100,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText("after", EXIT_CODES);
  addStart(program, terminal, exit);
  addDev(program, terminal, exit);
  addKeyCommands(program, terminal);
  addStatus(program, terminal);
  addTransfer(program, terminal);
  addMembersCommands(program, terminal, clientCommand);
  addSnapshot(program, terminal);
  addRepair(program, terminal);
  return program;
}

function addStart(program: Command, terminal: Terminal, exit: Exit): void {
  const start = program
    .command("start")
    .description("Run one member of a cluster.")
    .option("--config <file>", "a JSON file with options (or QUORATE_CONFIG)");
  for (const row of OPTION_ROWS.values()) {
    const bounds = row.type === "flag" ? undefined : boundsText(row);
    const remarks = [bounds, row.type === "flag" ? undefined : `default: ${defaultText(row)}`];
    const remark = remarks.filter((text) => text !== undefined).join("; ");
    start.addOption(new Option(row.flag, `${row.text}${remark === "" ? "" : ` (${remark})`}`));
  }
  start.addHelpText("after", START_EXAMPLES);
  start.action(async () => {
    const { runStart } = await import("./start-command.ts");
    exit(await runStart(namedFlags(start), terminal));
  });
}

function addDev(program: Command, terminal: Terminal, exit: Exit): void {
  program
    .command("dev")
    .description("Run a local cluster, each member its own process, until Ctrl-C.")
    .option("--nodes <number>", "how many members", integer(1, 9), 3)
    .option("--data <directory>", "where their data and logs go", "./data")
    .option(
      "--port <port>",
      "the first member's port; the others follow",
      integer(1, 65_000),
      9_091,
    )
    .option(
      "--http-port <port>",
      "the first member's HTTP port (default: port + 1000)",
      integer(1, 65_000),
    )
    .addHelpText("after", DEV_EXAMPLES)
    .action(async (flags: DevFlags) => {
      const { runDev } = await import("./dev-command.ts");
      exit(await runDev(flags, terminal));
    });
}

function addKeyCommands(program: Command, terminal: Terminal): void {
  const commands = () => import("./key-commands.ts");
  clientCommand(program, "put <key> <value>", "Give a key a value: text, @file, or - for stdin.")
    .option(
      "--if-revision <number>",
      "only over this revision",
      integer(1, Number.MAX_SAFE_INTEGER),
    )
    .option("--if-absent", "only if the key is absent")
    .option("--idempotency-key <key>", IDEMPOTENCY_TEXT)
    .addHelpText("after", PUT_EXAMPLES)
    .action(async (key: string, value: string, flags: ClientFlags) => {
      await (await commands()).runPut({ key, value, flags }, terminal);
    });
  freshnessOptions(
    clientCommand(
      program,
      "get <key>",
      "Write a key's value to stdout; exit code 3 if it is absent.",
    ),
  ).action(async (key: string, flags: ClientFlags) => {
    await (await commands()).runGet({ key, flags }, terminal);
  });
  clientCommand(program, "delete <key>", "Remove a key.")
    .option("--if-revision <number>", "only this revision", integer(1, Number.MAX_SAFE_INTEGER))
    .option("--idempotency-key <key>", IDEMPOTENCY_TEXT)
    .action(async (key: string, flags: ClientFlags) => {
      await (await commands()).runDelete({ key, flags }, terminal);
    });
  freshnessOptions(
    clientCommand(program, "list [prefix]", "List keys in order, all that begin with a prefix."),
  )
    .option("--after <key>", "begin behind this key")
    .option("--limit <number>", "at most so many", integer(1, 1_000_000_000))
    .action(async (prefix: string | undefined, flags: ClientFlags) => {
      await (await commands()).runList({ prefix: prefix ?? "", flags }, terminal);
    });
}

function addStatus(program: Command, terminal: Terminal): void {
  clientCommand(
    program,
    "status",
    "Show every endpoint's member; exit code 4 if nobody leads.",
  ).action(async (flags: ClientFlags) => {
    const { runStatus } = await import("./status-command.ts");
    await runStatus(flags, terminal);
  });
}

function addTransfer(program: Command, terminal: Terminal): void {
  clientCommand(program, "transfer [id]", "Move leadership to a member, or to the best one.")
    .addHelpText("after", TRANSFER_TEXT)
    .action(async (id: string | undefined, flags: ClientFlags) => {
      const { runTransfer } = await import("./transfer-command.ts");
      await runTransfer({ id, flags }, terminal);
    });
}

function addRepair(program: Command, terminal: Terminal): void {
  program
    .command("doctor <directory>")
    .description("Look at a data directory without changing it; exit code 6 if it is damaged.")
    .option("--id <id>", "whose directory it should be")
    .option("--json", "answer as JSON")
    .addHelpText("after", DOCTOR_TEXT)
    .action(async (directory: string, flags: DoctorFlags) => {
      const { runDoctor } = await import("./doctor-command.ts");
      await runDoctor({ directory, flags }, terminal);
    });
  program
    .command("recover <directory...>")
    .description("Go on with one surviving member after a quorum is lost for good.")
    .option("--confirm <cluster>", "the id of the cluster: without it nothing is changed")
    .option("--json", "answer as JSON")
    .addHelpText("after", RECOVER_TEXT)
    .action(async (directories: string[], flags: RecoverFlags) => {
      const { runRecover } = await import("./recover-command.ts");
      await runRecover({ directories, flags }, terminal);
    });
}

function addSnapshot(program: Command, terminal: Terminal): void {
  clientCommand(program, "snapshot", "Have every endpoint's member take a snapshot now.").action(
    async (flags: ClientFlags) => {
      const { runSnapshot } = await import("./snapshot-command.ts");
      await runSnapshot(flags, terminal);
    },
  );
}

function clientCommand(
  program: Command,
  usage: string,
  text: string,
  options: CommandOptions = {},
): Command {
  return program
    .command(usage, options)
    .description(text)
    .option("--endpoint <urls>", ENDPOINT_TEXT)
    .option("--timeout <ms>", "give up after this time", integer(1, 60_000), 10_000)
    .option("--json", "answer as JSON");
}

/** How old an answer may be. */
function freshnessOptions(command: Command): Command {
  return command
    .option("--local", "what the asked member has, without asking the others; may be old")
    .addOption(
      new Option("--consistency <kind>", "how sure to be that the answer is not old").choices([
        "linearizable",
        "lease",
        "local",
      ]),
    )
    .option(
      "--max-staleness <ms>",
      "an answer that is at most so old will do",
      integer(0, 2_147_483_647),
    );
}

const ENDPOINT_TEXT =
  "members to ask, separated by commas; the next where one cannot be reached " +
  "(or QUORATE_ENDPOINT; default: the three of `quorate dev`)";

const IDEMPOTENCY_TEXT =
  "names the write, so that running the command again does not write again (default: drawn)";

/** The flags that were given, by option name: commander names them after the flag. */
function namedFlags(command: Command): Record<string, unknown> {
  const given: Record<string, unknown> = command.opts();
  const flags: Record<string, unknown> = { config: given["config"] };
  for (const [name, row] of OPTION_ROWS) {
    flags[name] = given[new Option(row.flag).attributeName()];
  }
  return flags;
}

const START_EXAMPLES = `
Examples:
  quorate start --id n1 --listen 127.0.0.1:9091 --data ./data/n1 --bootstrap
  quorate start --id n1 --listen 127.0.0.1:9091 --data ./data/n1 \\
    --members n1=127.0.0.1:9091,n2=127.0.0.1:9092,n3=127.0.0.1:9093

Every option is also an environment variable (--election-timeout: QUORATE_ELECTION_TIMEOUT_MS)
and a key of the file of --config (electionTimeoutMs).`;

const DEV_EXAMPLES = `
Examples:
  quorate dev
  quorate dev --nodes 5 --data /tmp/five --port 9191`;

const PUT_EXAMPLES = `
Examples:
  quorate put greeting hello
  quorate put picture @cat.png
  date | quorate put now -
  quorate put greeting hi --if-revision 17`;

const TRANSFER_TEXT = `
Writes made meanwhile wait for the new leader; none fails. Without an id the voter that lacks least
takes over, which is never the present leader.

Examples:
  quorate transfer
  quorate transfer n2`;

const DOCTOR_TEXT = `
No lock is taken, so it can be used beside a running member, and on a directory that a member
refuses to start on. Each finding comes with what to do about it.

Examples:
  quorate doctor ./data/n1
  quorate doctor ./data/n1 --id n1 --json`;

const RECOVER_TEXT = `
The members must be stopped. Give the directories of all members that are left: the one with the
newest log goes on, alone and as a new cluster; all others, the lost and the given up, are refused
from then on and join anew on empty directories. First it prints what may be lost. Without
--confirm, or the same typed in a terminal, nothing is changed. If it is cut short, repeat it.

Examples:
  quorate recover ./data/n1
  quorate recover ./data/n1 ./data/n2 --confirm 5f0c2f1d8f4be6a3c0d1e2f3a4b5c6d7`;

const EXIT_CODES = `
Exit codes:
  0 done                            5 the outcome of a write is unknown
  1 anything else                   6 the data directory or disk
  2 the call is wrong               7 an address or a peer
  3 the key is absent               8 the replica failed
  4 not available now, nothing done 9 a condition did not hold`;
