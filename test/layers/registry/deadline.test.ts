import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { streamWithDeadline, withDeadline } from "../../../src/layers/registry/deadline.ts"
import { purposeOf } from "../../../src/layers/registry/registryErrors.ts"
import { settingsOf } from "../../../src/layers/registry/registryOptions.ts"
import { in1 } from "../../support/blobServer.ts"

const settings = settingsOf({ operationTimeout: "10 seconds", minimumRate: 100 })
const ticks = Stream.fromIterable([1, 2, 3, 4, 5]).pipe(
  Stream.rechunk(1),
  Stream.tap(() => Effect.sleep("4 seconds"))
)

describe("deadlines", () => {
  it.effect("end a transfer that takes longer than its size allows", () =>
    Effect.gen(function* () {
      const transfer = yield* Effect.forkChild(Stream.runCollect(streamWithDeadline(settings, 500)(ticks)))
      yield* TestClock.adjust("1 minute")
      const error = yield* Effect.flip(Fiber.join(transfer))
      assert.include(error.message, "it was not done within 15s")
    })
  )

  it.effect("leave a transfer that is fast enough for its size", () =>
    Effect.gen(function* () {
      const transfer = yield* Effect.forkChild(Stream.runCollect(streamWithDeadline(settings, 1001)(ticks)))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(transfer)).length, 5)
    })
  )

  it.effect("do not count what a consumer takes for itself", () =>
    Effect.gen(function* () {
      const transfer = yield* Effect.forkChild(
        Stream.runForEach(streamWithDeadline(settings, 1001)(ticks), () => Effect.sleep("1 hour"))
      )
      yield* TestClock.adjust("6 hours")
      yield* Fiber.join(transfer)
    })
  )

  it.effect("end other operations, and say which", () =>
    Effect.gen(function* () {
      const purpose = purposeOf("resolve", in1("a.example"), "v1")
      const running = yield* Effect.forkChild(withDeadline(settings, purpose)(Effect.never))
      yield* TestClock.adjust("10 seconds")
      const { message } = yield* Effect.flip(Fiber.join(running))
      assert.include(message, "cannot resolve v1 at a.example/team/app: it was not done within 10s")
    })
  )
})
