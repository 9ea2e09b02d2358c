import { assert, describe, it } from "@effect/vitest"
import { MediaType } from "../../../src/services/MediaType.ts"
import { documentMediaType } from "../../../src/streams/codec/documentType.ts"
import { json, utf8 } from "../../support/content.ts"

describe("documentMediaType", () => {
  for (const [document, expected] of [
    [{ mediaType: MediaType.dockerManifest }, MediaType.dockerManifest],
    [{ mediaType: MediaType.dockerManifestList, config: {} }, MediaType.dockerManifestList],
    [{ schemaVersion: 2, manifests: [] }, MediaType.ociIndex],
    [{ schemaVersion: 2, config: {}, layers: [] }, MediaType.ociManifest],
    [{ schemaVersion: 1, fsLayers: [], mediaType: MediaType.dockerManifest }, undefined],
    [{ config: {}, rootfs: {} }, undefined],
    [{ mediaType: "text/html" }, undefined],
    [[], undefined],
    [7, undefined]
  ] as const) {
    it(`tells what ${JSON.stringify(document)} is`, () => {
      assert.strictEqual(documentMediaType(json(document)), expected)
    })
  }

  it("takes bytes that are no JSON for nothing", () => {
    assert.isUndefined(documentMediaType(utf8("{")))
  })
})
