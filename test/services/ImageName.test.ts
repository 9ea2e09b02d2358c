import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { Digest } from "../../src/services/Descriptor.ts"
import { formatImageName, parseImageName } from "../../src/services/ImageName.ts"

const digest = Digest.make(`sha256:${"0123456789abcdef".repeat(4)}`)

const parsed = (input: string) => Result.getOrThrow(parseImageName(input))
const reason = (input: string) => Result.getOrThrow(Result.flip(parseImageName(input))).reason

describe("image names", () => {
  for (const name of [
    "registry.test:5000/img:v1",
    `localhost/a/b_c/d--e@${digest}`,
    `[::1]:5000/x:Tag_1.2-3@${digest}`,
    "oci-layout:/var/lib/images:v1",
    `oci-layout:./images@${digest}`,
    "oci-layout:images"
  ]) {
    it(`reads ${name} and writes it as it was`, () => {
      assert.strictEqual(formatImageName(parsed(name)), name)
    })
  }

  it("takes a registry reference apart", () => {
    assert.deepStrictEqual(parsed(`registry.test:5000/team/img:v1@${digest}`), {
      _tag: "Registry",
      host: "registry.test:5000",
      repository: "team/img",
      tag: "v1",
      digest
    })
  })

  it("takes the last colon behind the last slash of a layout for that of the tag", () => {
    assert.deepStrictEqual(parsed("oci:/a:b/c"), { _tag: "Layout", path: "/a:b/c", tag: undefined, digest: undefined })
    assert.deepStrictEqual(parsed("oci:/a:b/c:d"), { _tag: "Layout", path: "/a:b/c", tag: "d", digest: undefined })
  })

  for (const [input, expected] of [
    ["https://registry.test/img:v1", "a reference has no scheme"],
    ["img:v1", "the registry host is missing"],
    ["bad_host/img:v1", '"bad_host" is not a host name'],
    ["registry.test/UP:v1", 'invalid repository "UP"'],
    ["registry.test/a/../b:v1", 'invalid repository "a/../b"'],
    ["registry.test/img", "a tag or a digest is missing"],
    ["registry.test/img:-v1", '"-v1" is not a tag'],
    ["registry.test/img@sha256:abc", '"sha256:abc" is not a sha256 digest'],
    [`registry.test/img@${digest}@${digest}`, "more than one @"],
    ["oci-layout:", "the path of the layout is missing"],
    ["oci-layout:images:", "the tag is empty"],
    ["oci-layout:images@v1", '"v1" is not a sha256 digest']
  ] as const) {
    it(`refuses ${input}`, () => {
      assert.strictEqual(reason(input), expected)
    })
  }

  it("refuses a repository made to keep a regular expression busy, at once", () => {
    assert.include(reason(`registry.test/${"a".repeat(50_000)}!:v1`), "invalid repository")
    assert.include(reason(`registry.test/${"a-".repeat(50_000)}!:v1`), "invalid repository")
  })
})
