/** The floor as a system: the first member leads, the other two follow. */
import { join } from "node:path";
import { FloorFile } from "./floor-file.ts";
import { FloorFollower } from "./floor-follower.ts";
import { FloorLeader } from "./floor-leader.ts";
import type { Apply } from "./floor-leader.ts";
import type { MemberSetup, Opened, Readiness } from "./protocol.ts";
import type { System } from "./system.ts";
import { ValueMap } from "./value-map.ts";

const FILE_BYTES = 67_108_864; // 64 MiB

export class FloorSystem implements System {
  readonly #apply: Apply | undefined;
  #leader: FloorLeader | undefined;
  #follower: FloorFollower | undefined;

  constructor(keepsMap: boolean) {
    if (keepsMap) this.#apply = new ValueMap().apply;
  }

  async open(setup: MemberSetup): Promise<Opened> {
    const file = new FloorFile(join(setup.directory, `${setup.id}.log`), FILE_BYTES);
    if (setup.leaderPort !== undefined) {
      this.#follower = new FloorFollower(file, setup.leaderPort, this.#apply);
      return { port: 0 };
    }
    this.#leader = new FloorLeader(file, this.#apply);
    return { port: await this.#leader.listen() };
  }

  ready(): Readiness {
    return { leads: this.#leader?.followers === 2, term: 0 };
  }

  submit(value: Uint8Array): Promise<void> {
    if (this.#leader === undefined) throw new Error("a follower takes no load");
    return this.#leader.submit(value);
  }

  logWrites(): number | undefined {
    return undefined;
  }

  async close(): Promise<void> {
    this.#leader?.close();
    this.#follower?.close();
  }
}
