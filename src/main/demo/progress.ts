/**
 * Says what a long job is doing: one line that changes on a terminal, plain lines otherwise.
 */
import { Effect } from "effect"

export interface Progress {
  /** A step that begins, or a fact worth a line. */
  say(line: string): Effect.Effect<void>
  /** How far the current step is; shown on a terminal only. */
  update(line: string): Effect.Effect<void>
}

const clearLine = "\r\u001b[2K"

export const progressOn = (stream: NodeJS.WriteStream): Progress => {
  let updated = false
  let latest = 0
  return {
    say: (line) =>
      Effect.sync(() => {
        stream.write(`${updated ? clearLine : ""}${line}\n`)
        updated = false
      }),
    update: (line) =>
      Effect.sync(() => {
        const now = performance.now()
        if (!stream.isTTY || now - latest < 50) return
        latest = now
        updated = true
        stream.write(`${clearLine}${line.slice(0, (stream.columns || 80) - 1)}`)
      })
  }
}

export { formatBytes } from "../progress/bar.ts"

export const formatSeconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`

export const formatShare = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)} %`

/** Rows in columns as wide as their longest cell. */
export const formatTable = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows.reduce<ReadonlyArray<number>>(
    (widest, row) => row.map((cell, i) => Math.max(widest[i] ?? 0, cell.length)),
    []
  )
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("   ")
        .trimEnd()
    )
    .join("\n")
}
