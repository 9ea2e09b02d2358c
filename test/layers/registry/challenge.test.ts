import { assert, describe, it } from "@effect/vitest"
import { parseChallenge } from "../../../src/layers/registry/challenge.ts"

const bearer = { scheme: "bearer", realm: "https://auth.test/token", service: undefined, scope: undefined } as const

describe("challenges", () => {
  for (const [header, expected] of [
    [
      'Bearer realm="https://auth.test/token",service="registry",scope="repository:a/b:pull,push"',
      { ...bearer, service: "registry", scope: "repository:a/b:pull,push" }
    ],
    ["bearer realm=https://auth.test/token", bearer],
    ['BEARER  service = "a \\"b\\"" , realm = "https://auth.test/token"', { ...bearer, service: 'a "b"' }],
    ['Basic realm="x"', { scheme: "basic" }],
    ["basic", { scheme: "basic" }],
    ['Basic realm="x", Bearer realm="https://auth.test/token"', bearer],
    ['Bearer realm="https://auth.test/token", Basic realm="x"', bearer],
    ['Bearer realm=""', undefined],
    ['Digest realm="x", nonce="basic"', undefined],
    ["", undefined],
    [undefined, undefined],
    [`Basic ${"x".repeat(10_000)}`, undefined]
  ] as const) {
    it(`are read: ${header?.slice(0, 80)}`, () => {
      assert.deepStrictEqual(parseChallenge(header), expected)
    })
  }

  it("are read in time that does not explode", () => {
    assert.isUndefined(parseChallenge(`Bearer ${'a="\\'.repeat(2000)}`))
    assert.isUndefined(parseChallenge(", ".repeat(4000)))
  })
})
