import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as Soci from "../../src/main/library.ts"
import { storeImageOf } from "../support/imageOf.ts"
import { canFuse, canOverlay } from "../support/kernelFeatures.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const unable = !(canFuse && canOverlay)
const why = unable ? " (skipped: root, /dev/fuse and overlay are needed)" : ""

describe.skipIf(unable)(`the library${why}`, () => {
  it.live("mounts an image in the lines of the README", () =>
    Effect.gen(function* () {
      const [layout, root, mountPoint] = [
        yield* temporaryDirectory,
        yield* temporaryDirectory,
        yield* temporaryDirectory
      ]
      yield* Soci.ContentStore.use((store) => storeImageOf(store, "v1", [[{ name: "hello", content: "hello" }]])).pipe(
        Effect.provide(Soci.ContentStoreLayout.layer({ root: layout }))
      )

      const text = yield* Effect.gen(function* () {
        const name = yield* Effect.fromResult(Soci.parseImageName(`oci-layout:${layout}:v1`))
        const image = yield* Soci.ImageSource.use((source) => source.find(name))
        const manifest = yield* Soci.resolvePlatform(image, Soci.hostPlatform)
        const index = yield* Soci.ArtifactSource.use((source) =>
          source.find(image, manifest, { indexDigest: undefined })
        ).pipe(Effect.catchTag("NoIndex", () => Effect.undefined))
        const mounted = yield* Soci.ImageMounter.use((mounter) =>
          mounter.mount(image, manifest, index, { mountPoint, mode: "auto", writable: false })
        )
        return yield* Effect.promise(() => fs.readFile(path.join(mounted.mountPoint, "hello"), "utf8"))
      }).pipe(Effect.scoped, Effect.provide(Soci.mountServices({ root })))

      assert.strictEqual(text, "hello")
      assert.deepStrictEqual(yield* Effect.promise(() => fs.readdir(mountPoint)), [])
    })
  )
})
