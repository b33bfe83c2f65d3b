/** The library as a system: three replicas of the cheapest state machine there is, or of a Map. */
import { bytesViewCodec, openReplica } from "quorate";
import type { Replica, StateMachine } from "quorate";
import { join } from "node:path";
import type { MemberSetup, Opened, Readiness } from "./protocol.ts";
import type { System } from "./system.ts";
import { ValueMap } from "./value-map.ts";

/** Counts what it is given: the cost measured is that of replication, not of a machine. */
class ByteCounter implements StateMachine<Uint8Array, "total"> {
  #commands = 0;
  #bytes = 0;

  apply(command: Uint8Array): number {
    this.#bytes += command.length;
    return ++this.#commands;
  }

  query(): number {
    return this.#commands;
  }

  snapshot(): unknown {
    return [this.#commands, this.#bytes];
  }

  restore(): Promise<void> {
    return restoresNothing();
  }
}

/** Keeps what it is given, as the floor does that it is compared with. */
class MapMachine implements StateMachine<Uint8Array, "total"> {
  readonly #map = new ValueMap();
  readonly apply: (command: Uint8Array) => number = this.#map.apply;

  query(): number {
    return this.#map.size;
  }

  snapshot(): unknown {
    return [this.#map.size]; // nobody restores it: the bench measures no snapshots here
  }

  restore(): Promise<void> {
    return restoresNothing();
  }
}

async function restoresNothing(): Promise<void> {
  throw new Error("the bench starts from nothing and restores nothing");
}

export class QuorateSystem implements System {
  readonly #keepsMap: boolean;
  #replica: Replica<Uint8Array, "total"> | undefined;

  constructor(keepsMap: boolean) {
    this.#keepsMap = keepsMap;
  }

  async open(setup: MemberSetup): Promise<Opened> {
    const own = setup.members.find((member) => member.id === setup.id);
    if (own === undefined) throw new Error(`${setup.id} is not on the list`);
    this.#replica = await openReplica<Uint8Array, "total">({
      id: setup.id,
      listen: own.address,
      dataDir: join(setup.directory, setup.id),
      machine: this.#keepsMap ? new MapMachine() : new ByteCounter(),
      // Nothing is copied, as in the floor: the load does not change what it has written.
      codec: bytesViewCodec,
      start: { members: setup.members },
    });
    return { port: 0 };
  }

  ready(): Readiness {
    const status = this.#open().status();
    return { leads: status.isLeader, term: status.term };
  }

  submit(value: Uint8Array): Promise<unknown> {
    return this.#open().write(value);
  }

  logWrites(): number | undefined {
    return this.#open().status().log.writes;
  }

  async close(): Promise<void> {
    await this.#replica?.close();
  }

  #open(): Replica<Uint8Array, "total"> {
    if (this.#replica === undefined) throw new Error("not open");
    return this.#replica;
  }
}
