/**
 * What every transport has to do with contacts, and with peers that have several addresses: part of
 * the suite in transport-suite.ts.
 */
import { expectEqual, expectTrue } from "../util/suite.ts";
import type { SuiteCase } from "../util/suite.ts";
import { heartbeat, isConnected } from "./transport-bench.ts";
import type { Test } from "./transport-bench.ts";
import { RefusalCode } from "./transport.ts";

/** The cases of contacts. */
export function asking(test: Test): SuiteCase[] {
  return [
    test("a contact says who it is, again and again, and judges nobody", async (bench) => {
      const a = await bench.open("a");
      const b = await bench.open("b");
      b.host.verdict = () => ({ accept: false, code: RefusalCode.cluster, reason: "for a test" });
      b.host.fields = { mode: "join", configurationIndex: 12 };
      a.transport.setContacts([b.transport.address]);
      await bench.until(() => a.host.contacts.length >= 3, "b has answered three times");
      for (const { address, remote } of a.host.contacts) {
        expectEqual(address, b.transport.address);
        expectEqual([remote.id, remote.mode, remote.configurationIndex], ["b", "join", 12]);
      }
      expectEqual([a.host.judged, b.host.judged], [0, 0], "judgements");
      const { refusals, problems } = b.host;
      expectEqual([...a.host.connectedTo, ...refusals, ...problems], [], "nothing else is told");
      expectTrue(!a.transport.send("b", 0, heartbeat(1)), "a contact is no peer");
    }),
    test("a contact that is not there fails, is asked until it is, and no more after that", async (bench) => {
      const a = await bench.open("a");
      const early = await bench.open("b");
      const { address } = early.transport;
      await early.transport.close();
      a.transport.setContacts([address, "nonsense"]);
      const failed = (): string[] => a.host.contactFailures.map((text) => text.split(": ")[0]!);
      await bench.until(() => new Set(failed()).size === 2, "both have failed");
      await bench.open("b", {}, address);
      await bench.until(() => a.host.contacts.length > 0, "it answers");
      a.transport.setContacts([]);
      const count = a.host.contacts.length;
      const c = await bench.open("c");
      a.transport.setContacts([c.transport.address]);
      await bench.until(() => a.host.contacts.length >= count + 3, "c has answered three times");
      expectEqual(new Set(a.host.contacts.slice(count).map(({ remote }) => remote.id)).size, 1);
    }),
    test("asking does not touch the connection that the asker has already", async (bench) => {
      const { a, b } = await bench.pair();
      a.transport.setContacts([b.transport.address]);
      await bench.until(() => a.host.contacts.length >= 2, "b has answered");
      a.transport.send("b", 0, heartbeat(1));
      a.transport.flush();
      await bench.until(() => b.host.received.length === 1, "messages flow as before");
      expectEqual([...a.host.disconnectedFrom, ...b.host.disconnectedFrom], []);
    }),
    test("contacts set before listening are asked once it listens", async (bench) => {
      const b = await bench.open("b");
      const a = bench.make("a");
      a.transport.setContacts([b.transport.address]);
      await a.transport.listen(a.host);
      await bench.until(() => a.host.contacts.length > 0, "b has answered");
    }),
    test("a peer is found under its second address, and stays there when the list changes", async (bench) => {
      const a = await bench.open("a");
      const b = await bench.open("b");
      const { address } = b.transport;
      a.transport.setPeers([{ id: "b", address: "nowhere:1", others: ["nonsense", address] }]);
      await bench.until(() => isConnected(a), "a is connected");
      expectEqual(a.transport.status()[0]?.address, address);
      a.transport.setPeers([{ id: "b", address: "elsewhere:1", others: [address] }]);
      a.transport.send("b", 0, heartbeat(1));
      a.transport.flush();
      await bench.until(() => b.host.received.length === 1, "the connection was kept");
      a.transport.setPeers([{ id: "b", address: "elsewhere:1" }]);
      expectEqual(a.host.disconnectedFrom, ["b"], "its address is not on the list any more");
    }),
  ];
}
