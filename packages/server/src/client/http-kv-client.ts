/**
 * The typed client over HTTP: each method as a request.
 *
 * Every write has a name (an idempotency key), drawn at random where the caller gives none, so that
 * it is carried out once however often it has to be sent.
 */
import type { ClientRequest, RawAnswer } from "./attempt.ts";
import type { Caller } from "./caller.ts";
import { ClientError, optionInvalid } from "./client-error.ts";
import type { ClientCallOptions } from "./client-options.ts";
import { originOf } from "./client-options.ts";
import { jsonIn } from "./json-answer.ts";
import type {
  ClientReadOptions,
  ClientWriteOptions,
  DeleteResult,
  KvClient,
  ListedKey,
  ListOptions,
  PutResult,
  SnapshotResult,
  SwapResult,
  UpdateOptions,
  WriteCondition,
} from "./kv-client.ts";
import type { ClientMembers } from "./members.ts";
import { HttpMembers } from "./members.ts";
import type { EndpointStatus, StatusPage } from "./status-page.ts";
import { bytesOf, fromBase64, itemOf } from "./values.ts";
import type { Item, Value } from "./values.ts";

/** Keys of one page; a page also ends before its keys and values take much more than a megabyte. */
const PAGE = 1_000;

interface Page {
  readonly items: readonly (ListedKey & { readonly valueBase64?: string })[];
  readonly next: string | null;
}

/** {@link KvClient} over HTTP. */
export class HttpKvClient implements KvClient {
  readonly members: ClientMembers;
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
    this.members = new HttpMembers(caller);
  }

  get endpoints(): readonly string[] {
    return this.#caller.endpoints;
  }

  async put(key: string, value: Value, options: ClientWriteOptions = {}): Promise<PutResult> {
    const request = { method: "PUT", body: bytesOf(value) } as const;
    return this.#write<PutResult>(key, request, options);
  }

  async get(key: string, options: ClientReadOptions = {}): Promise<Item | undefined> {
    const query = freshness(new URLSearchParams({ key }), options);
    const read = ({ headers, bytes }: RawAnswer): Item => itemOf(key, bytes, revisionIn(headers));
    try {
      return await this.#caller.call(readOf(`/kv?${query.toString()}`, options, read), options);
    } catch (error) {
      if (ClientError.is(error) && error.code === "KEY_NOT_FOUND") return undefined;
      throw error;
    }
  }

  async delete(key: string, options: ClientWriteOptions = {}): Promise<DeleteResult> {
    return this.#write<DeleteResult>(key, { method: "DELETE" }, options);
  }

  async compareAndSet(
    key: string,
    revision: number,
    value: Value,
    options: ClientCallOptions = {},
  ): Promise<SwapResult> {
    const condition = revision === 0 ? { ifAbsent: true } : { ifRevision: revision };
    try {
      const done = await this.put(key, value, { ...options, ...condition });
      return { swapped: true, revision: done.revision };
    } catch (error) {
      const failed = ClientError.is(error) && error.code === "PRECONDITION_FAILED";
      if (!failed || error.revision === undefined) throw error;
      return { swapped: false, revision: error.revision };
    }
  }

  async update(
    key: string,
    change: (item: Item | undefined) => Value | undefined,
    options: UpdateOptions = {},
  ): Promise<PutResult | undefined> {
    const deadlineMs = performance.now() + (options.timeoutMs ?? this.#caller.timeoutMs);
    for (;;) {
      const timeoutMs = deadlineMs - performance.now();
      if (timeoutMs < 1) {
        const fields = { outcome: "not-done", retryable: true } as const;
        throw new ClientError("TIMEOUT", "others changed the key again and again", fields);
      }
      const call = { signal: options.signal, timeoutMs };
      const item = await this.get(key, call);
      const value = change(item);
      if (value === undefined) return undefined;
      const revision = item?.revision ?? 0;
      const result = await this.compareAndSet(key, revision, value, call);
      if (result.swapped) return { key, revision: result.revision, created: revision === 0 };
    }
  }

  async *list(options: ListOptions = {}): AsyncIterable<ListedKey> {
    for await (const { key, revision, bytes } of this.#pages(options, false)) {
      yield { key, revision, bytes };
    }
  }

  async *items(options: ListOptions = {}): AsyncIterable<Item> {
    for await (const { key, revision, valueBase64 } of this.#pages(options, true)) {
      yield itemOf(key, fromBase64(valueBase64 ?? ""), revision);
    }
  }

  async status(
    options: ClientCallOptions & { readonly endpoint?: string } = {},
  ): Promise<StatusPage> {
    const only = options.endpoint === undefined ? undefined : originOf(options.endpoint);
    const request: ClientRequest<StatusPage> = {
      method: "GET",
      path: "/status",
      isBounded: false,
      repeat: "freely",
      read: (answer) => jsonIn(answer, ["cluster", "member", "members"]) as StatusPage,
    };
    return this.#caller.call(request, options, only);
  }

  statusOfAll(options: ClientCallOptions = {}): Promise<readonly EndpointStatus[]> {
    const one = async (endpoint: string): Promise<EndpointStatus> => {
      try {
        return { endpoint, status: await this.status({ ...options, endpoint }) };
      } catch (error) {
        return { endpoint, error: error as Error };
      }
    };
    return Promise.all(this.endpoints.map(one));
  }

  async transfer(to?: string, options: ClientCallOptions = {}): Promise<string> {
    const request: ClientRequest<string> = {
      method: "POST",
      path: `/leader/transfer${to === undefined ? "" : `?to=${encodeURIComponent(to)}`}`,
      isBounded: true,
      repeat: "never",
      read: (answer) => (jsonIn(answer, ["leader"]) as { leader: string }).leader,
    };
    return this.#caller.call(request, options);
  }

  async snapshot(
    options: ClientCallOptions & { readonly endpoint?: string } = {},
  ): Promise<SnapshotResult> {
    const only = options.endpoint === undefined ? undefined : originOf(options.endpoint);
    const request: ClientRequest<SnapshotResult> = {
      method: "POST",
      path: "/snapshot",
      isBounded: true,
      // Taking the same one again costs nothing.
      repeat: "freely",
      read: (answer) => jsonIn(answer, ["index", "term", "bytes"]) as SnapshotResult,
    };
    return this.#caller.call(request, options, only);
  }

  close(): void {
    this.#caller.close();
  }

  #write<T extends PutResult | DeleteResult>(
    key: string,
    what: Pick<ClientRequest<T>, "method" | "body">,
    options: ClientWriteOptions,
  ): Promise<T> {
    const name = options.idempotencyKey ?? randomName();
    if (!/^[!-~]{1,255}$/.test(name)) {
      throw optionInvalid("idempotencyKey must be 1 to 255 visible characters of ASCII");
    }
    const request: ClientRequest<T> = {
      ...what,
      path: `/kv?${new URLSearchParams({ key }).toString()}`,
      headers: { "idempotency-key": name, ...conditionOf(options) },
      isBounded: true,
      repeat: "by-name",
      read: (answer) => jsonIn(answer, ["revision"]) as T,
    };
    return this.#caller.call(request, options);
  }

  async *#pages(options: ListOptions, withValues: boolean): AsyncGenerator<Page["items"][number]> {
    let { after, limit: left = Number.POSITIVE_INFINITY } = options;
    while (left > 0) {
      const prefix = options.prefix ?? "";
      const query = new URLSearchParams({ prefix, limit: String(Math.min(left, PAGE)) });
      if (after !== undefined) query.set("after", after);
      if (withValues) query.set("values", "true");
      freshness(query, options);
      const read = (answer: RawAnswer): Page => jsonIn(answer, ["items", "next"]) as Page;
      const page = await this.#caller.call(
        readOf(`/kv?${query.toString()}`, options, read),
        options,
      );
      yield* page.items;
      left -= page.items.length;
      if (page.next === null) return;
      after = page.next;
    }
  }
}

