import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { ReadOutcome, WaitingRead } from "../../../src/layers/fuse/fuseMessages.ts"
import { isBeingKilled } from "../../../src/layers/fuse/pendingKill.ts"
import { makeWaitingReads } from "../../../src/layers/fuse/WaitingReads.ts"
import type { LayerSpans } from "../../../src/services/SpanStore.ts"
import { SpanUnavailable } from "../../../src/services/SpanStore.ts"
import { makeSpanTable } from "../../../src/streams/spanTable.ts"
import { digestOf } from "../../../src/streams/verify.ts"

const read: WaitingRead = { ticket: 1, mount: 1, source: 1, unique: "0:6", reader: 4711, offset: 100, length: 200 }

type Supply = LayerSpans["supply"]

const spansThat = (supply: Supply): LayerSpans => ({
  layer: digestOf(new Uint8Array(0)),
  path: "/nowhere",
  size: 512,
  table: makeSpanTable([0, 512]),
  supply,
  ensure: () => Effect.die(new Error("not asked for")),
  read: () => Effect.die(new Error("not asked for")),
  hold: Effect.die(new Error("not asked for")),
  fill: () => Effect.die(new Error("not asked for")),
  stats: Effect.die(new Error("not asked for"))
})

const unavailable = new SpanUnavailable({ layer: "layer", span: 0, kind: "network", reason: "no network" })

/** Reads with one that waits for `supply`, and what it was answered: 0 for local bytes, bytes, or an errno. */
const waiting = Effect.fnUntraced(function* (
  supply: Supply,
  options: { readonly killed?: () => boolean; readonly interruptedBefore?: boolean } = {}
) {
  const reads = yield* makeWaitingReads((thread) => thread === read.reader && (options.killed?.() ?? false))
  const answers: Array<number | Uint8Array> = []
  const answer = (outcome: ReadOutcome) =>
    answers.push(outcome.kind === "local" ? 0 : outcome.kind === "bytes" ? outcome.bytes : outcome.errno)
  if (options.interruptedBefore) reads.interrupt(read.unique)
  reads.wait(read, spansThat(supply), answer)
  return { reads, answers }
})

describe("WaitingReads", () => {
  it.effect("answers 0 once exactly the bytes that are read are local", () =>
    Effect.gen(function* () {
      const arrived = yield* Deferred.make<void>()
      const asked: Array<readonly [number, number]> = []
      const { answers } = yield* waiting((offset, length) => {
        asked.push([offset, length])
        return Effect.as(Deferred.await(arrived), undefined)
      })
      yield* Effect.yieldNow
      assert.deepStrictEqual(answers, [])
      yield* Deferred.succeed(arrived, undefined)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(answers, [0])
      assert.deepStrictEqual(asked, [[100, 200]])
    }).pipe(Effect.scoped)
  )

  it.effect("answers with the bytes where the disk has no room for them", () =>
    Effect.gen(function* () {
      const bytes = new Uint8Array([1, 2, 3])
      const { answers } = yield* waiting(() => Effect.succeed(bytes))
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(answers, [bytes])
    }).pipe(Effect.scoped)
  )

  it.effect("answers EIO where the bytes cannot be had, and where asking for them is a defect", () =>
    Effect.gen(function* () {
      const failed = yield* waiting(() => Effect.fail(unavailable))
      const died = yield* waiting(() => Effect.die(new Error("a bug")))
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual([failed.answers, died.answers], [[5], [5]])
    }).pipe(Effect.scoped)
  )

  it.effect("gives up a read whose reader is being killed, as soon as that is known", () =>
    Effect.gen(function* () {
      let killed = false
      let interrupted = 0
      const never = () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
      const { reads, answers } = yield* waiting(never, { killed: () => killed })
      reads.interrupt(read.unique)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([answers, interrupted], [[], 0])
      killed = true
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual([answers, interrupted], [[4], 1])
    }).pipe(Effect.scoped)
  )

  it.effect("does not give up a read that nobody interrupted, nor one of another number", () =>
    Effect.gen(function* () {
      const { reads, answers } = yield* waiting(() => Effect.never, { killed: () => true })
      reads.interrupt("0:8")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(answers, [])
    }).pipe(Effect.scoped)
  )

  it.effect("remembers an interrupt that comes before its read", () =>
    Effect.gen(function* () {
      const { answers } = yield* waiting(() => Effect.never, { killed: () => true, interruptedBefore: true })
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(answers, [4])
    }).pipe(Effect.scoped)
  )

  it.effect("gives up all reads with their scope", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { answers } = yield* Scope.provide(
        waiting(() => Effect.never),
        scope
      )
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(answers, [5])
    })
  )
})

describe("isBeingKilled", () => {
  it("is false for a thread that lives, and for one that nobody knows", () => {
    assert.deepStrictEqual([process.pid, 0, 2 ** 31 - 1].map(isBeingKilled), [false, false, false])
  })
})
