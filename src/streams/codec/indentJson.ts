/**
 * JSON on several lines, as Go's `json.Indent` lays it out: every token keeps its spelling, escapes and numbers included.
 */
import { Result } from "effect"

const token = /"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/gu

/** Two blanks a level, no newline at the end. Fails with the parser's words for what is no JSON. */
export const indentJson = (text: string): Result.Result<string, string> =>
  Result.try({
    try: () => {
      JSON.parse(text)
      return layOut(text)
    },
    catch: (error) => (error instanceof Error ? error.message : String(error))
  })

const layOut = (text: string): string => {
  const written: Array<string> = []
  let depth = 0
  let isOpen = false
  const newLine = () => written.push(`\n${"  ".repeat(depth)}`)
  for (const [part] of text.matchAll(token)) {
    const closes = part === "}" || part === "]"
    if (closes) depth--
    // What is empty stays on its line.
    if (isOpen ? !closes : closes) newLine()
    isOpen = part === "{" || part === "["
    if (isOpen) depth++
    written.push(part === ":" ? ": " : part)
    if (part === ",") newLine()
  }
  return written.join("")
}
