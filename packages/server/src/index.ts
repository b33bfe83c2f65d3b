/**
 * The key-value server as a library: the state machine, to be replicated within another program,
 * and a whole member, as `quorate start` runs it.
 */
export { memberConfig } from "./config/member-config.ts";
export type { ConfigSources, MemberConfig } from "./config/member-config.ts";
export type { OptionValues } from "./config/options.ts";
export { startMember } from "./member.ts";
export type { MemberListener, RunningMember } from "./member.ts";
export { CommandFormatError, kvCodec } from "./store/command-codec.ts";
export { NO_CONDITION } from "./store/command.ts";
export type {
  Condition,
  Conflict,
  DeleteCommand,
  DeleteDone,
  GetQuery,
  Item,
  KeyedItem,
  KvCommand,
  KvQuery,
  ListQuery,
  NameRefused,
  Outcome,
  Page,
  PutCommand,
  PutDone,
  RequestName,
  StoreSize,
} from "./store/command.ts";
export { keyFromText, keyToText } from "./store/key.ts";
export type { Key } from "./store/key.ts";
export { KvMachine } from "./store/kv-machine.ts";
export { KvStoreMachine } from "./store/kv-store-machine.ts";
export { OUTCOME_LIMITS } from "./store/outcomes.ts";
export { nameRequest } from "./store/request-name.ts";
