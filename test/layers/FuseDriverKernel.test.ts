import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as FuseDriverKernel from "../../src/layers/FuseDriverKernel.ts"
import { xattrsOf } from "../support/fileTree.ts"
import { fuseDriverSuite, lgetxattr, mountLine, mountTree, small } from "../support/fuseDriverSuite.ts"
import { heldLayer } from "../support/heldLayer.ts"
import { canFuse } from "../support/kernelFeatures.ts"
import { kernelDriver, layerMountSuite } from "../support/layerMountSuite.ts"

describe.skipIf(!canFuse)("FuseDriverKernel (needs root and /dev/fuse)", () => {
  layerMountSuite("fuse")
  fuseDriverSuite(kernelDriver)

  layer(FuseDriverKernel.layer(), { excludeTestServices: true })((it) => {
    it.effect("mounts trees under the type that harnesses count, read-only and without devices", () =>
      Effect.gen(function* () {
        const { mountPoint } = yield* mountTree(yield* heldLayer(small))
        assert.match(mountLine(mountPoint) ?? "", /^test \S+ fuse\.rawBridge ro,nodev,.*max_read=1048576/)
      })
    )

    it.effect("is asked once for what never changes", () =>
      Effect.gen(function* () {
        const mount = yield* mountTree(yield* heldLayer(small))
        const touch = () => {
          assert.strictEqual(fs.readFileSync(`${mount.mountPoint}/a`, "utf8"), "small")
          assert.deepStrictEqual(xattrsOf(`${mount.mountPoint}/a`), {})
          assert.isFalse(fs.existsSync(`${mount.mountPoint}/missing`))
          assert.deepStrictEqual(fs.readdirSync(mount.mountPoint), ["a"])
          assert.strictEqual(lgetxattr(`${mount.mountPoint}/a`, "user.any", null, 0), -1)
        }
        // Directories are kept from the second listing on.
        touch()
        touch()
        const { requests } = yield* mount.counts
        for (let again = 0; again < 20; again++) touch()
        assert.strictEqual((yield* mount.counts).requests, requests)
      })
    )
  })
})
