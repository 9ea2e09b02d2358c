import { describe } from "@effect/vitest"
import { canErofs } from "../support/kernelFeatures.ts"
import { layerMountSuite } from "../support/layerMountSuite.ts"

describe.skipIf(!canErofs)("EROFS mounts (needs root, /dev/fuse and Linux 6.12)", () => layerMountSuite("erofs"))
