/**
 * `./cluster start` runs the Procfile of the current folder until Ctrl-C or until all have ended;
 * `./cluster run stop raftexample2`, from another terminal, talks to it, over a port of this
 * machine (8555, or CLUSTER_PORT).
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, request } from "node:http";
import type { Server } from "node:http";
import { Runner } from "./runner.ts";

const HOST = "127.0.0.1";
const PORT = Number(process.env["CLUSTER_PORT"] ?? 8_555);
const USAGE = "usage: ./cluster start | ./cluster run start|stop|restart <name> | run status";

const [command, verb = "", name = ""] = process.argv.slice(2);
try {
  if (command === "start") await start();
  else if (command === "run" && verb !== "") say(await ask(verb, name));
  else throw new Error(USAGE);
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}

async function start(): Promise<void> {
  const runner = new Runner(readFileSync("Procfile", "utf8"), (who, line) => {
    say(`${who} | ${line}`);
  });
  const control = controlOf(runner);
  control.listen(PORT, HOST);
  await once(control, "listening").catch((error: unknown) => {
    throw new Error(`another ./cluster runs, or port ${PORT} is taken: ${String(error)}`);
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => void runner.stopAll());
  }
  void runner.startAll();
  await runner.ended;
  control.close();
  control.closeAllConnections();
}

/** `POST /stop/raftexample2`. */
function controlOf(runner: Runner): Server {
  return createServer((asked, response) => {
    const [, what = "", whom = ""] = (asked.url ?? "").split("/");
    runner.run(what, whom).then(
      (text) => response.end(text),
      (error: Error) => response.writeHead(400).end(error.message),
    );
  });
}

function ask(what: string, whom: string): Promise<string> {
  return new Promise((resolve, reject: (error: Error) => void) => {
    const asked = request({ host: HOST, port: PORT, path: `/${what}/${whom}`, method: "POST" });
    asked.on("error", () => reject(new Error("nothing runs here: ./cluster start comes first")));
    asked.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => {
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(text));
      });
    });
    asked.end();
  });
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
