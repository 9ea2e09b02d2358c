/**
 * What `soci ztoc info` prints: the reference's JSON, line by line (ztoc spec, 10).
 */
import { Result } from "effect"
import type { InvalidZtoc, Zinfo, Ztoc } from "../services/Ztoc.ts"
import { goJsonText } from "./codec/goText.ts"
import { zinfoOf } from "./codec/zinfo.ts"
import { layoutEntries, type PlacedEntry } from "./codec/ztoc.ts"

/** The span that the reference finds for an uncompressed offset; spans need not be valid (ztoc spec, 3.5). */
const spanFinder = (zinfo: Zinfo): ((offset: number) => number) => {
  if (zinfo.algorithm === "uncompressed") return (offset) => Math.floor(offset / zinfo.spanSize)
  // The search goes from the front and stops at the first checkpoint behind the offset: of those before, only the highest counts.
  const highest: Array<number> = []
  for (const { out } of zinfo.checkpoints.slice(1)) highest.push(Math.max(highest.at(-1) ?? out, out))
  return (offset) => {
    let low = 0
    let high = highest.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((highest[middle] ?? 0) <= offset) low = middle + 1
      else high = middle
    }
    return low
  }
}

const member = (name: string, value: string | number): string => `      "${name}": ${value}`

const fileLines = ({ entry }: PlacedEntry, first: number, last: number, comma: string): string =>
  [
    "    {",
    [
      member("filename", goJsonText(entry.name)),
      member("offset", entry.offset),
      member("size", entry.size),
      member("type", goJsonText(entry.type)),
      member("start_span", first),
      member("end_span", last)
    ].join(",\n"),
    `    }${comma}`
  ].join("\n")

/** Pieces of text that end with newlines, one for each file. `size` is that of the ztoc itself, in bytes. */
export const ztocInfo = (ztoc: Ztoc, size: number): Result.Result<Iterable<string>, InvalidZtoc> =>
  Result.gen(function* () {
    const zinfo = yield* zinfoOf(ztoc)
    const entries = yield* layoutEntries(ztoc.entries)
    return pieces(ztoc, size, zinfo, entries)
  })

const pieces = function* (
  ztoc: Ztoc,
  size: number,
  zinfo: Zinfo,
  entries: ReadonlyArray<PlacedEntry>
): Generator<string> {
  const spanOf = spanFinder(zinfo)
  const spansOfEntry = ({ entry }: PlacedEntry) => [spanOf(entry.offset), spanOf(entry.offset + entry.size)] as const
  let multiSpan = 0
  for (const placed of entries) {
    const [first, last] = spansOfEntry(placed)
    if (first !== last) multiSpan++
  }
  yield `{
  "version": ${goJsonText(ztoc.version)},
  "build_tool": ${goJsonText(ztoc.buildToolIdentifier)},
  "size": ${size},
  "span_size": ${zinfo.spanSize},
  "num_spans": ${ztoc.maxSpanId + 1},
  "num_files": ${entries.length},
  "num_multi_span_files": ${multiSpan},
  "files": ${entries.length === 0 ? "null" : "["}
`
  for (const [index, placed] of entries.entries()) {
    const [first, last] = spansOfEntry(placed)
    yield `${fileLines(placed, first, last, index === entries.length - 1 ? "" : ",")}\n`
  }
  yield entries.length === 0 ? "}\n" : "  ]\n}\n"
}
