import { expect, test } from "vitest";
import { findEarlyAnswers, parseTrace } from "../trace/system-calls.ts";

const OPEN = `7 openat(AT_FDCWD, "/d/log", O_RDWR|O_DSYNC|O_CLOEXEC) = 20`;
const PROMISED = [{ token: "key-1", answer: "revision: 1" }];

function check(...lines: string[]): string[] {
  return findEarlyAnswers(parseTrace(lines.join("\n")), PROMISED);
}

test("an answer after its data-synced write is in order", () => {
  const write = `8 pwrite64(20, "..key-1..", 9, 4096) = 9`;
  expect(check(OPEN, write, `7 write(25, "HTTP/1.1 200 OK revision: 1", 27) = 27`)).toEqual([]);
});

test("an answer that leaves while the write has not returned is found", () => {
  const lines = [
    OPEN,
    `8 pwrite64(20, "..key-1..", 9, 4096 <unfinished ...>`,
    `7 writev(25, [{iov_base="revision: 1", iov_len=11}], 1) = 11`,
    `8 <... pwrite64 resumed>) = 9`,
  ];
  expect(check(...lines)).toEqual(["key-1: durable at line 3, answered at line 2"]);
  const [open, begin, answer, end] = lines as [string, string, string, string];
  expect(check(open, begin, end, answer)).toEqual([]);
});

test("a write without data sync needs a sync that began after it returned", () => {
  const open = OPEN.replace("O_DSYNC|", "");
  const write = `8 pwrite64(20, "..key-1..", 9, 4096) = 9`;
  const answer = `7 write(25, "revision: 1", 11) = 11`;
  const sync = "9 fdatasync(20) = 0";
  expect(check(open, write, sync, answer)).toEqual([]);
  expect(check(open, write, answer, sync)).toEqual([
    "key-1: durable at line 3, answered at line 2",
  ]);
  expect(check(open, write, answer)).toEqual(["key-1: never durable, answered at 2"]);
  const overlapping = ["9 fdatasync(20 <unfinished ...>", write, "9 <... fdatasync resumed>) = 0"];
  expect(check(open, ...overlapping, answer)).toEqual(["key-1: never durable, answered at 4"]);
});

test("a failed write makes nothing durable, and a descriptor may be opened anew", () => {
  const answer = `7 write(25, "revision: 1", 11) = 11`;
  const failed = `8 pwrite64(20, "key-1", 5, 0) = -1 EIO (Input/output error)`;
  expect(check(OPEN, failed, answer)).toEqual(["key-1: never durable, answered at 2"]);
  const again = OPEN.replace("O_DSYNC|", "");
  const write = `8 pwrite64(20, "key-1", 5, 0) = 5`;
  expect(check(OPEN, again, write, answer)).toEqual(["key-1: never durable, answered at 3"]);
});

test("a missing answer is reported, not passed over", () => {
  expect(check(OPEN)).toEqual(["revision: 1: no such answer"]);
});
