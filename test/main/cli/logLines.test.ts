import { assert, describe, it } from "@effect/vitest"
import { Cause } from "effect"
import { logLine } from "../../../src/main/cli/logLines.ts"

const entry = {
  date: new Date(Date.UTC(2026, 10, 21, 7, 28, 49, 123)),
  level: "Warn",
  message: ['the "index" is gone'],
  cause: Cause.empty,
  annotations: {}
} as const

describe("logLine", () => {
  it("is written as the reference writes it", () =>
    assert.strictEqual(
      logLine(entry),
      String.raw`time="2026-11-21T07:28:49Z" level=warning msg="the \"index\" is gone"`
    ))

  it("carries what the log was annotated with, and the cause", () => {
    const line = logLine({ ...entry, annotations: { layer: "sha256:1" }, cause: Cause.fail("disk full") })
    assert.match(line, / layer="sha256:1" error=".*disk full.*"$/)
  })

  it("stays one line whatever the message", () =>
    assert.notInclude(logLine({ ...entry, message: "a\nb\u001b[2J" }), "\n"))

  it("names the levels as the reference does", () => {
    assert.include(logLine({ ...entry, level: "Debug" }), "level=debug")
    assert.include(logLine({ ...entry, level: "Error" }), "level=error")
  })
})
