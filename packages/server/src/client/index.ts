/**
 * `quorate-server/client`: a typed client of the HTTP interface, for Node and for browsers.
 */
export { connect } from "./connect.ts";
export type {
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
export type { ClientCallOptions, ConnectOptions } from "./client-options.ts";
export { ClientError } from "./client-error.ts";
export type { ClientErrorCode, ClientErrorFields } from "./client-error.ts";
export type {
  ChangeOptions,
  ClientMembers,
  ClusterChange,
  ClusterMember,
  ClusterMembers,
  ClusterPlan,
  ClusterRole,
  ClusterStanding,
  NewClusterMember,
  PlannedChange,
  WantedClusterMember,
} from "./members.ts";
export type { EndpointStatus, ListedMember, StatusPage } from "./status-page.ts";
export type { Item, Value } from "./values.ts";
