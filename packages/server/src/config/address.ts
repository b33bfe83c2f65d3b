/**
 * Addresses as text: `host:port`, an IPv6 host in brackets. Only the form is judged here.
 */

/** A host, without brackets, and a port. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

const FORM = /^(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([^\s:[\]/@]+)):(\d{1,5})$/;

/** Both parts, or a phrase that says what is wrong. */
export function splitAddress(text: string): HostPort | string {
  const match = FORM.exec(text);
  const port = Number(match?.[3]);
  if (match !== null && port <= 65_535) return { host: match[1] ?? match[2]!, port };
  if (match !== null) return "has a port above 65535; want host:port";
  if (/^[a-z]+:\/\//.test(text)) return "is a URL; want host:port without a scheme";
  return /:\d+$/.test(text)
    ? "has a malformed host; want host:port, an IPv6 host in brackets"
    : "has no port; want host:port";
}

/** The text of an address. */
export function joinAddress({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only processes on this machine can reach that host. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  return (
    name === "localhost" ||
    name === "::1" ||
    /^127(\.\d{1,3}){3}$/.test(name) ||
    /^(0{1,4}:){7}0{0,3}1$/.test(name)
  );
}
