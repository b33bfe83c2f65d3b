/**
 * The simulator's key-value machine (kv-machine.ts) on a store: the same commands, the same
 * answers, but what it knows is on the disk of its member.
 */
import type { Applied } from "../../machine/state-machine.ts";
import { textKey } from "../../store/keys.ts";
import type { StoreMachine, StoreReader, StoreWriter } from "../../store/store-machine.ts";
import { fromUtf8, utf8 } from "../../util/bytes.ts";
import type { KvCommand, KvFound, KvQuery, KvWritten } from "./kv-machine.ts";
import { valueAfter } from "./kv-machine.ts";

const NOTHING: KvFound = { value: null, revision: 0 };

/** See above. */
export class KvStoreMachine implements StoreMachine<KvCommand, KvQuery> {
  apply(command: KvCommand, store: StoreWriter, at: Pick<Applied, "index">): KvWritten {
    const { value, revision } = found(store, command.key);
    const after = valueAfter(value, command);
    const ok = after !== undefined;
    if (ok) {
      store.put(textKey(command.key), utf8(JSON.stringify({ value: after, revision: at.index })));
    }
    return { ok, index: at.index, value, revision };
  }

  query({ key }: KvQuery, store: StoreReader): KvFound {
    return found(store, key);
  }
}

function found(store: StoreReader, key: string): KvFound {
  const bytes = store.get(textKey(key));
  return bytes === undefined ? NOTHING : (JSON.parse(fromUtf8(bytes)) as KvFound);
}
