/** What a minority suffers ends, and keeps a majority from nothing. */
import { describe, expect, test } from "vitest";
import { AFFLICTIONS, Minority } from "./minority.ts";
import { Director } from "./stage-director.ts";

describe("a minority", () => {
  test.each(AFFLICTIONS)("that is %s keeps a majority from nothing", async (affliction) => {
    for (const mode of ["messages", "streams"] as const) {
      for (const leader of ["n1", "n4"]) {
        const director = await Director.begin({ members: 5, mode });
        await director.elect(leader);
        const minority = new Minority(director.world, affliction);
        const majority = ["n1", "n2", "n3"].map((id) => director.of(id));
        minority.besides(majority);
        const isServed = (): boolean =>
          director.world.members.some(
            ({ id, core }) =>
              core?.isReady === true && majority.every((m) => m.core?.leader === id),
          );
        await director.ms(2_000);
        await director.until(isServed, "a leader whom all of the majority follow");
        for (const { id } of majority) {
          await director.done(director.put(id, "key", id));
          await director.finds(id, "key", id);
        }
        minority.end();
        await director.end();
      }
    }
  });

  test("is well again when it ends, and another one suffers in its place when the majority changes", async () => {
    for (let seed = 1; seed <= 8; seed++) {
      const director = await Director.begin({ seed });
      const { world } = director;
      const minority = new Minority(world);
      const told: string[] = [];
      world.audience.add({ fault: (_kind, text) => told.push(text.slice(0, 2)) });
      const [n1, n2, n3] = [director.of("n1"), director.of("n2"), director.of("n3")];
      minority.besides([n1, n2]);
      minority.besides([n2, n1]);
      expect(told).toEqual(["n3"]);
      await director.ms(500);
      minority.besides([n3, n2]);
      expect(told).toEqual(["n3", "n1"]);
      n3.start();
      await director.ms(500);
      minority.end();
      for (const member of world.members) {
        expect(member.isHeldDown).toBe(false);
        expect(member.state).not.toBe("paused");
      }
      await director.end();
    }
  });
});
