import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import * as InflateLive from "../../src/layers/InflateLive.ts"
import * as InflateIsal from "../../src/layers/InflateIsal.ts"
import * as InflatePako from "../../src/layers/InflatePako.ts"
import * as InflateZlib from "../../src/layers/InflateZlib.ts"
import { selfTested } from "../../src/layers/inflate/selfTest.ts"
import { Inflate } from "../../src/services/Inflate.ts"
import { inflateContract } from "../support/inflateContract.ts"

inflateContract("InflateZlib", InflateZlib.layer)
inflateContract("InflatePako", InflatePako.layer)

const isal = await Effect.runPromise(Effect.result(Effect.scoped(Layer.build(InflateIsal.layer))))
inflateContract("InflateIsal", InflateIsal.layer, Result.isFailure(isal) ? "libisal2 is not installed" : undefined)

describe("the choice of an inflater", () => {
  it.effect("is the one that was asked for", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Inflate).implementation, "pako")
    }).pipe(Effect.provide(InflateLive.layer("pako")))
  )

  it.effect("refuses one that does not inflate the known sample", () =>
    Effect.gen(function* () {
      const wrong = Inflate.of({
        implementation: "zlib",
        inflate: ({ length }) => Effect.succeed(Buffer.alloc(length))
      })
      const error = yield* Effect.flip(selfTested(wrong))
      assert.include(error.message, "other bytes")
    })
  )

  it.effect("refuses one that dies", () =>
    Effect.gen(function* () {
      const dying = Inflate.of({ implementation: "zlib", inflate: () => Effect.die(new Error("no such symbol")) })
      const error = yield* Effect.flip(selfTested(dying))
      assert.include(error.message, "cannot be loaded")
    })
  )
})
