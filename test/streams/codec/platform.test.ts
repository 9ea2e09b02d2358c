import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { readFileSync } from "node:fs"
import type { Platform } from "../../../src/services/Descriptor.ts"
import {
  dedupePlatforms,
  formatPlatform,
  matchesPlatform,
  normalizePlatform,
  parsePlatform
} from "../../../src/streams/codec/platform.ts"

interface Tables {
  readonly parse: ReadonlyArray<{
    readonly input: string
    readonly error?: string
    readonly parsed?: Platform
    readonly format?: string
    readonly normalized?: Platform
    readonly formatNormalized?: string
  }>
  readonly match: ReadonlyArray<{
    readonly matcher: Platform
    readonly candidate: Platform
    readonly onlyStrictMatches: boolean
  }>
  readonly dedupe: ReadonlyArray<{ readonly input: ReadonlyArray<string>; readonly output: ReadonlyArray<string> }>
}

const tables: Tables = JSON.parse(readFileSync(new URL("../../vectors/index/platforms.json", import.meta.url), "utf8"))
const host: Platform = { os: "linux", architecture: "amd64" }

const windows = (version: string): Platform => ({ os: "windows", architecture: "amd64", "os.version": version })

const runs = (on: string, container: string) => matchesPlatform(windows(on), windows(container), host)

describe("platforms", () => {
  for (const { input, error, parsed, format, normalized, formatNormalized } of tables.parse) {
    it(`reads "${input}" as the reference does`, () => {
      const platform = Result.getOrUndefined(parsePlatform(input, host))
      assert.deepStrictEqual(platform, parsed)
      assert.strictEqual(platform === undefined, error !== undefined)
      if (platform === undefined) return
      assert.strictEqual(formatPlatform(platform), format)
      assert.deepStrictEqual(normalizePlatform(platform, host), normalized)
      assert.strictEqual(formatPlatform(normalizePlatform(platform, host)), formatNormalized)
    })
  }

  for (const { matcher, candidate, onlyStrictMatches } of tables.match) {
    it(`${JSON.stringify(candidate)} ${onlyStrictMatches ? "is" : "is not"} ${JSON.stringify(matcher)}`, () => {
      assert.strictEqual(matchesPlatform(matcher, candidate, host), onlyStrictMatches)
    })
  }

  for (const { input, output } of tables.dedupe) {
    it(`keeps of ${input.join(", ")} what differs`, () => {
      const platforms = input.map((text) => Result.getOrThrow(parsePlatform(text, host)))
      assert.deepStrictEqual(dedupePlatforms(platforms, host).map(formatPlatform), output)
    })
  }

  it("lets a newer Windows host run the containers of its long-supported release only", () => {
    assert.isTrue(runs("10.0.20348.1", "10.0.20348.9"))
    assert.isTrue(runs("10.0.22621.1", "10.0.20348.9"))
    assert.isFalse(runs("10.0.20348.1", "10.0.17763.9"))
    assert.isFalse(runs("10.0.17763.1", "10.0.14393.9"))
    assert.isFalse(runs("10.0.26100.1", "10.0.20348.1"))
  })
})
