/**
 * The process of one member: opens its system, drives the load if it leads, answers questions. It
 * ends when the bench ends, whatever the reason: the IPC channel closes then.
 */
import { Load } from "./load.ts";
import { LoopDelayMeter } from "./loop-delay.ts";
import type { AnswerMessage, MemberSample, Request, RequestMessage } from "./protocol.ts";
import { makeSystem } from "./system.ts";
import type { System } from "./system.ts";

let system: System | undefined;
let load: Load | undefined;
const loopDelay = new LoopDelayMeter();

process.on("disconnect", () => process.exit(1));
process.on("message", (message: RequestMessage) => {
  answer(message).catch((error: unknown) => fail(error));
});

async function answer({ number, request }: RequestMessage): Promise<void> {
  try {
    reply({ number, value: await handle(request) });
  } catch (error) {
    reply({
      number,
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
  }
}

async function handle(request: Request): Promise<unknown> {
  if (request.type === "open") {
    const made = await makeSystem(request.setup.system);
    system = made;
    load = new Load((value) => made.submit(value));
    return made.open(request.setup);
  }
  if (system === undefined || load === undefined) throw new Error("not open");
  if (request.type === "ready") return system.ready();
  if (request.type === "sample") return sample(system, load, request.reset);
  if (request.type === "start") load.start(request.outstanding, request.valueBytes);
  else if (request.type === "stop") await load.stop();
  else await system.close();
  return undefined;
}

function sample(from: System, counted: Load, reset: boolean): MemberSample {
  const cpu = process.cpuUsage();
  const taken = {
    atMs: performance.now(),
    cpuUs: cpu.user + cpu.system,
    rssBytes: process.memoryUsage.rss(),
    load: counted.sample(),
    logWrites: from.logWrites(),
    loopDelay: loopDelay.sample(),
  };
  if (!reset) return taken;
  counted.reset();
  loopDelay.reset();
  return taken;
}

function reply(message: AnswerMessage): void {
  // The bench may be gone already; then so are we in a moment.
  process.send?.(message, undefined, undefined, () => {});
}

function fail(error: unknown): void {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
}
