/**
 * The way in.
 */
import { Caller } from "./caller.ts";
import type { ConnectOptions } from "./client-options.ts";
import { settingsOf } from "./client-options.ts";
import { HttpKvClient } from "./http-kv-client.ts";
import type { KvClient } from "./kv-client.ts";

/**
 * A client of the cluster whose members serve HTTP at these endpoints. Works on Node and in
 * browsers; there, a member takes writes only from pages of its own origin.
 *
 * @throws ClientError OPTION_INVALID.
 * @example
 * ```ts
 * import { connect } from "quorate-server/client";
 *
 * const kv = connect({ endpoints: ["http://10.0.0.1:10091", "http://10.0.0.2:10091"] });
 * await kv.put("greeting", "hello");
 * console.log((await kv.get("greeting"))?.text());
 * ```
 */
export function connect(options: ConnectOptions): KvClient {
  return new HttpKvClient(new Caller(settingsOf(options)));
}