function readOf<T>(
  path: string,
  { consistency }: ClientReadOptions,
  read: ClientRequest<T>["read"],
): ClientRequest<T> {
  // A local read never waits, and its route takes no deadline that would say nothing.
  const isBounded = consistency !== "local";
  return { method: "GET", path, isBounded, repeat: "freely", read };
}

function freshness(query: URLSearchParams, options: ClientReadOptions): URLSearchParams {
  const { consistency, maxStalenessMs } = options;
  if (consistency !== undefined) query.set("consistency", consistency);
  if (maxStalenessMs !== undefined) query.set("maxStalenessMs", String(maxStalenessMs));
  return query;
}

function conditionOf(condition: WriteCondition): Record<string, string> {
  const { ifRevision, ifAbsent = false, ifPresent = false } = condition;
  if ([ifRevision !== undefined, ifAbsent, ifPresent].filter(Boolean).length > 1) {
    throw optionInvalid("ifRevision, ifAbsent and ifPresent exclude each other");
  }
  if (ifAbsent) return { "if-none-match": "*" };
  if (ifPresent) return { "if-match": "*" };
  if (ifRevision === undefined) return {};
  if (Number.isSafeInteger(ifRevision) && ifRevision >= 1) return { "if-match": `"${ifRevision}"` };
  throw optionInvalid(`a revision is a whole number from 1 on, not ${String(ifRevision)}`);
}

function revisionIn(headers: Headers): number {
  const revision = Number(headers.get("x-quorate-revision"));
  if (Number.isSafeInteger(revision) && revision > 0) return revision;
  throw new TypeError("no revision");
}

/** 128 bits: nobody draws the same twice. */
function randomName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
