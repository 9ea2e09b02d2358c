import { describe } from "@effect/vitest"
import { fuseDriverSuite } from "../support/fuseDriverSuite.ts"
import { hostedFuseDriver } from "../support/hostedFuseDriver.ts"
import { canErofs, canFuse } from "../support/kernelFeatures.ts"
import { layerMountSuite, type MountedDriver } from "../support/layerMountSuite.ts"
import type { FileFacts } from "../support/fileTree.ts"

/** Names are text, times have milliseconds and begin in 1970. */
const shown = (facts: Readonly<Record<string, FileFacts>>): Readonly<Record<string, FileFacts>> => {
  const text = (name: string) => Buffer.from(Buffer.from(name, "latin1").toString("utf8")).toString("latin1")
  const time = (nanoseconds: bigint) => String(nanoseconds < 0n ? 0n : nanoseconds - (nanoseconds % 1_000_000n))
  return Object.fromEntries(
    Object.entries(facts)
      .map(([path, fact]) => [text(path), { ...fact, mtime: time(BigInt(fact.mtime)) }] as const)
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
  )
}

const nativeDriver: MountedDriver = {
  name: "fuse-native",
  driver: hostedFuseDriver,
  shown,
  accessLists: false,
  hearsOfKills: false
}

describe.skipIf(!canFuse)("FuseDriverNative (needs root and /dev/fuse)", () => {
  layerMountSuite("fuse", nativeDriver)
  fuseDriverSuite(nativeDriver)
})

describe.skipIf(!canErofs)("EROFS over FuseDriverNative (needs root, /dev/fuse and EROFS of Linux 6.12)", () => {
  layerMountSuite("erofs", nativeDriver)
})
