/**
 * The version of this package, from its package.json, which lies one folder above both the sources
 * and the built files.
 */
import { readFileSync } from "node:fs";

/** Such as "1.2.3". */
export const VERSION: string = readVersion();

function readVersion(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
