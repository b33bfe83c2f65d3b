import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatAddress, parseAddress } from "./address.ts";
import { QuorateError } from "./error.ts";

describe("parseAddress", () => {
  test("splits names, IPv4 and bracketed IPv6 hosts", () => {
    expect(parseAddress("localhost:9091")).toEqual({ host: "localhost", port: 9091 });
    expect(parseAddress("db-1.example.com.:1")).toEqual({ host: "db-1.example.com.", port: 1 });
    expect(parseAddress("0.0.0.0:0")).toEqual({ host: "0.0.0.0", port: 0 });
    expect(parseAddress("[::1]:65535")).toEqual({ host: "::1", port: 65_535 });
    expect(parseAddress("[fe80::1%eth0]:9091")).toEqual({ host: "fe80::1%eth0", port: 9091 });
  });

  test.each([
    ["", "has no port"],
    ["localhost", "has no port"],
    ["[::1]", "has no port"],
    ["localhost:", "has no port"],
    [":9091", "has no host"],
    ["::1:9091", "IPv6 host without brackets"],
    ["[::1:9091", "malformed IPv6 host"],
    ["[]:9091", "malformed IPv6 host"],
    ["[12]:9091", "malformed IPv6 host"],
    ["a b:9091", "malformed host"],
    ["http://x:9091", "IPv6 host without brackets"],
    ["x:65536", "port above 65535"],
    ["x:-1", "port that is not a number"],
    ["x:1e3", "port that is not a number"],
    ["x: 1", "port that is not a number"],
  ])("refuses %j and says why", (text, problem) => {
    expect(() => parseAddress(text)).toThrow(problem);
  });

  test("names the option, quotes the text harmlessly and carries the code", () => {
    try {
      parseAddress("bad\u0007\nhost", { name: "--listen" });
      expect.unreachable();
    } catch (error) {
      expect(QuorateError.is(error) && error.code).toBe("OPTION_INVALID");
      expect((error as Error).message).toContain(
        '--listen "bad??host" has no port; want host:port',
      );
    }
  });

  test("can require a real port", () => {
    expect(() => parseAddress("x:0", { portMin: 1 })).toThrow("port below 1");
  });

  test("formatting and parsing are inverse", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6()),
        fc.integer({ min: 0, max: 65_535 }),
        (host, port) => {
          expect(parseAddress(formatAddress({ host, port }))).toEqual({ host, port });
        },
      ),
    );
  });

  test("never throws anything but OPTION_INVALID, whatever the text", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          parseAddress(text);
        } catch (error) {
          expect(QuorateError.is(error) && error.code).toBe("OPTION_INVALID");
        }
      }),
    );
  });
});
