import { describe, expect, test } from "vitest";
import { SimDisk } from "../disk/sim-disk.ts";
import { crc32 } from "../util/checksum.ts";
import { SeededRandom } from "../util/random.ts";
import { backendSuite } from "./backend-suite.ts";
import { FileBackend } from "./file-backend.ts";

function on(disk: SimDisk): FileBackend {
  return new FileBackend({ disk, directory: "/d", checksum: crc32 });
}

describe("a backend over the disk port", () => {
  const cases = backendSuite(async () => {
    const disk = new SimDisk();
    return () => on(disk);
  });
  for (const one of cases) test(one.name, () => one.run());

  test("a death at any operation leaves every commit whole or absent, and finished ones there", async () => {
    for (const how of ["crash", "kill"] as const) {
      for (let at = 1; at < 60; at++) {
        const random = new SeededRandom(at);
        const disk = new SimDisk({ random });
        let next: SimDisk | undefined;
        let finished = -1;
        disk.dieWhen(
          ({ n }) => n === at,
          random,
          how,
          () => (next = disk.successor),
        );
        const life = async (): Promise<void> => {
          const backend = on(disk);
          await backend.open();
          for (let i = 0; i < 12; i++) {
            if (i === 6) {
              const replacement = await backend.replace();
              await replacement.put([
                ["a", Uint8Array.of(i)],
                ["b", Uint8Array.of(i)],
              ]);
              await replacement.take();
            } else {
              await backend.commit([
                ["a", Uint8Array.of(i)],
                ["b", Uint8Array.of(i)],
              ]);
            }
            finished = i;
          }
        };
        const ended = await Promise.race([
          life().then(
            () => "whole",
            () => "died",
          ),
          new Promise((resolve) => setTimeout(resolve, 30, "silent")),
        ]);
        if (ended === "whole") continue;
        const again = on(next ?? disk.successor!);
        await again.open();
        const [a, b] = [again.get("a")?.[0] ?? -1, again.get("b")?.[0] ?? -1];
        expect(a).toBe(b);
        expect([finished, finished + 1]).toContain(a);
      }
    }
  });
});
