/**
 * From flags, environment and file to the configuration of a member. A flag wins over a variable, a
 * variable over the file, the file over the default. Whatever is wrong is told by name and by where
 * it was said, before anything is opened.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { QuorateError } from "quorate";
import type { StartOptions, StaticMember } from "quorate";
import { COMMAND_HEADER_BYTES_MAX } from "../store/command-codec.ts";
import { isLoopback, joinAddress, splitAddress } from "./address.ts";
import type { HostPort } from "./address.ts";
import { flagOf, OPTION_ROWS, variableOf } from "./options.ts";
import type { OptionName, OptionValues } from "./options.ts";
import { checkOption } from "./schema.ts";

/** Everything that a member needs to know before it starts. */
export interface MemberConfig extends OptionValues {
  readonly id: string;
  readonly data: string;
  readonly http: string;
  readonly heartbeatIntervalMs: number;
  /** How an empty directory begins; undefined: it must not be empty. */
  readonly start: StartOptions | undefined;
  /** The addresses beyond this machine that it listens on. */
  readonly exposed: readonly string[];
}

/** Where options come from. */
export interface ConfigSources {
  /** By option name; as commander read them. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The variable that names a configuration file, as `--config` does. */
export const CONFIG_VARIABLE = "QUORATE_CONFIG";

/** How far HTTP is from the peers' port where nothing else is said. */
export const HTTP_PORT_OFFSET = 1_000;

/** The complete configuration; throws OPTION_INVALID. */
export function memberConfig(sources: ConfigSources): MemberConfig {
  const values = optionValues(sources);
  const id = values.id ?? values.advertise ?? values.listen;
  const http = values.http ?? defaultHttp(values.listen);
  const heartbeatIntervalMs =
    values.heartbeatIntervalMs ?? Math.max(1, Math.floor(values.electionTimeoutMs / 10));
  const config: MemberConfig = {
    ...values,
    id,
    http,
    heartbeatIntervalMs,
    data: values.data ?? join("data", id.replace(/[^A-Za-z0-9._-]/g, "_")),
    start: startOf(values, id),
    exposed: [values.listen, http].filter((address) => !isLoopback(hostPortOf(address).host)),
  };
  checkTogether(config);
  return config;
}

/** Host and port of an address that was checked before. */
export function hostPortOf(address: string): HostPort {
  const split = splitAddress(address);
  if (typeof split === "string") throw invalid(`the address ${JSON.stringify(address)} ${split}`);
  return split;
}

function optionValues({ flags, env }: ConfigSources): OptionValues {
  const file = fileValues(flags["config"] ?? env[CONFIG_VARIABLE]);
  const values: Record<string, unknown> = {};
  for (const [name, row] of OPTION_ROWS) {
    const variable = variableOf(name);
    if (flags[name] !== undefined) values[name] = checked(name, flags[name], flagOf(name));
    else if ((env[variable] ?? "") !== "") values[name] = checked(name, env[variable], variable);
    else if (file?.values[name] !== undefined) {
      values[name] = checked(name, file.values[name], `"${name}" in ${file.path}`);
    } else values[name] = row.default;
  }
  return values as OptionValues;
}

function checked(name: OptionName, value: unknown, said: string): unknown {
  const result = checkOption(name, value);
  if (result.ok) return result.value;
  const shown = JSON.stringify(value) ?? String(value);
  throw invalid(`${said} ${shown.length > 200 ? "" : `${shown} `}${result.problem}`);
}

function fileValues(
  path: unknown,
): { readonly path: string; readonly values: Record<string, unknown> } | undefined {
  if (typeof path !== "string" || path === "") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new QuorateError("OPTION_INVALID", `cannot read configuration ${path}: ${reason}`, {
      cause,
    });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid(`configuration ${path} must be one JSON object of options`);
  }
  for (const key of Object.keys(value)) {
    if (OPTION_ROWS.has(key as OptionName)) continue;
    throw invalid(`unknown option "${key}" in ${path}${suggestion(key)}`);
  }
  return { path, values: { ...value } };
}

