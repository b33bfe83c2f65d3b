/**
 * Sets many values and says how that went: a bar while it runs, a summary in the end. Ends with 1
 * where one was not set.
 */
import { Agent, get } from "node:http";
import { parseArgs } from "node:util";

const BAR_COLUMNS = 40;
const SHOW_MS = 100;
const TIMEOUT_MS = 10_000;
const USAGE = "usage: ./pump.sh [--to http://localhost:8001] [--count 1000] [--clients 4]";

const { to, count, clients } = flags();
const agent = new Agent({ keepAlive: true, maxSockets: clients });
const latenciesMs: number[] = [];
const failures = new Map<string, number>();
let next = 0;

const startedMs = performance.now();
const timer = setInterval(show, SHOW_MS);
await Promise.all(Array.from({ length: clients }, () => client()));
clearInterval(timer);
agent.destroy();
show();
summarize();

async function client(): Promise<void> {
  while (next < count) {
    const i = ++next;
    const sentMs = performance.now();
    const failure = await set(`${to}/set?key=${i}&value=${i}`);
    if (failure === undefined) latenciesMs.push(performance.now() - sentMs);
    else failures.set(failure, (failures.get(failure) ?? 0) + 1);
  }
}

/** Undefined where it is set, else why it is not. */
function set(url: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = get(url, { agent, timeout: TIMEOUT_MS }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => {
        resolve(response.statusCode === 200 ? undefined : `${response.statusCode} ${text.trim()}`);
      });
      response.on("error", (error) => resolve(error.message));
    });
    request.on("timeout", () => request.destroy(new Error(`no answer in ${TIMEOUT_MS} ms`)));
    request.on("error", (error) => resolve(error.message || String(error)));
  });
}

/** A bar on a terminal, nothing elsewhere but the whole one in the end. */
function show(): void {
  const done = latenciesMs.length + failed();
  if (!process.stdout.isTTY && done < count) return;
  const full = Math.round((BAR_COLUMNS * done) / count);
  const bar = "#".repeat(full) + ".".repeat(BAR_COLUMNS - full);
  process.stdout.write(`${process.stdout.isTTY ? "\r" : ""}[${bar}] ${done}/${count}`);
  if (done >= count) process.stdout.write("\n");
}

function summarize(): void {
  const seconds = (performance.now() - startedMs) / 1_000;
  latenciesMs.sort((a, b) => a - b);
  const at = (part: number): string => {
    const ms = latenciesMs[Math.ceil(part * latenciesMs.length) - 1] ?? 0;
    return `${ms.toFixed(1)} ms`;
  };
  say(`${latenciesMs.length} set, ${failed()} failed, in ${seconds.toFixed(2)} s`);
  say(`${Math.round(latenciesMs.length / seconds)} per second with ${clients} clients`);
  say(`latency: half within ${at(0.5)}, 99 % within ${at(0.99)}, all within ${at(1)}`);
  for (const [text, times] of failures) say(`${times} times: ${text}`);
  if (failed() > 0) process.exitCode = 1;
}

function failed(): number {
  return [...failures.values()].reduce((sum, times) => sum + times, 0);
}

function flags(): { readonly to: string; readonly count: number; readonly clients: number } {
  try {
    const { values } = parseArgs({
      options: {
        to: { type: "string", default: "" },
        count: { type: "string", default: "1000" },
        clients: { type: "string", default: "4" },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) throw new Error("Sets many values, and says how that went.");
    const to = new URL(values.to).origin;
    const [count, clients] = [Number(values.count), Number(values.clients)];
    if (count >= 1 && clients >= 1 && clients <= 1_000) return { to, count, clients };
    throw new Error("--count and --clients are numbers from 1 on");
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}\n`);
    return process.exit(2);
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
