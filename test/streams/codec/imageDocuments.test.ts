import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import type { MalformedDocument } from "../../../src/services/Image.ts"
import { MediaType } from "../../../src/services/MediaType.ts"
import {
  decodeImageConfig,
  decodeImageIndex,
  decodeManifest,
  encodeImageIndex,
  encodeManifest
} from "../../../src/streams/codec/imageDocuments.ts"

interface Vector {
  readonly kind: "manifest" | "index" | "soci-index"
  readonly name: string
  readonly input: string
  readonly output?: string
  readonly digest?: string
  readonly size?: number
}

const vectors: ReadonlyArray<Vector> = JSON.parse(
  readFileSync(new URL("../../vectors/index/json-normalisation.json", import.meta.url), "utf8")
)

const utf8 = (text: string) => new TextEncoder().encode(text)
const digestOf = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`
const layerDigest = `sha256:${"a".repeat(64)}`
const descriptor = { mediaType: MediaType.ociConfig, digest: layerDigest, size: 2 }
const document = (members: object) => utf8(JSON.stringify({ schemaVersion: 2, config: descriptor, ...members }))

const reasonOf = (result: Result.Result<unknown, MalformedDocument>) => Result.getOrThrow(Result.flip(result)).reason

/** What the reference does to each kind: the SOCI index is written by a marshaller of its own. */
const normalize = ({ kind, input }: Vector): Result.Result<Uint8Array, unknown> => {
  const bytes = utf8(input)
  if (kind === "index") return Result.map(decodeImageIndex(bytes), encodeImageIndex)
  const manifest = decodeManifest(bytes)
  if (kind === "manifest") return Result.map(manifest, encodeManifest)
  return Result.flatMap(manifest, (index) => {
    const known = [MediaType.sociIndexV1, MediaType.sociIndexV2].some((type) => type === index.config.mediaType)
    return known
      ? Result.succeed(encodeManifest({ ...index, mediaType: MediaType.ociManifest, artifactType: "" }))
      : Result.fail(`unknown index version: ${index.config.mediaType}`)
  })
}

describe("image documents", () => {
  for (const vector of vectors.filter(({ name }) => name !== "big size")) {
    it(`reads and writes as the reference does: ${vector.kind}, ${vector.name}`, () => {
      const written = Result.getOrUndefined(normalize(vector))
      assert.strictEqual(written === undefined ? undefined : new TextDecoder().decode(written), vector.output)
      if (written === undefined) return
      assert.strictEqual(digestOf(written), vector.digest)
      assert.strictEqual(written.length, vector.size)
    })
  }

  it("refuses a size that a number cannot hold exactly", () => {
    const big = vectors.find(({ name }) => name === "big size")
    const error = Result.getOrThrow(Result.flip(decodeManifest(utf8(big?.input ?? ""))))
    assert.strictEqual(error._tag, "MalformedDocument")
    assert.include(error.reason, "size")
  })

  it("refuses a negative size, a digest of another form and a text that is no base64", () => {
    for (const broken of [{ size: -1 }, { digest: "sha256:abc" }, { data: "*" }, { mediaType: 7 }]) {
      assert.isTrue(Result.isFailure(decodeManifest(document({ config: { ...descriptor, ...broken } }))))
    }
  })

  it("refuses a document of more than 4 MiB before it is parsed", () => {
    const error = Result.getOrThrow(Result.flip(decodeManifest(new Uint8Array(4 * 1024 * 1024 + 1), "the manifest")))
    assert.include(error.message, "the manifest cannot be read: it has 4194305 bytes")
  })

  it("refuses a document of 4 MiB of opening brackets without overflowing", () => {
    assert.isTrue(Result.isFailure(decodeManifest(utf8("[".repeat(4 * 1024 * 1024)))))
  })

  it("refuses what could be taken for a document of another kind", () => {
    const reasons = [
      decodeManifest(document({ manifests: [] })),
      decodeManifest(document({ mediaType: MediaType.ociIndex })),
      decodeManifest(document({ fsLayers: [] })),
      decodeImageIndex(document({ manifests: [] })),
      decodeImageIndex(utf8(JSON.stringify({ mediaType: MediaType.dockerManifest, manifests: [] })))
    ].map(reasonOf)
    assert.deepStrictEqual(reasons, [
      "media-type: expected manifest but found index ()",
      `media-type: expected manifest but found index (${MediaType.ociIndex})`,
      "media-type: schema 1 not supported",
      "media-type: expected index but found manifest ()",
      `media-type: expected index but found manifest (${MediaType.dockerManifest})`
    ])
  })

  it("reads of a configuration what is needed, and no more", () => {
    const text = JSON.stringify({
      Architecture: "amd64",
      os: "linux",
      history: [{ created_by: "x" }],
      config: { Env: ["A=b"], WorkingDir: "/w", Cmd: ["sh"] },
      rootfs: { type: "layers", diff_ids: [layerDigest] }
    })
    assert.deepStrictEqual(Result.getOrThrow(decodeImageConfig(utf8(text))), {
      architecture: "amd64",
      os: "linux",
      config: { Env: ["A=b"], WorkingDir: "/w" },
      rootfs: { type: "layers", diff_ids: [layerDigest] }
    })
  })

  it("reads a configuration that has nothing in it", () => {
    assert.deepStrictEqual(Result.getOrThrow(decodeImageConfig(utf8("{}"))), { rootfs: { type: "", diff_ids: [] } })
  })
})
