/**
 * A cluster that changes its members while clients read and write: it grows from one to three to
 * five, every member is replaced by one on an empty directory and at another address, and two are
 * taken out again, the leader among them.
 *
 * Shown: what the clients saw is linearizable, with unknown outcomes kept as unknown; every
 * acknowledged write is there in the end, on every member that is left, and none that was refused;
 * a removed member ends by itself, with 0.
 */
import { expect, test } from "vitest";
import { GrownCluster } from "../harness/grown-cluster.ts";
import { Ledger } from "../harness/ledger.ts";
import { Load } from "../harness/load.ts";
import { expectLinearizable } from "../harness/verdict.ts";

const CLIENT_TIMEOUT_MS = 2_000;
const IDS = ["n1", "n2", "n3", "n4", "n5"];
/** How often every member is replaced. */
const ROUNDS = process.env["QUORATE_LONG"] === "1" ? 5 : 1;

test(
  "grow to five, replace everybody, shrink to three, all under load",
  { timeout: 600_000 },
  async (context) => {
    const cluster = new GrownCluster(context, [
      "--election-timeout",
      "500",
      // All members share a disk here: preparing large segments at a start would slow the others.
      "--segment-bytes",
      "1048576",
      "--value-bytes-max",
      "65536",
    ]);
    const first = await cluster.bootstrap("n1");
    // The clients know who there is: the list is kept up while they run.
    const ports = [first.httpPort];
    const ledger = new Ledger(context);
    ledger.startWriter(ports, CLIENT_TIMEOUT_MS);
    const options = { clients: 4, keys: 4, seed: 1, timeoutMs: CLIENT_TIMEOUT_MS, thinkMs: 5 };
    const load = new Load(context, { ports, ...options });
    const steps: string[] = [];
    const step = async (what: string, change: () => Promise<unknown>): Promise<void> => {
      const begin = performance.now();
      await change();
      steps.push(`${what} ${Math.round(performance.now() - begin)} ms`);
    };

    for (const id of IDS.slice(1)) {
      await step(`add ${id}`, async () => {
        // Through the one that joined last: any member will do.
        const { httpPort } = await cluster.join(id, cluster.members.at(-1)!);
        ports.push(httpPort);
      });
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const id of IDS) {
        await step(`replace ${id}`, async () => {
          ports.splice(ports.indexOf(cluster.member(id).httpPort), 1);
          const { httpPort } = await cluster.replace(id);
          ports.push(httpPort);
        });
      }
    }
    for (let i = 0; i < 2; i++) {
      const leader = await cluster.leader();
      await step(`remove ${leader.id}, which leads`, async () => {
        ports.splice(ports.indexOf(leader.httpPort), 1);
        await cluster.remove(leader.id);
      });
    }

    const history = await load.stop();
    await ledger.stop();
    const { done, unknown } = load.counts;
    await context.annotate(`${steps.join(", ")}; ${done} operations done, ${unknown} unknown`);
    expect(cluster.members).toHaveLength(3);
    expectLinearizable(history, cluster.directory);
    expect(ledger.acknowledged).toBeGreaterThan(100);
    for (const port of cluster.httpPorts) {
      const audit = await ledger.audit(port);
      expect(audit).toMatchObject({ lost: [], appeared: [], invented: [] });
    }
  },
);
