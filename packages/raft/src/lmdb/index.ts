/**
 * What `quorate/lmdb` offers: state machines on LMDB. It needs the package `lmdb`, which a program
 * that uses this has to depend on; `quorate` itself does not bring it.
 */
export { lmdbBackend, onLmdb } from "./node-lmdb-backend.ts";
export type { LmdbOptions } from "./node-lmdb-backend.ts";
