/**
 * Versions of a user's machine: members that run different code.
 */
import { Director, keyValueSubject } from "quorate/sim";
import type { RunSubject, SimOptions } from "quorate/sim";
import type { Scenario } from "../scenario.ts";

/** Stories of an upgrade. */
export const scenarios: readonly Scenario[] = [
  {
    name: "version-of-all",
    text: "A version of the machine comes into force when every member knows it, and not before.",
    run: versionOfAll,
  },
];

const CLIENTS = {
  keys: 4,
  readShare: 500,
  localReadShare: 0,
  leaseReadShare: 0,
  staleReadShare: 0,
  stalenessMaxMs: 0,
  valueBytesMax: 32,
};

async function versionOfAll(): Promise<void> {
  // n3 is upgraded last: its second life knows version 2.
  const plain = keyValueSubject({ clients: CLIENTS } as SimOptions);
  const subject: RunSubject = {
    ...plain,
    machine: ({ id, life }) => {
      const version = id === "n3" && life === 1 ? 1 : 2;
      return Object.assign(plain.machine(), { version });
    },
  };
  const d = await Director.begin({ subject });
  const inForce = (id: string): number => d.of(id).replica!.status().machineVersion;
  await d.elect("n1");
  await d.done(d.put("n1", "x", "|one"));
  await d.ms(300);
  d.expect(inForce("n1") === 1, "n3 does not know version 2, so it is not in force");
  // While n3 is away nobody knows what code it will come back with.
  d.power("n3");
  await d.ms(3_000);
  await d.done(d.put("n2", "x", "|two"));
  await d.ms(300);
  d.expect(inForce("n1") === 1, "n3 is away, so version 2 is not in force");
  await d.start("n3");
  await d.until(
    () => ["n1", "n2", "n3"].every((id) => inForce(id) === 2),
    "version 2 is in force everywhere",
  );
  await d.finds("n3", "x", "|two");
  await d.end();
}
