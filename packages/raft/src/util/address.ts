/**
 * Network addresses as text: `host:port`, with an IPv6 host in brackets (`[::1]:9091`).
 *
 * A host is a DNS name, an IPv4 address or a bracketed IPv6 address. Whether it exists is found out
 * when it is dialed or bound; here only its form is judged, so that a typing mistake in an option
 * is told at once and by name.
 */
import { QuorateError } from "./error.ts";

/** The two halves of an address. An IPv6 host is without its brackets. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** What {@link parseAddress} says and allows. */
export interface ParseAddressOptions {
  /** How the error names the thing, e.g. `--listen`. Default: "address". */
  readonly name?: string;
  /** Smallest port allowed. Default 0, which lets the system choose when listening. */
  readonly portMin?: number;
}

const NAME = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_.])?$/;
const IPV6 = /^(?=[^:]*:[^:]*:)[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9._-]{1,15})?$/;
const PORT = /^[0-9]{1,5}$/;
const PORT_MAX = 65_535;

/**
 * Splits `host:port`; throws {@link QuorateError} with code OPTION_INVALID that says what is wrong.
 *
 * @example
 * ```ts
 * parseAddress("[::1]:9091"); // { host: "::1", port: 9091 }
 * ```
 */
export function parseAddress(text: string, options: ParseAddressOptions = {}): Address {
  const complain = (problem: string): QuorateError =>
    new QuorateError(
      "OPTION_INVALID",
      `${options.name ?? "address"} "${printable(text)}" ${problem}; ` +
        `want host:port, for example 127.0.0.1:9091 or [::1]:9091`,
    );
  const colon = text.lastIndexOf(":");
  if (colon < 0 || text.endsWith("]")) throw complain("has no port");
  const port = parsePort(text.slice(colon + 1), options.portMin ?? 0);
  if (typeof port === "string") throw complain(port);
  const host = text.slice(0, colon);
  if (host === "") throw complain("has no host");
  if (host.startsWith("[")) {
    const inner = host.slice(1, -1);
    if (!host.endsWith("]") || !IPV6.test(inner)) throw complain("has a malformed IPv6 host");
    return { host: inner, port };
  }
  if (host.includes(":")) throw complain("has an IPv6 host without brackets");
  if (!NAME.test(host)) throw complain("has a malformed host");
  return { host, port };
}

/** The text of an address: brackets around an IPv6 host. */
export function formatAddress(address: Address): string {
  const { host, port } = address;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function parsePort(text: string, portMin: number): number | string {
  if (text === "") return "has no port";
  if (!PORT.test(text)) return "has a port that is not a number";
  const port = Number(text);
  if (port > PORT_MAX) return `has a port above ${PORT_MAX}`;
  if (port < portMin) return `has a port below ${portMin}`;
  return port;
}

/** Foreign text in a message: short, and without control characters. */
function printable(text: string): string {
  const clean = text.replaceAll(/[^\x20-\x7e]/g, "?");
  return clean.length <= 80 ? clean : `${clean.slice(0, 77)}...`;
}
