/** The floor as a system: the first member leads, the other two follow. */
import { join } from "node:path";
import { FloorFile } from "./floor-file.ts";
import { FloorFollower } from "./floor-follower.ts";
import { FloorLeader } from "./floor-leader.ts";
import type { MemberSetup, Opened, Readiness } from "./protocol.ts";
import type { System } from "./system.ts";

const FILE_BYTES = 67_108_864; // 64 MiB

export class FloorSystem implements System {
  #leader: FloorLeader | undefined;
  #follower: FloorFollower | undefined;

  async open(setup: MemberSetup): Promise<Opened> {
    const file = new FloorFile(join(setup.directory, `${setup.id}.log`), FILE_BYTES);
    if (setup.leaderPort !== undefined) {
      this.#follower = new FloorFollower(file, setup.leaderPort);
      return { port: 0 };
    }
    this.#leader = new FloorLeader(file);
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
