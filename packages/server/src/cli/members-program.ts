/**
 * How `quorate members …` is called; what it does is in members-command.ts. `members plan` takes
 * the same changes as `members` itself.
 */
import type { Command, CommandOptions } from "commander";
import { integer } from "./flag-values.ts";
import type { MembersCommand, MembersFlags } from "./members-command.ts";
import type { Terminal } from "./terminal.ts";

type Make = (program: Command, usage: string, text: string, options?: CommandOptions) => Command;
type Run = (command: MembersCommand) => Promise<void>;

/** Adds the commands; `make` makes one with the flags that all client commands have. */
export function addMembersCommands(program: Command, terminal: Terminal, make: Make): void {
  const commands = () => import("./members-command.ts");
  const members = program
    .command("members")
    .description("Show who the members are, and change it.")
    .addHelpText("after", MEMBERS_TEXT);
  const listed = "Show the members, and the change that is under way.";
  make(members, "list", listed, { isDefault: true }).action(async (flags: MembersFlags) =>
    (await commands()).runMembersList(flags, terminal),
  );
  addChanges(members, make, async (command) =>
    (await commands()).runMembersChange(command, terminal),
  );
  versionOption(make(members, "cancel", "Take back the change that waits for new voters.")).action(
    async (flags: MembersFlags) => (await commands()).runMembersCancel(flags, terminal),
  );
  const plan = members
    .command("plan")
    .description("Show what a change would do, without making it; exit code 9 if it were refused.");
  addChanges(plan, make, async (command) => (await commands()).runMembersPlan(command, terminal));
}

function addChanges(parent: Command, make: Make, run: Run): void {
  const add = make(parent, "add <id> [address]", "Add a member; without an address its id is one.");
  patientOptions(add)
    .option("--learner", "it only receives the log, and does not vote")
    .action((id: string, address: string | undefined, flags: MembersFlags) =>
      run({ action: "add", args: [id, address], flags }),
    );
  const one = (name: "remove" | "promote" | "demote", text: string): Command =>
    make(parent, `${name} <id>`, text).action((id: string, flags: MembersFlags) =>
      run({ action: name, args: [id], flags }),
    );
  versionOption(one("remove", "Take a member out; the leader as well."));
  patientOptions(
    make(parent, "replace <id>", "Give a member's place to a new, empty directory under its id."),
  )
    .option("--address <host:port>", "where the new one is reached (default: as the old one)")
    .action((id: string, flags: MembersFlags) => run({ action: "replace", args: [id], flags }));
  patientOptions(one("promote", "Make a learner a voter, once it has caught up."));
  versionOption(one("demote", "Make a voter a learner."));
  patientOptions(make(parent, "set <list>", "Make the members exactly these: n1=host:port,…"))
    .option("--learners <ids>", "who of them only learns, separated by commas")
    .action((list: string, flags: MembersFlags) => run({ action: "set", args: [list], flags }));
}

function patientOptions(command: Command): Command {
  const text = "how long new voters have to catch up, before the change is taken back";
  return versionOption(command.option("--catch-up <ms>", text, integer(1, 86_400_000)));
}

function versionOption(command: Command): Command {
  const text = "only where this version of the members is in force";
  return command.option("--expected-version <number>", text, integer(0, Number.MAX_SAFE_INTEGER));
}

const MEMBERS_TEXT = `
A new voter learns first and votes once it has caught up; the command waits for that. It may be
started before or after it is added. Ctrl-C ends the waiting, not the change; cancel does.

Examples:
  quorate members
  quorate members add n4 10.0.0.4:9091
  quorate members plan remove n2
  quorate members replace n3 --address 10.0.0.9:9091
  quorate members set n1=10.0.0.1:9091,n4=10.0.0.4:9091,n5=10.0.0.5:9091 --learners n5`;
