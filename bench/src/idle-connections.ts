/** Connections to a member that asked once and then say nothing. */
import { connect } from "node:net";
import type { Socket } from "node:net";

const REQUEST = "GET /health HTTP/1.1\r\nHost: bench\r\n\r\n";
/** So many are opened at a time: a listener has a short queue. */
const AT_A_TIME = 100;

export class IdleConnections {
  readonly #sockets: Socket[] = [];

  /** How many are still open. */
  get left(): number {
    return this.#sockets.filter((socket) => !socket.destroyed && socket.readable).length;
  }

  async open(port: number, count: number): Promise<void> {
    for (let opened = 0; opened < count; opened += AT_A_TIME) {
      const some = Math.min(AT_A_TIME, count - opened);
      await Promise.all(Array.from({ length: some }, () => this.#open(port)));
    }
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #open(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1" }, () => socket.write(REQUEST));
      this.#sockets.push(socket);
      socket.once("data", () => resolve());
      socket.on("error", reject); // once it resolved, an error is a connection that is not left
      socket.resume();
    });
  }
}
