import { expect, test } from "vitest";
import type { ReplicaEvent } from "quorate";
import type { Logger } from "pino";
import { logEvent } from "./member-log.ts";

function sentenceOf(event: ReplicaEvent): string | undefined {
  let sentence: string | undefined;
  const take = (_: unknown, text: string): void => {
    sentence = text;
  };
  const log = { info: take, warn: take, error: take, debug: take } as unknown as Logger;
  logEvent(log, "n1", event);
  return sentence;
}

function configuration(outgoing: readonly string[]): ReplicaEvent {
  const none = { members: [], learners: [], learnersNext: [], pending: undefined };
  const voters = ["n1", "n2", "n3"];
  return {
    type: "configuration",
    index: 7,
    configuration: { ...none, voters, outgoing },
  } as unknown as ReplicaEvent;
}

test("who reads of new voters learns whether the old ones are still needed", () => {
  expect(sentenceOf(configuration([]))).toBe("voters are n1, n2, n3");
  expect(sentenceOf(configuration(["n1", "n2"]))).toBe(
    "voters are n1, n2, n3; with the old ones (n1, n2) until all is done",
  );
});
