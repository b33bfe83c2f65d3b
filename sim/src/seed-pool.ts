/**
 * Threads that take tasks from one place until there are none.
 *
 * A thread that dies, or that does not come back in time, has found something too: its task is
 * reported as lost, with the reason, and another thread takes its place.
 */
import { Worker } from "node:worker_threads";
import type { SeedAnswer, SeedTask } from "./seed-task.ts";

/** Where tasks come from and answers go to. */
export interface PoolWork<T extends SeedTask> {
  /** Undefined: nothing is left for whoever asks, now and later. */
  next(): T | undefined;
  answered(task: T, answer: SeedAnswer): void;
  /** The thread is gone, and with it the task. */
  lost(task: T, reason: string): void;
}

/** How much is run at a time, and for how long at most. */
export interface PoolLimits {
  readonly jobs: number;
  readonly taskSeconds: number;
}

/** Runs tasks until none is left. */
export async function runPool<T extends SeedTask>(
  work: PoolWork<T>,
  limits: PoolLimits,
): Promise<void> {
  await Promise.all(Array.from({ length: limits.jobs }, () => runLane(work, limits.taskSeconds)));
}

async function runLane<T extends SeedTask>(work: PoolWork<T>, seconds: number): Promise<void> {
  let worker: Worker | undefined;
  for (let task = work.next(); task !== undefined; task = work.next()) {
    worker ??= new Worker(new URL("./seed-worker.js", import.meta.url));
    const given = task;
    const reason = await ask(worker, given, seconds, (answer) => work.answered(given, answer));
    if (reason === undefined) continue;
    await worker.terminate();
    worker = undefined;
    work.lost(given, reason);
  }
  await worker?.terminate();
}

/** One task in one thread; resolves to the reason why it was lost, or undefined. */
function ask(
  worker: Worker,
  task: SeedTask,
  seconds: number,
  answered: (answer: SeedAnswer) => void,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const end = (reason: string | undefined): void => {
      clearTimeout(timer);
      worker.off("message", onMessage).off("error", onError).off("exit", onExit);
      resolve(reason);
    };
    const timer = setTimeout(() => end(`it took longer than ${seconds} s`), seconds * 1000);
    const onMessage = (answer: SeedAnswer): void => {
      answered(answer);
      if (answer.type !== "smaller") end(undefined);
    };
    const onError = (error: Error): void => end(`its thread died: ${error.stack ?? error.message}`);
    const onExit = (code: number): void => end(`its thread ended with code ${code}`);
    worker.on("message", onMessage).on("error", onError).on("exit", onExit);
    worker.postMessage(task);
  });
}
