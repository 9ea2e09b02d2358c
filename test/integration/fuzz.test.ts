/**
 * A few hundred cases of each fuzz program, always the same ones; `npm run fuzz` runs as many as you like.
 */
import { describe, it } from "@effect/vitest"
import { program as inflate } from "../fuzz/inflate.ts"
import { program as layer } from "../fuzz/layer.ts"
import { program as tar } from "../fuzz/tar.ts"
import { program as zinfo } from "../fuzz/zinfo.ts"
import { program as ztoc } from "../fuzz/ztoc.ts"
import { runFuzz } from "../support/fuzz.ts"

describe("random input", () => {
  for (const { program, count } of [
    { program: tar, count: 600 },
    { program: layer, count: 200 },
    { program: ztoc, count: 400 },
    { program: zinfo, count: 600 },
    { program: inflate, count: 300 }
  ]) {
    it(`of the fuzz program ${program.name} finds nothing`, () => runFuzz(program, 1, count))
  }
})
