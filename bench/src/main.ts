/** `npm run bench -- …`: reads the command line, measures, and says what came out. */
import { mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describeEnvironment, describeMachine, isInMemory } from "./environment.ts";
import { parseFailoverOptions } from "./failover-options.ts";
import type { FailoverOptions } from "./failover-options.ts";
import { failoverJson, failoverMarkdown, failoverTable } from "./failover-report.ts";
import { measureFailover } from "./failover.ts";
import { parseOptions, USAGE, UsageError } from "./options.ts";
import type { BenchOptions } from "./options.ts";
import { Progress } from "./progress.ts";
import { measureReplication } from "./replication.ts";
import { jsonResult, markdown, rowsOf, terminalTable } from "./report.ts";
import { parseServerOptions } from "./server-options.ts";
import type { ServerOptions } from "./server-options.ts";
import { serverJson, serverMarkdown, serverTable } from "./server-report.ts";
import { measureServers } from "./server.ts";
import { simulatorJson, simulatorMarkdown, simulatorTable } from "./simulator-report.ts";
import { measureSimulator, parseSimulatorOptions } from "./simulator.ts";
import type { SimulatorOptions } from "./simulator.ts";
import { measureStore, parseStoreOptions, storeJson, storeMarkdown, storeTable } from "./store.ts";
import type { StoreOptions } from "./store.ts";

const RESULTS = fileURLToPath(new URL("../results/", import.meta.url));

try {
  const args = process.argv.slice(2);
  if (args.includes("--help") || args.includes("-h")) process.stdout.write(`${USAGE}\n`);
  else if (args[0] === "simulator") await runSimulator(parseSimulatorOptions(args.slice(1)));
  else if (args[0] === "store") await runStore(parseStoreOptions(args.slice(1)));
  else if (args[0] === "server") await runServer(parseServerOptions("server", args.slice(1)));
  else if (args[0] === "peers") await runServer(parseServerOptions("peers", args.slice(1)));
  else if (args[0] === "failover") await runFailover(parseFailoverOptions(args.slice(1)));
  else await run(parseOptions(args));
} catch (error) {
  const text = error instanceof UsageError ? `${error.message}\n\n${USAGE}` : errorText(error);
  process.stderr.write(`${text}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

async function run(given: BenchOptions): Promise<void> {
  const options = onRealDisk(given);
  const environment = await describeEnvironment(options.directory);
  const series = await measureReplication(options, new Progress(process.stderr));
  const rows = rowsOf(series);
  const json = jsonResult(rows, series, environment, options);
  const title = options.systems.includes("quorate") ? "Replication" : "The floor";
  const text = markdown(title, series, environment, options);
  save(options.name, text, json);
  process.stdout.write(options.json ? json : `${terminalTable(rows)}\n`);
}

async function runServer(given: ServerOptions): Promise<void> {
  const options = onRealDisk(given);
  const environment = await describeEnvironment(options.directory);
  const found = await measureServers(options, new Progress(process.stderr));
  const json = serverJson(found, environment, options);
  save(options.name, serverMarkdown(found, environment, options), json);
  process.stdout.write(options.json ? json : `${serverTable(found, options)}\n`);
}

async function runFailover(given: FailoverOptions): Promise<void> {
  const options = onRealDisk(given);
  const environment = await describeEnvironment(options.directory);
  const found = await measureFailover(options, new Progress(process.stderr));
  const json = failoverJson(found, environment, options);
  save(options.name, failoverMarkdown(found, environment, options), json);
  process.stdout.write(options.json ? json : `${failoverTable(found, options)}\n`);
}

/** Refuses a directory in memory, unless it was asked for. */
function onRealDisk<T extends { readonly directory: string; readonly allowMemory: boolean }>(
  given: T,
): T {
  const options = { ...given, directory: realpathSync(given.directory) };
  if (!isInMemory(options.directory)) return options;
  const text = `${options.directory} is in memory: a sync there costs nothing and means nothing`;
  if (!options.allowMemory) throw new UsageError(`${text}; name a real disk with --dir`);
  process.stderr.write(`Warning: ${text}.\n`);
  return options;
}

async function runSimulator(options: SimulatorOptions): Promise<void> {
  const rounds = await measureSimulator(options, new Progress(process.stderr));
  const machine = describeMachine();
  const json = simulatorJson(rounds, machine, options);
  save(options.name, simulatorMarkdown(rounds, machine, options), json);
  process.stdout.write(options.json ? json : `${simulatorTable(rounds)}\n`);
}

async function runStore(options: StoreOptions): Promise<void> {
  const rounds = await measureStore(options, new Progress(process.stderr));
  const machine = describeMachine();
  const json = storeJson(rounds, machine, options);
  save(options.name, storeMarkdown(rounds, machine, options), json);
  process.stdout.write(options.json ? json : `${storeTable(rounds)}\n`);
}

function save(name: string | undefined, text: string, json: string): void {
  if (name === undefined) return;
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(`${RESULTS}${name}.md`, text);
  writeFileSync(`${RESULTS}${name}.json`, json);
}

function errorText(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
