/**
 * A word to those who run a version of Node that gets no more fixes.
 */

/** The oldest version that still gets security fixes. */
const SUPPORTED_MAJOR = 22;

/** A sentence for versions that get no more security fixes; undefined for others. */
export function nodeNotice(version: string): string | undefined {
  const major = Number(version.split(".", 1)[0]);
  if (major >= SUPPORTED_MAJOR) return undefined;
  const remedy = `Node ${SUPPORTED_MAJOR} or later is recommended`;
  return `Node ${major} no longer gets security fixes; ${remedy}.`;
}
