/**
 * What a member says of itself under `/status`, as far as programs are likely to want it. The page
 * has more; docs/reference/http.md describes all of it.
 */

import type { ClusterChange } from "./members.ts";

/** A member of the cluster, as another member lists it. */
export interface ListedMember {
  readonly id: string;
  /** Where the other members reach it. */
  readonly address: string;
  readonly incarnation: string;
  readonly role: string;
}

/** The parts of `/status`. */
export interface StatusPage {
  readonly cluster: { readonly term: number; readonly state: string };
  readonly log: { readonly length: number; readonly commitIndex: number };
  readonly member: {
    readonly id: string;
    readonly address: string;
    /** `host:port` of its HTTP face. */
    readonly http: string;
    readonly clusterId: string | null;
    readonly state: string;
    readonly role: string;
    /** It leads, and has committed in its term. */
    readonly isLeader: boolean;
    readonly version: string;
    readonly uptime: string;
  };
  readonly leader: { readonly id: string; readonly address: string | null } | null;
  readonly members: readonly ListedMember[];
  /** Which version of the members is in force, and what change is under way. */
  readonly membership: {
    readonly version: number;
    readonly quorum: number;
    readonly tolerates: number;
    readonly change: ClusterChange | null;
  };
  /** Version of the state machine: the one in force, and the newest that this member knows. */
  readonly machine: { readonly version: number; readonly known: number };
  /** The newest snapshot; zeros where there is none. */
  readonly snapshot: { readonly index: number; readonly term: number; readonly bytes: number };
  /** Index of the last applied entry. */
  readonly applied: number;
  readonly store: { readonly keys: number; readonly bytes: number };
}

/** What one endpoint came to. */
export type EndpointStatus =
  | { readonly endpoint: string; readonly status: StatusPage }
  | { readonly endpoint: string; readonly error: Error };
