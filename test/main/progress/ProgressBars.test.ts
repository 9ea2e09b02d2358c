import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { type Bar, renderBar } from "../../../src/main/progress/bar.ts"
import { makeProgressBars } from "../../../src/main/progress/ProgressBars.ts"

const halfDone: Bar = { label: "layer 0123", doneBytes: 5e6, totalBytes: 10e6, startedMillis: 0 }

/** A terminal that remembers what was written to it. */
const terminal = (columns = 80, rows = 24) => {
  const written: Array<string> = []
  return { written, screen: { isTTY: true, columns, rows, write: (text: string) => void written.push(text) } }
}

describe("renderBar", () => {
  it("shows share, bytes, rate and what is left", () => {
    const line = renderBar(halfDone, 1000, 100)
    assert.match(line, /^layer 0123 +\[=+ +\] {2}50% {2}5\.0 MB\/10\.0 MB {2}5\.0 MB\/s {2}0:01$/)
  })

  it("says no rate before there is one", () => {
    assert.match(renderBar(halfDone, 100, 100), /5\.0 MB\/10\.0 MB$/)
  })

  it("never leaves the line, however narrow it is", () => {
    for (let width = 1; width < 120; width++) assert.isAtMost(renderBar(halfDone, 1000, width).length, width)
  })

  it("is full for nothing, and for more than was promised", () => {
    assert.include(renderBar({ ...halfDone, doneBytes: 0, totalBytes: 0 }, 0, 100), "100%")
    assert.include(renderBar({ ...halfDone, doneBytes: 20e6 }, 1000, 100), "100%")
  })
})

describe("ProgressBars", () => {
  it.effect("are drawn ten times a second at most, however many events there are", () =>
    Effect.gen(function* () {
      const { written, screen } = terminal()
      const bars = yield* makeProgressBars(screen)
      for (let i = 0; i < 1000; i++) {
        yield* bars.advance("layer", i, 1000)
        yield* TestClock.adjust("1 millis")
      }
      assert.isAtMost(written.filter((text) => text.includes("layer")).length, 11)
      assert.isAtLeast(written.filter((text) => text.includes("layer")).length, 9)
    })
  )

  it.effect("are erased where they end, and with the scope", () =>
    Effect.gen(function* () {
      const { written, screen } = terminal()
      const scope = yield* Scope.make()
      const bars = yield* Scope.provide(makeProgressBars(screen), scope)
      yield* bars.advance("one", 1, 2)
      yield* bars.advance("two", 1, 2)
      yield* TestClock.adjust("100 millis")
      assert.include(written.at(-1), "\n")
      yield* bars.finish("one")
      yield* TestClock.adjust("100 millis")
      assert.include(written, "\r\u001b[1A\u001b[J")
      assert.notInclude(written.at(-1), "one")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(written.at(-1), "\r\u001b[J")
    })
  )

  it.effect("write nothing while nothing changes", () =>
    Effect.gen(function* () {
      const { written, screen } = terminal()
      const bars = yield* makeProgressBars(screen)
      yield* bars.advance("one", 1, 2)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(written.length, 1)
    })
  )

  it.effect("are out of the way of what is written meanwhile, and come back", () =>
    Effect.gen(function* () {
      const { written, screen } = terminal()
      const bars = yield* makeProgressBars(screen)
      yield* bars.advance("one", 1, 2)
      yield* TestClock.adjust("100 millis")
      yield* bars.apart(Effect.sync(() => written.push("a warning\n")))
      assert.deepStrictEqual(written.slice(-2), ["\r\u001b[J", "a warning\n"])
      yield* TestClock.adjust("100 millis")
      assert.include(written.at(-1), "one")
    })
  )

  it.effect("never take more lines than the terminal has", () =>
    Effect.gen(function* () {
      const { written, screen } = terminal(80, 5)
      const bars = yield* makeProgressBars(screen)
      for (let i = 0; i < 20; i++) yield* bars.advance(`layer ${i}`, 1, 2)
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(written.at(-1)?.split("\n").length, 4)
    })
  )

  it.effect("are nothing without a terminal", () =>
    Effect.gen(function* () {
      const written: Array<string> = []
      const screen = { isTTY: false, columns: 80, rows: 24, write: (text: string) => void written.push(text) }
      const bars = yield* makeProgressBars(screen)
      const drawing = yield* Effect.forkChild(bars.advance("one", 1, 2))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(drawing)
      assert.deepStrictEqual(written, [])
    })
  )
})
