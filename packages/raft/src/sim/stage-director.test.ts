import { expect, test } from "vitest";
import { Director, STORY_TIMEOUT_MS } from "./stage-director.ts";

test("a story that comes about ends with everybody healed and agreed", async () => {
  const d = await Director.begin();
  await d.elect("n2");
  expect(d.leader()?.id).toBe("n2");
  expect(d.leader("n1", "n3")).toBeUndefined();
  await d.done(d.put("n1", "x", "|a"));
  await d.finds("n3", "x", "|a");
  await expect(d.finds("n3", "x", "|b")).rejects.toThrow(/n3 finds x = \|b, not \|a/);
  d.power("n3");
  await d.end();
});

test("a step that does not come about is named", async () => {
  const d = await Director.begin({ members: 1 });
  await expect(d.until(() => false, "the moon is made of cheese", 10)).rejects.toThrow(
    "story: the moon is made of cheese: not within 10 ms",
  );
  expect(() => d.expect(false, "it is")).toThrow("story: it is: that is not so");
});

test("what a rule keeps goes on when it is released, so many at a time", async () => {
  const d = await Director.begin();
  await d.elect("n1");
  const kept = d.hold((_from, to, { type }) => to === "n1" && type === "heartbeat-response");
  await d.ms(STORY_TIMEOUT_MS / 4);
  kept.end();
  expect(kept.release((from) => from === "n2", 1)).toBe(1);
  expect(kept.release((from) => from === "n2")).toBeGreaterThan(0);
  expect(kept.release((from) => from === "n2")).toBe(0);
  expect(kept.release()).toBeGreaterThan(0);
  await d.end();
});

test("only the first message is kept where that was asked for", async () => {
  const d = await Director.begin();
  await d.elect("n1");
  const late = d.holdFirst((_from, to, { type }) => to === "n2" && type === "append-entries");
  d.cut("n1", "n3");
  const write = d.put("n1", "x", "|a");
  await d.done(write);
  expect(late.release()).toBe(1);
  expect(late.release()).toBe(0);
  await d.end();
});

test("who is isolated hears nobody until it has rejoined", async () => {
  const d = await Director.begin();
  await d.elect("n1");
  d.isolate("n1");
  await d.until(() => d.leader("n2", "n3") !== undefined, "another one leads");
  d.rejoin("n1");
  await d.until(() => d.of("n1").core?.leader === d.leader("n2", "n3")?.id, "n1 follows it");
  await d.end();
});

test("a broken promise ends the story in the step that ran into it", async () => {
  const d = await Director.begin();
  d.world.broken("a-promise", "was broken");
  await expect(d.ms(1)).rejects.toThrow("a-promise: was broken");
});

test("a member that has to refuse and starts ends the story", async () => {
  const d = await Director.begin();
  d.kill("n1");
  await expect(d.refuses("n1", "LOG_DAMAGED")).rejects.toThrow(/has to refuse with LOG_DAMAGED/);
  const other = await Director.begin();
  other.kill("n1");
  other.loseDirectory("n1", "identity.json");
  await other.refuses("n1", "DATA_DIR_INVALID");
});
