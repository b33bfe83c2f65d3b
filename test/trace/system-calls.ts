/**
 * What a process asked of the kernel, in the order in which it happened, read from an strace file.
 *
 * With several threads a call may begin on one line ("<unfinished ...>") and end on a later one
 * ("<... resumed>"). Each call therefore has two places in the trace: where it began and where it
 * had returned. Data leaves at the earliest where a call began; it is durable at the earliest where
 * a call had returned.
 */

/** One system call. */
export interface SystemCall {
  readonly name: string;
  /** Everything between the brackets, as strace writes it. */
  readonly args: string;
  /** Its first argument where that is a number: the file descriptor of most calls. */
  readonly fd: number;
  /** -1 where it failed. */
  readonly result: number;
  /** Lines of the trace. */
  readonly began: number;
  readonly returned: number;
}

/** All calls that returned, in that order. */
export function parseTrace(text: string): SystemCall[] {
  const calls: SystemCall[] = [];
  const unfinished = new Map<string, { name: string; args: string; began: number }>();
  for (const [line, content] of text.split("\n").entries()) {
    const [, thread = "", rest = ""] = /^(\d+) +(.*)$/.exec(content) ?? [];
    const begun = /^(\w+)\((.*) <unfinished \.\.\.>$/.exec(rest);
    if (begun !== null) {
      unfinished.set(thread, { name: begun[1]!, args: begun[2]!, began: line });
      continue;
    }
    const resumed = /^<\.\.\. (\w+) resumed>(.*)\) += (-?\d+)/.exec(rest);
    if (resumed !== null) {
      const first = unfinished.get(thread);
      unfinished.delete(thread);
      if (first === undefined) continue;
      calls.push(call(first.name, first.args + resumed[2]!, resumed[3]!, [first.began, line]));
      continue;
    }
    const whole = /^(\w+)\((.*)\) += (-?\d+)/.exec(rest);
    if (whole !== null) calls.push(call(whole[1]!, whole[2]!, whole[3]!, [line, line]));
  }
  return calls;
}

function call(
  name: string,
  args: string,
  result: string,
  [began, returned]: [number, number],
): SystemCall {
  return { name, args, fd: Number.parseInt(args, 10), result: Number(result), began, returned };
}

/** Data that must be durable before an answer leaves. */
export interface Promised {
  /** Stands in the write that makes it durable. */
  readonly token: string;
  /** Stands in the answer. */
  readonly answer: string;
}

/**
 * What is wrong: answers that began to leave before a write with their data had returned that is
 * durable when it returns (on a descriptor opened with O_DSYNC or O_SYNC, or followed by a sync of
 * that descriptor), and data or answers that are not in the trace at all.
 */
export function findEarlyAnswers(
  calls: readonly SystemCall[],
  promised: readonly Promised[],
): string[] {
  const writes = durableWrites(calls);
  const answers = calls.filter((one) => /^(write|writev|sendto|sendmsg)$/.test(one.name));
  const wrong: string[] = [];
  for (const { token, answer } of promised) {
    const durableAt = writes.find((write) => write.args.includes(token))?.durableAt;
    const leaves = answers.find((one) => one.args.includes(answer))?.began;
    if (leaves === undefined) wrong.push(`${answer}: no such answer`);
    else if (durableAt === undefined) wrong.push(`${token}: never durable, answered at ${leaves}`);
    else if (durableAt >= leaves) {
      wrong.push(`${token}: durable at line ${durableAt}, answered at line ${leaves}`);
    }
  }
  return wrong;
}

interface DurableWrite {
  readonly args: string;
  readonly durableAt: number;
}

function durableWrites(calls: readonly SystemCall[]): DurableWrite[] {
  const synced = new Set<number>();
  const waiting: SystemCall[] = [];
  const durable: DurableWrite[] = [];
  for (const one of calls) {
    if (one.result < 0) continue;
    if (one.name === "openat") {
      if (/\bO_D?SYNC\b/.test(one.args)) synced.add(one.result);
      else synced.delete(one.result);
    } else if (one.name === "pwrite64") {
      if (synced.has(one.fd)) durable.push({ args: one.args, durableAt: one.returned });
      else waiting.push(one);
    } else if (one.name === "fdatasync" || one.name === "fsync") {
      for (const write of waiting) {
        // A sync covers what had returned before it began.
        if (write.fd !== one.fd || write.returned >= one.began) continue;
        durable.push({ args: write.args, durableAt: one.returned });
      }
    }
  }
  return durable;
}
