import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { ERROR_CODES } from "quorate";
import { expect, test } from "vitest";
import { HTTP_ERROR_CODES, rowOf } from "./http-error.ts";

const PAGE = resolve(import.meta.dirname, "../../../../docs/reference/http.md");

test("docs/reference/http.md lists every code of the server as the table has it", () => {
  const page = readFileSync(PAGE, "utf8");
  for (const [code, row] of Object.entries(HTTP_ERROR_CODES)) {
    const cells = [`\`${code}\``, row.outcome, row.httpStatus, row.exitCode, row.text];
    expect(page).toContain(`| ${cells.join(" | ")} |`);
  }
});

test("the server's codes and the library's are different ones, and all are found", () => {
  for (const code of Object.keys(HTTP_ERROR_CODES)) expect(ERROR_CODES).not.toHaveProperty(code);
  expect(rowOf("NO_LEADER")?.exitCode).toBe(4);
  expect(rowOf("KEY_NOT_FOUND")?.exitCode).toBe(3);
  for (const code of ["toString", "__proto__", "NOTHING"]) expect(rowOf(code)).toBeUndefined();
});
