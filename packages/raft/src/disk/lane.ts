/**
 * One at a time, in the order of the calls.
 *
 * Every file operation that is not the log's own goes through a lane, so that together they use one
 * thread of the pool. The queue has no bound of its own: its callers have (the log prepares one
 * segment at a time, a snapshot has one chunk in flight, a catch-up read is one per peer).
 */
export class Lane {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs the task once all earlier ones have ended, however they ended. */
  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    this.#last = result.catch(ignore);
    return result;
  }
}

/** The failure reached the caller of `run`; the next task does not care. */
function ignore(): void {}
