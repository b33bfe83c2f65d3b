/**
 * examples/kvstore without processes: its options and what it says of mistakes, its machine in a
 * cluster that is cut in two, its status page in all shapes.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { QuorateError } from "quorate";
import { testCluster } from "quorate/sim";
import { expect, test } from "vitest";
import { get, KVStore, put } from "../../examples/kvstore/kv-store.ts";
import { memberOptions } from "../../examples/kvstore/options.ts";
import { statusPage } from "../../examples/kvstore/status-page.ts";

test("the state machine is under forty lines", () => {
  const path = join(import.meta.dirname, "../../examples/kvstore/kv-store.ts");
  expect(readFileSync(path, "utf8").trimEnd().split("\n").length).toBeLessThan(40);
});

test("CKite's properties and our flags mean the same", () => {
  const properties = [
    "-Dckite.finagle.listen-address=localhost:9092",
    "-Dckite.datadir=/tmp/m2",
    "-Dckite.members.0=localhost:9091",
    "-Dckite.members.1=localhost:9093",
    "-Dckite.bootstrap=false",
    "-Dckite.election.min-timeout=1000",
    "-Dckite.election.max-timeout=1500",
    "-Dckite.append-entries.period=250",
    "-Dckite.log.compaction-threshold=500",
  ];
  const flags = [
    ...["--listen-address", "localhost:9092", "--datadir", "/tmp/m2"],
    ...["--members", "localhost:9091,localhost:9093", "--min-election-timeout", "1000"],
    ...["--max-election-timeout", "1500", "--heartbeats-period", "250"],
    ...["--compaction-threshold", "500"],
  ];
  expect(memberOptions(properties)).toEqual(memberOptions(flags));
  expect(memberOptions(flags)).toMatchObject({
    host: "localhost",
    httpPort: 10_092,
    replica: {
      listen: "localhost:9092",
      dataDir: "/tmp/m2",
      start: { join: ["localhost:9091", "localhost:9093"] },
      electionTimeoutMs: 1_000,
      heartbeatIntervalMs: 250,
      snapshot: { entries: 500 },
    },
  });
  expect(memberOptions(["-Dckite.bootstrap=true"]).replica.start).toMatchObject({
    bootstrap: true,
  });
});

test.each([
  [["--listenaddress", "x"], /Unknown option '--listenaddress'; there are --listen-address, /],
  [["--listen-address", "localhost"], /--listen-address is host:port, not "localhost"/],
  [["-Dckite.log.sync=true"], /no property ckite\.log\.sync; there are ckite\.listen-address/],
  [["--compaction-threshold", "many"], /--compaction-threshold is a whole number, not "many"/],
  [["--max-election-timeout", "1200"], /1\.5 times the minimum/],
  [["--datadir", "/none/at/all"], /is new: say --bootstrap for a new cluster, or --members/],
  [["start"], /Unexpected argument 'start'/],
])("%s is refused by name", (args, message) => {
  expect(() => memberOptions(args)).toThrow(QuorateError);
  expect(() => memberOptions(args)).toThrow(message);
});

test("a leader that is cut off fails reads, and what it could not commit is gone", async () => {
  await using cluster = await testCluster({ machine: () => new KVStore() });
  const old = await cluster.leader();
  await old.replica.write(put("key1", "value1"));
  cluster.partition([old.id]);
  const lost = old.replica.write(put("key1", "lost")).catch((error: unknown) => error);
  const read = old.replica.read(get("key1")).catch((error: unknown) => error);
  const isNext = ({ id, replica }: { id: string; replica: { isLeader: boolean } }): boolean =>
    id !== old.id && replica.isLeader;
  await cluster.until(() => cluster.members.some(isNext));
  const next = cluster.members.find(isNext);
  expect(await next?.replica.write(put("key1", "value2"))).toBe("value2");
  expect(await read).toMatchObject({ code: "NO_LEADER" });
  expect(await lost).toMatchObject({ code: "OUTCOME_UNKNOWN" });
  cluster.heal();
  await cluster.until(() => old.replica.status().leader === next?.id);
  expect(await old.replica.read(get("key1"))).toBe("value2");
});

test("the status page has the shapes that are known", async () => {
  const machine = new KVStore();
  await using cluster = await testCluster({ machine: () => machine, members: 1 });
  const { replica } = await cluster.leader();
  await replica.write(put("foo", "bar"));
  const status = { ...replica.status(), leaderForMs: 47_087_214 };
  const followers = [
    { id: "n2", address: "n2:9092", matchIndex: 2, nextIndex: 3, lastHeardAgoMs: 128.7 },
    { id: "n3", address: "n3:9093", matchIndex: 0, nextIndex: 3, lastHeardAgoMs: undefined },
  ];
  const leading = { ...status, followers } as unknown as typeof status;
  const lastEntry = {
    term: status.term,
    index: status.lastIndex,
    command: { key: "foo", value: "bar" },
  };
  const { lastIndex: index, term } = status;
  expect(statusPage(leading, machine.last, "b")).toEqual({
    cluster: {
      term,
      state: "Leader",
      stateInfo: {
        leaderUptime: "13.hours+4.minutes+47.seconds+214.milliseconds",
        followers: {
          "n2:9092": { lastHeartbeatACK: "128.milliseconds", matchIndex: 2, nextIndex: 3 },
          "n3:9093": { lastHeartbeatACK: "Never", matchIndex: 0, nextIndex: 3 },
        },
      },
    },
    log: { length: index, commitIndex: index, lastEntry },
  });
  expect(statusPage(leading, machine.last, "a")).toMatchObject({
    cluster: {
      stateInfo: { lastHeartbeatsACKs: { "n2:9092": "128.milliseconds", "n3:9093": "Never" } },
    },
    log: { lastLog: lastEntry },
  });
  expect(statusPage(leading, machine.last, "c")).toMatchObject({
    consensus: { state: `Leader[${term}]` },
  });
  const following = { ...status, role: "follower", leaderAddress: "n2:9092" } as const;
  const infoOf = (page: Record<string, unknown>): unknown =>
    (Object.values(page)[0] as { readonly stateInfo: unknown }).stateInfo;
  expect(infoOf(statusPage(following, machine.last, "b"))).toEqual({ following: "Some(n2:9092)" });
  expect(infoOf(statusPage(following, machine.last, "c"))).toEqual({ following: "n2:9092" });
});
