/** What the lives of a simulated member must not do to each other. */
import { expect, test } from "vitest";
import { Director } from "./stage-director.ts";

test("a process that died while it was opening does not keep the next one from listening", async () => {
  for (const mode of ["messages", "streams"] as const) {
    // Whichever operation of an opening it is: some are started beside the way to the listener.
    for (let operation = 1; operation <= 40; operation++) {
      const director = new Director({ members: 1, seed: operation, mode });
      const member = director.of("n1");
      member.start();
      member.disk.dieAt(operation, "kill", () => member.diedAtDisk("kill"));
      await director.world.runFor(200_000);
      member.start();
      await director.world.runFor(3_000_000);
      expect(director.world.violation, `${mode}, operation ${operation}`).toBeUndefined();
    }
  }
});

test("a process that stands still while it starts, starts when it goes on", async () => {
  const director = new Director({ members: 1 });
  const member = director.of("n1");
  member.start();
  director.stage.pause(member, 5_000_000);
  expect(member.state).toBe("paused");
  await director.ms(4_000);
  expect(member.replica).toBeUndefined();
  await director.ms(1_500);
  expect(member.state).toBe("up");
  expect(member.core?.isReady).toBe(true);
  // It may die there, too.
  director.kill("n1");
  member.start();
  await director.us(300);
  director.stage.pause(member, 5_000_000);
  expect(member.state).toBe("paused");
  director.power("n1");
  await director.start("n1");
  await director.end();
});
