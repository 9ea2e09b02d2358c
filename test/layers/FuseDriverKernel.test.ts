import { describe } from "@effect/vitest"
import { canFuse } from "../support/kernelFeatures.ts"
import { layerMountSuite } from "../support/layerMountSuite.ts"

describe.skipIf(!canFuse)("FUSE trees (needs root and /dev/fuse)", () => layerMountSuite("fuse"))
