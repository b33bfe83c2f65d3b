/**
 * Who wants to know what. Events are gathered during a turn and delivered after it, so a listener
 * sees the engine at rest and may call anything on it. What a listener throws, or rejects with, is
 * dropped: nobody who looks can harm what is looked at.
 */
import type { ReplicaEvent, ReplicaEventOf, ReplicaEventType } from "./replica.ts";

type Listener = (event: ReplicaEvent) => unknown;

/** The listeners of one replica, and the events that they have not been told yet. */
export class Observers {
  readonly #byType = new Map<ReplicaEventType, Set<Listener>>();
  readonly #any = new Set<Listener>();
  #queue: ReplicaEvent[] = [];
  #delivering = false;

  /** Listens to one type of event; returns the way to stop. */
  on<T extends ReplicaEventType>(
    type: T,
    listener: (event: ReplicaEventOf<T>) => void,
  ): () => void {
    let listeners = this.#byType.get(type);
    if (listeners === undefined) this.#byType.set(type, (listeners = new Set()));
    return add(listeners, (event) => listener(event as ReplicaEventOf<T>));
  }

  /** Listens to everything; returns the way to stop. */
  onAny(listener: (event: ReplicaEvent) => void): () => void {
    return add(this.#any, (event) => listener(event));
  }

  /** Keeps an event for the next {@link deliver}; costs nothing where nobody listens. */
  emit(event: ReplicaEvent): void {
    if (this.#any.size === 0 && !this.#byType.has(event.type)) return;
    this.#queue.push(event);
  }

  /** Tells the listeners what was emitted, in order, what they cause meanwhile included. */
  deliver(): void {
    if (this.#queue.length === 0 || this.#delivering) return;
    this.#delivering = true;
    while (this.#queue.length > 0) {
      const events = this.#queue;
      this.#queue = [];
      for (const event of events) this.#tell(event);
    }
    this.#delivering = false;
  }

  #tell(event: ReplicaEvent): void {
    for (const listener of this.#byType.get(event.type) ?? []) call(listener, event);
    for (const listener of this.#any) call(listener, event);
  }
}

function add(listeners: Set<Listener>, listener: Listener): () => void {
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
  };
}

function call(listener: Listener, event: ReplicaEvent): void {
  try {
    const result = listener(event);
    // An async function passes for a listener; its rejection must not end the process.
    if (result instanceof Promise) result.catch(nothing);
  } catch {
    // Dropped by contract: see the top of this file.
  }
}

function nothing(): void {}
