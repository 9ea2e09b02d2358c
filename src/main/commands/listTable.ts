/**
 * Tables as the reference prints them: every cell, also the last of a line, is padded to its column's longest and four blanks
 * more, at least eight characters (cli spec, section 1).
 */
export const listTable = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows.reduce<ReadonlyArray<number>>(
    (widest, row) => row.map((cell, i) => Math.max(widest[i] ?? 8, [...cell].length + 4)),
    []
  )
  const padded = (cell: string, i: number) => cell + " ".repeat((widths[i] ?? 0) - [...cell].length)
  return rows.map((row) => `${row.map(padded).join("")}\n`).join("")
}
