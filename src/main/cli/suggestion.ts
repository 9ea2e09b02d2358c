/**
 * Which known words somebody may have meant.
 */

/** Insertions, deletions and replacements from one word to the other (Levenshtein). */
const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (const [i, left] of [...a].entries()) {
    const next = [i + 1]
    for (const [j, right] of [...b].entries()) {
      next.push(Math.min((row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1, (row[j] ?? 0) + (left === right ? 0 : 1)))
    }
    row = next
  }
  return row[b.length] ?? 0
}

/** The nearest of the words, if they are at most two edits away; longer words are cut off before they cost anything. */
export const suggest = (word: string, known: ReadonlyArray<string>): ReadonlyArray<string> => {
  const near = known
    .filter((other) => Math.abs(other.length - word.length) <= 2)
    .map((other) => ({ other, edits: distance(word, other) }))
  const least = Math.min(2, ...near.map(({ edits }) => edits))
  return near.filter(({ edits }) => edits === least).map(({ other }) => other)
}
