/**
 * What a recipe needs of a replica: to write and to read. A whole {@link Replica} is one, and so is
 * a part of a composed one (compose.ts).
 */
import type { CallOptions, ReadOptions, ResultOf } from "../index.ts";

/** Where the commands and queries of a recipe go. */
export interface Access<Command, Query> {
  write<C extends Command>(command: C, options?: CallOptions): Promise<ResultOf<C, Command>>;
  read<Q extends Query>(query: Q, options?: ReadOptions): Promise<ResultOf<Q, Query>>;
}
