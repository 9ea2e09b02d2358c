/**
 * Blobs that are opened while other things go on.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { openAhead } from "../../../src/layers/image/openAhead.ts"
import type { RemoteBlob } from "../../../src/services/RemoteBlob.ts"
import { layerOfSize, observedBlob } from "../../support/lazyLayer.ts"

const { blob } = observedBlob(layerOfSize(10_000).bytes)
const { descriptor } = blob

const ahead = <E>(open: Effect.Effect<RemoteBlob, E, Scope.Scope>) => openAhead(descriptor, "test/image", open)

describe("openAhead", () => {
  it.effect("begins to open at once, and waits for it with the first read", () =>
    Effect.gen(function* () {
      const begun = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      const opening = yield* ahead(
        Deferred.succeed(begun, undefined).pipe(Effect.andThen(Deferred.await(gate)), Effect.as(blob))
      )
      yield* Deferred.await(begun)
      const reading = yield* Effect.forkChild(Stream.runCollect(opening.read(0, 100)))
      yield* Effect.yieldNow
      assert.isUndefined(reading.pollUnsafe())
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(Buffer.concat(yield* Fiber.join(reading)).length, 100)
    }).pipe(Effect.scoped)
  )

  it.effect("opens once for all its reads, and closes with the scope", () =>
    Effect.gen(function* () {
      let opened = 0
      let closed = 0
      const scope = yield* Scope.make()
      const opening = yield* ahead(
        Effect.acquireRelease(
          Effect.sync(() => {
            opened++
            return blob
          }),
          () => Effect.sync(() => closed++)
        )
      ).pipe(Scope.provide(scope))
      yield* Effect.all(
        Array.from({ length: 10 }, () => Stream.runDrain(opening.read(0, 10))),
        { concurrency: 10 }
      )
      assert.deepStrictEqual([opened, closed], [1, 0])
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(closed, 1)
    })
  )

  it.effect("fails no sooner than it is read, says why, and tries again with the next read", () =>
    Effect.gen(function* () {
      let attempts = 0
      const opening = yield* ahead(
        Effect.suspend(() => (++attempts < 3 ? Effect.fail(new Error("no route to host")) : Effect.succeed(blob)))
      )
      yield* Effect.yieldNow
      const error = yield* Effect.flip(Stream.runDrain(opening.read(0, 10)))
      assert.strictEqual(error._tag, "BlobReadFailed")
      assert.strictEqual(error.message, "cannot read test/image [0, 10): no route to host")
      yield* Stream.runDrain(opening.read(0, 10))
      assert.strictEqual(attempts, 3)
    }).pipe(Effect.scoped)
  )
})
