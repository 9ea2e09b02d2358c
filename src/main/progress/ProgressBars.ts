/**
 * Bars for what is under way, drawn in place on a terminal and gone when it is done; nothing where there is no terminal.
 *
 * They are on standard error only. What is printed meanwhile goes through `print`, so that no line is written into a bar. The
 * bars are drawn at most ten times a second, whatever the number of events, and erased with the scope, also after Ctrl-C.
 */
import { Clock, Console, Context, Effect, Schedule, type Scope, Semaphore } from "effect"
import { type Bar, renderBar } from "./bar.ts"

/** What a terminal is asked for: its size may change at any time. */
export interface ProgressScreen {
  readonly isTTY: boolean
  readonly columns: number
  readonly rows: number
  write(text: string): void
}

export class ProgressBars extends Context.Service<
  ProgressBars,
  {
    /** A job is as far as this; the first word of it makes its bar. */
    advance(label: string, doneBytes: number, totalBytes: number): Effect.Effect<void>
    /** The job has ended, well or not. */
    finish(label: string): Effect.Effect<void>
    /** A line on standard output. */
    print(line: string): Effect.Effect<void>
    /** A line on standard error. */
    note(line: string): Effect.Effect<void>
    /** Runs what writes lines of its own, such as a warning, with no bar in its way. */
    apart(write: Effect.Effect<void>): Effect.Effect<void>
  }
>()("effect-soci/main/progress/ProgressBars") {}

const drawInterval = "100 millis"
const usualColumns = 80
const usualRows = 24

/** The process's standard error. */
export const standardError: ProgressScreen = {
  get isTTY() {
    return process.stderr.isTTY && process.env["TERM"] !== "dumb"
  },
  get columns() {
    return process.stderr.columns || usualColumns
  },
  get rows() {
    return process.stderr.rows || usualRows
  },
  write: (text) => void process.stderr.write(text)
}

const withoutTerminal = ProgressBars.of({
  advance: () => Effect.void,
  finish: () => Effect.void,
  print: (line) => Console.log(line),
  note: (line) => Console.error(line),
  apart: (write) => write
})

const onTerminal = Effect.fnUntraced(function* (screen: ProgressScreen) {
  const bars = new Map<string, Bar>()
  const writing = yield* Semaphore.make(1)
  let drawnLines = 0
  let isStale = false

  const erase = () => {
    if (drawnLines > 0) screen.write(`\r${drawnLines > 1 ? `\u001b[${drawnLines - 1}A` : ""}\u001b[J`)
    drawnLines = 0
  }

  const draw = (nowMillis: number) => {
    if (!isStale) return
    isStale = false
    erase()
    // A full last column or a full screen would scroll, and what has scrolled cannot be erased.
    const lines = [...bars.values()]
      .slice(0, Math.max(1, screen.rows - 1))
      .map((bar) => renderBar(bar, nowMillis, screen.columns - 1))
    if (lines.length > 0) screen.write(lines.join("\n"))
    drawnLines = lines.length
  }

  const apart = (write: Effect.Effect<void>) =>
    writing.withPermits(1)(
      Effect.andThen(
        Effect.sync(() => {
          erase()
          isStale = true
        }),
        write
      )
    )

  yield* Effect.addFinalizer(() => Effect.sync(erase))
  yield* Effect.flatMap(Clock.currentTimeMillis, (now) => writing.withPermits(1)(Effect.sync(() => draw(now)))).pipe(
    Effect.repeat(Schedule.spaced(drawInterval)),
    Effect.forkScoped
  )

  return ProgressBars.of({
    advance: (label, doneBytes, totalBytes) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        bars.set(label, { label, doneBytes, totalBytes, startedMillis: bars.get(label)?.startedMillis ?? now })
        isStale = true
      }),
    finish: (label) =>
      Effect.sync(() => {
        isStale = bars.delete(label) || isStale
      }),
    print: (line) => apart(Console.log(line)),
    note: (line) => apart(Console.error(line)),
    apart
  })
})

export const makeProgressBars = (screen: ProgressScreen): Effect.Effect<ProgressBars["Service"], never, Scope.Scope> =>
  screen.isTTY ? onTerminal(screen) : Effect.succeed(withoutTerminal)
