/** `npm run bench -- …`: reads the command line, measures, and says what came out. */
import { runCheck } from "./check-command.ts";
import { describeEnvironment, describeMachine } from "./environment.ts";
import { parseFailoverOptions } from "./failover-options.ts";
import type { FailoverOptions } from "./failover-options.ts";
import { failoverJson, failoverMarkdown, failoverTable } from "./failover-report.ts";
import { measureFailover } from "./failover.ts";
import { parseGrowthOptions } from "./growth-options.ts";
import type { GrowthOptions } from "./growth-options.ts";
import { growthJson, growthMarkdown, growthPictures, growthTable } from "./growth-report.ts";
import { measureGrowth } from "./growth.ts";
import type { GrowthPoint } from "./growth.ts";
import { parseMemoryOptions } from "./memory-options.ts";
import type { MemoryOptions } from "./memory-options.ts";
import { memoryJson, memoryMarkdown, memoryPicture, memoryTable } from "./memory-report.ts";
import { measureMemory } from "./memory.ts";
import { parseOptions, USAGE, UsageError } from "./options.ts";
import type { BenchOptions } from "./options.ts";
import {
  failoverPicture,
  replicationPicture,
  serverPicture,
  simulatorPicture,
  storePicture,
} from "./pictures.ts";
import { isOwn, SYSTEM_NAMES } from "./protocol.ts";
import type { SystemName } from "./protocol.ts";
import { Progress } from "./progress.ts";
import { measureReplication } from "./replication.ts";
import { isFloorAlone, jsonResult, markdown, rowsOf, terminalTable } from "./report.ts";
import { onRealDisk, saveResults } from "./results.ts";
import { parseServerOptions } from "./server-options.ts";
import type { ServerOptions } from "./server-options.ts";
import { serverJson, serverMarkdown, serverRows, serverTable } from "./server-report.ts";
import { measureServers } from "./server.ts";
import { simulatorJson, simulatorMarkdown, simulatorTable } from "./simulator-report.ts";
import { measureSimulator, parseSimulatorOptions } from "./simulator.ts";
import type { SimulatorOptions } from "./simulator.ts";
import { measureStore, parseStoreOptions, storeJson, storeMarkdown, storeTable } from "./store.ts";
import type { StoreOptions } from "./store.ts";
import { parseUpkeepOptions } from "./upkeep-options.ts";
import type { UpkeepOptions } from "./upkeep-options.ts";
import { upkeepJson, upkeepMarkdown, upkeepPicture, upkeepTable } from "./upkeep-report.ts";
import { measureUpkeep } from "./upkeep.ts";
import type { UpkeepSeries } from "./upkeep.ts";

const COMMANDS: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = {
  check: runCheck,
  simulator: (args) => runSimulator(parseSimulatorOptions(args)),
  store: (args) => runStore(parseStoreOptions(args)),
  server: (args) => runServer(parseServerOptions("server", args)),
  peers: (args) => runPeers(parseServerOptions("peers", args)),
  growth: (args) => runGrowth(parseGrowthOptions(args)),
  upkeep: (args) => runUpkeep(parseUpkeepOptions(args)),
  memory: (args) => runMemory(parseMemoryOptions(args)),
  failover: (args) => runFailover(parseFailoverOptions(args)),
};

