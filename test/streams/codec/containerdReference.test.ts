import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parseContainerdReference, parseTaggedReference } from "../../../src/streams/codec/containerdReference.ts"

const tagged = 'the destination image must be a tagged ref of the form "registry/repository:tag": '

describe("parseTaggedReference", () => {
  for (const [input, reason] of [
    ["foo", "reference must be tagged"],
    ["registry.test:5000/x", "reference must be tagged"],
    ["foo:x", 'could not parse reference: parse "dummy://foo:x": invalid port ":x" after host'],
    ["r/x@sha256:00", "reference must not contain a digest"],
    ["r/x:t@sha256:00", "reference must not contain a digest"],
    ["http://r/x:t", "could not parse reference: invalid reference"],
    ["/x:t", "could not parse reference: hostname required"]
  ] as const) {
    it(`refuses ${input} in the words of the reference`, () => {
      assert.deepStrictEqual(parseTaggedReference(input), Result.fail(tagged + reason))
    })
  }

  it("takes a tag behind a path, and a port of the host", () => {
    assert.deepStrictEqual(
      parseTaggedReference("registry.test:5000/team/app:v1"),
      Result.succeed({ host: "registry.test:5000", path: "team/app", object: "v1" })
    )
  })
})

describe("parseContainerdReference", () => {
  it("keeps the @ of a digest", () => {
    assert.deepStrictEqual(
      parseContainerdReference("[::1]:5000/app@sha256:00"),
      Result.succeed({ host: "[::1]:5000", path: "app", object: "@sha256:00" })
    )
  })

  it("refuses blanks and control characters in a host", () => {
    assert.deepStrictEqual(
      parseContainerdReference("a b/x:t"),
      Result.fail('parse "dummy://a b/x:t": invalid character " " in host name')
    )
    assert.isTrue(Result.isFailure(parseContainerdReference("a/\nx:t")))
  })
})
