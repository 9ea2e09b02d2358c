/**
 * What a terminal shows after everything was written to it: as much of one as progress bars use.
 */
const escape = String.fromCharCode(27)
const sequence = new RegExp(`${escape}\\[(\\d*)([A-Z])|([\\r\\n])|([^${escape}\\r\\n]+)`, "g")

/** The lines, without those that are empty at the end. Long lines do not wrap. */
export const terminalScreen = (written: string): ReadonlyArray<string> => {
  const lines: Array<string> = [""]
  let [row, column] = [0, 0]
  for (const [, count, command, control, text] of written.matchAll(sequence)) {
    if (text !== undefined) {
      const line = (lines[row] ?? "").padEnd(column)
      lines[row] = line.slice(0, column) + text + line.slice(column + text.length)
      column += text.length
    } else if (control === "\r") column = 0
    else if (control === "\n") {
      row++
      lines[row] ??= ""
    } else if (command === "A") row = Math.max(0, row - Number(count || 1))
    else if (command === "J") {
      lines.splice(row + 1)
      lines[row] = (lines[row] ?? "").slice(0, column)
    } else if (command === "K") lines[row] = (lines[row] ?? "").slice(0, count === "2" ? 0 : column)
  }
  while (lines.at(-1) === "") lines.pop()
  return lines
}