try {
  const args = process.argv.slice(2);
  const command = COMMANDS[args[0] ?? ""];
  if (args.includes("--help") || args.includes("-h")) process.stdout.write(`${USAGE}\n`);
  else if (command !== undefined) await command(args.slice(1));
  else await run(parseOptions(args));
} catch (error) {
  const text = error instanceof UsageError ? `${error.message}\n\n${USAGE}` : errorText(error);
  process.stderr.write(`${text}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

async function run(given: BenchOptions): Promise<void> {
  const options = onRealDisk(given);
  const environment = await describeEnvironment(options.directory);
  const found = await measureReplication(options, new Progress(process.stderr));
  const json = jsonResult(found, environment, options);
  const title = titleOf(options.systems);
  const text = markdown(title, found, environment, options);
  const svg = replicationPicture(title, rowsOf(found.series), environment);
  saveResults(options.name, { markdown: text, json, svg });
  process.stdout.write(options.json ? json : `${terminalTable(found)}\n`);
}

async function runServer(given: ServerOptions): Promise<void> {
  const options = onRealDisk(given);
  const environment = await describeEnvironment(options.directory);
  const found = await measureServers(options, new Progress(process.stderr));
  const json = serverJson(found, environment, options);
  const markdown = serverMarkdown(found, environment, options);
  const title = options.what === "server" ? "Server" : "Peers";
  const svg = serverPicture(title, serverRows(found.series), environment);
  saveResults(options.name, { markdown, json, svg });
  process.stdout.write(options.json ? json : `${serverTable(found, options)}\n`);
}

async function runPeers(options: ServerOptions): Promise<void> {
  if (options.only !== "libraries") await runServer(options);
  if (options.only === "servers") return;
  await run({
    ...options,
    systems: SYSTEM_NAMES,
    valueBytes: [options.valueBytes],
    name: options.name === undefined ? undefined : `${options.name}-libraries`,
    nodeFlags: [],
  });
}

async function runMemory(given: MemoryOptions): Promise<void> {
  const options = onRealDisk(given);
  const environment = await describeEnvironment(options.directory);
  const found = await measureMemory(options, new Progress(process.stderr));
  const json = memoryJson(found, environment, options);
  const markdown = memoryMarkdown(found, environment, options);
  saveResults(options.name, { markdown, json, svg: memoryPicture(found, environment) });
  process.stdout.write(options.json ? json : `${memoryTable(found)}\n`);
}

async function runGrowth(given: GrowthOptions): Promise<void> {
  const options = onRealDisk(given);
  const environment = await describeEnvironment(options.directory);
  const save = (points: readonly GrowthPoint[]): void => {
    const markdown = growthMarkdown(points, environment, options);
    const json = growthJson(points, environment, options);
    saveResults(options.name, { markdown, json, more: growthPictures(points, environment) });
  };
  const points = await measureGrowth(options, new Progress(process.stderr), save);
  const json = growthJson(points, environment, options);
  process.stdout.write(options.json ? json : `${growthTable(points, environment, options)}\n`);
}

async function runUpkeep(given: UpkeepOptions): Promise<void> {
  const options = onRealDisk(given);
  const environment = await describeEnvironment(options.directory);
  const save = (all: readonly UpkeepSeries[]): void => {
    const markdown = upkeepMarkdown(all, environment, options);
    const json = upkeepJson(all, environment, options);
    saveResults(options.name, { markdown, json, svg: upkeepPicture(all, environment) });
  };
  const found = await measureUpkeep(options, new Progress(process.stderr), save);
  const json = upkeepJson(found, environment, options);
  process.stdout.write(options.json ? json : `${upkeepTable(found)}\n`);
}

async function runFailover(given: FailoverOptions): Promise<void> {
  const options = onRealDisk(given);
  const environment = await describeEnvironment(options.directory);
  const found = await measureFailover(options, new Progress(process.stderr));
  const json = failoverJson(found, environment, options);
  const markdown = failoverMarkdown(found, environment, options);
  const svg = failoverPicture(found, options, environment);
  saveResults(options.name, { markdown, json, svg });
  process.stdout.write(options.json ? json : `${failoverTable(found, options)}\n`);
}

async function runSimulator(options: SimulatorOptions): Promise<void> {
  const rounds = await measureSimulator(options, new Progress(process.stderr));
  const machine = describeMachine();
  const json = simulatorJson(rounds, machine, options);
  const markdown = simulatorMarkdown(rounds, machine, options);
  const svg = simulatorPicture(rounds, machine);
  saveResults(options.name, { markdown, json, svg });
  process.stdout.write(options.json ? json : `${simulatorTable(rounds)}\n`);
}

async function runStore(options: StoreOptions): Promise<void> {
  const rounds = await measureStore(options, new Progress(process.stderr));
  const machine = describeMachine();
  const json = storeJson(rounds, machine, options);
  const markdown = storeMarkdown(rounds, machine, options);
  const svg = storePicture(rounds, machine);
  saveResults(options.name, { markdown, json, svg });
  process.stdout.write(options.json ? json : `${storeTable(rounds)}\n`);
}

function titleOf(systems: readonly SystemName[]): string {
  if (systems.some((name) => !isOwn(name))) return "Libraries";
  return isFloorAlone(systems) ? "The floor" : "Replication";
}

function errorText(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
