import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { isIndexType, isLayerType, isManifestType, layerCompression } from "../../src/services/MediaType.ts"

interface Row {
  readonly mediaType: string
  readonly isIndex: boolean
  readonly isManifest: boolean
  readonly isLayer: boolean
  /** What the layer is taken for; missing where the reference does not know the type. */
  readonly effectiveAlgorithm?: string
}

const rows: ReadonlyArray<Row> = JSON.parse(
  readFileSync(new URL("../vectors/index/media-types.json", import.meta.url), "utf8")
)

describe("media types", () => {
  for (const row of rows) {
    it(`says of "${row.mediaType}" what the reference says`, () => {
      assert.strictEqual(isIndexType(row.mediaType), row.isIndex)
      assert.strictEqual(isManifestType(row.mediaType), row.isManifest)
      assert.strictEqual(isLayerType(row.mediaType), row.isLayer)
      assert.strictEqual(layerCompression(row.mediaType), row.effectiveAlgorithm)
    })
  }
})