/** The option whose name has the most letters of a mistyped one, in order. */
function suggestion(key: string): string {
  const plain = key.toLowerCase().replace(/[-_]/g, "");
  let best: { readonly name: string; readonly distance: number } | undefined;
  for (const name of OPTION_ROWS.keys()) {
    const distance = editDistance(plain, name.toLowerCase());
    if (best === undefined || distance < best.distance) best = { name, distance };
  }
  if (best === undefined || best.distance > Math.max(2, key.length / 3)) {
    return `; known are ${[...OPTION_ROWS.keys()].join(", ")}`;
  }
  return `; did you mean "${best.name}"?`;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(change, previous[j]! + 1, row[j - 1]! + 1));
    }
    previous = row;
  }
  return previous[b.length]!;
}

function defaultHttp(listen: string): string {
  const { host, port } = hostPortOf(listen);
  if (port === 0) return joinAddress({ host, port: 0 });
  if (port + HTTP_PORT_OFFSET <= 65_535)
    return joinAddress({ host, port: port + HTTP_PORT_OFFSET });
  throw invalid(`there is no port ${port} + ${HTTP_PORT_OFFSET} for HTTP: say --http host:port`);
}

/** How an empty directory begins: one way at the most. */
function startOf(values: OptionValues, id: string): StartOptions | undefined {
  const { bootstrap, contacts, join, joinAs, joinTimeoutMs, members, wait } = values;
  const ways = [
    ...(members === undefined ? [] : ["--members"]),
    ...(bootstrap ? ["--bootstrap"] : []),
    ...(join === undefined ? [] : ["--join"]),
    ...(wait ? ["--wait"] : []),
  ];
  if (ways.length > 1) {
    throw invalid(
      `${ways.join(" and ")} exclude each other: a new cluster of one (--bootstrap) or of several ` +
        "(--members), or a place in one that exists (--join, --wait)",
    );
  }
  if (contacts !== undefined && !bootstrap) {
    throw invalid("--contacts goes with --bootstrap: to ask members to be taken, say --join");
  }
  if (bootstrap) {
    return contacts === undefined
      ? { bootstrap: true }
      : { bootstrap: true, contacts: contacts.split(",") };
  }
  if (wait) return { wait: true };
  if (join !== undefined) {
    const as = joinAs === "learner" ? "learner" : "voter";
    return { join: join.split(","), as, timeoutMs: joinTimeoutMs };
  }
  return members === undefined ? undefined : { members: listedMembers(members, id) };
}

function listedMembers(list: string, id: string): StaticMember[] {
  const members: StaticMember[] = list.split(",").map((item) => {
    const equals = item.indexOf("=");
    return { id: item.slice(0, equals), address: item.slice(equals + 1) };
  });
  if (!members.some((member) => member.id === id)) {
    const ids = members.map((member) => member.id).join(", ");
    throw invalid(
      `--members lists ${ids}, but not this member, ${id}: add it, or say who it is by --id`,
    );
  }
  return members;
}

function checkTogether(config: MemberConfig): void {
  const { exposed, electionTimeoutMs, heartbeatIntervalMs, segmentBytes } = config;
  if (heartbeatIntervalMs > electionTimeoutMs / 4) {
    const most = Math.floor(electionTimeoutMs / 4);
    throw invalid(
      `--heartbeat-interval ${heartbeatIntervalMs} must be at most a quarter of ` +
        `--election-timeout ${electionTimeoutMs}: ${most}`,
    );
  }
  if (commandBytesMax(config) > segmentBytes / 4) {
    const least = 4 * commandBytesMax(config);
    throw invalid(
      `--value-bytes-max ${config.valueBytesMax} needs --segment-bytes of at least ${least}`,
    );
  }
  if (exposed.length > 0 && !config.insecure) {
    throw invalid(
      `${exposed.join(" and ")} can be reached from other machines and nothing is authenticated or ` +
        "encrypted yet: listen on 127.0.0.1, or accept that with --insecure",
    );
  }
}

/** The longest header of a command, the longest key and the largest value. */
export function commandBytesMax(config: OptionValues): number {
  return COMMAND_HEADER_BYTES_MAX + config.keyBytesMax + config.valueBytesMax;
}

function invalid(message: string): QuorateError {
  return new QuorateError("OPTION_INVALID", message);
}
