/**
 * Finds the spans of files that are to be fetched before they are read (index-and-artifacts spec, 7.1).
 *
 * Unlike the reference (section 14, row 6) names are compared in their clean form, so that `./` in front of them is no matter; a range ends
 * with the span of a file's last byte; and a file that an upper layer deletes or replaces is not looked for below.
 */
import { Result } from "effect"
import { posix } from "node:path"
import type { PrefetchSpan } from "../services/PrefetchArtifact.ts"
import type { ByteString, InvalidZtoc, TocEntry, Ztoc } from "../services/Ztoc.ts"
import { spansOf } from "./codec/zinfo.ts"
import { spanAt } from "./extractRange.ts"

/** What a layer says of a path: where its bytes are, or that no layer below counts; `undefined` where it says nothing. */
export type LayerAnswer = { readonly first: number; readonly last: number } | "hidden" | undefined

const whiteout = ".wh."
const opaque = ".wh..wh..opq"

/** The path from the root without `.`, `..`, double and outer slashes. */
export const cleanPrefetchPath = (path: string): string => posix.normalize(`/${path}`).replace(/\/$/, "").slice(1)

/** Most names in layers are clean: looking is cheaper than cleaning. */
const unclean = /^\.?\/|\/$|\/\/|\/\.\.?\/|^\.\.?$|\/\.\.?$|^\.\.\//

const cleanName = (name: ByteString): ByteString => (unclean.test(name) ? cleanPrefetchPath(name) : name)

const parentsOf = (name: string): ReadonlyArray<string> =>
  name.split("/").flatMap((_part, i, parts) => (i === 0 ? [] : [parts.slice(0, i).join("/")]))

/** The paths by name, and by what hides them in the layers below. */
const indexPaths = (paths: ReadonlyArray<string>) => {
  const named = new Map<ByteString, Array<number>>()
  const below = new Map<ByteString, Array<number>>()
  const add = (map: typeof named, key: ByteString, i: number) => {
    const known = map.get(key)
    if (known === undefined) map.set(key, [i])
    else known.push(i)
  }
  for (const [i, path] of paths.entries()) {
    // Names of a ztoc are one character a byte.
    const name = Buffer.from(path, "utf8").toString("latin1")
    add(named, name, i)
    add(below, "", i)
    for (const parent of parentsOf(name)) add(below, parent, i)
  }
  return { named, below }
}

/** What the layer of a ztoc says of each path; paths are clean. Of entries with equal names the last counts, as when unpacking. */
export const prefetchAnswers = (
  ztoc: Ztoc,
  paths: ReadonlyArray<string>
): Result.Result<ReadonlyArray<LayerAnswer>, InvalidZtoc> =>
  Result.map(spansOf(ztoc), ({ spans }) => {
    const { named, below } = indexPaths(paths)
    const found = new Map<number, TocEntry>()
    const hidden = new Set<number>()
    const hide = (indexes: ReadonlyArray<number> | undefined) => {
      for (const i of indexes ?? []) hidden.add(i)
    }
    for (const entry of ztoc.entries) {
      const name = cleanName(entry.name)
      const slash = name.lastIndexOf("/") + 1
      const base = name.slice(slash)
      if (base === opaque) {
        hide(below.get(name.slice(0, Math.max(slash - 1, 0))))
      } else if (base.startsWith(whiteout)) {
        const target = name.slice(0, slash) + base.slice(whiteout.length)
        hide(named.get(target))
        hide(below.get(target))
      } else if (entry.type === "dir") {
        for (const i of named.get(name) ?? []) {
          found.delete(i)
          hidden.add(i)
        }
      } else {
        for (const i of named.get(name) ?? []) found.set(i, entry)
        hide(below.get(name))
      }
    }
    return paths.map((_path, i): LayerAnswer => {
      const entry = found.get(i)
      if (entry === undefined) return hidden.has(i) ? "hidden" : undefined
      return {
        first: spanAt(spans, entry.offset),
        last: spanAt(spans, entry.offset + Math.max(entry.size, 1) - 1)
      }
    })
  })

/** Ranges in order, those that overlap or adjoin as one. */
export const mergeSpanRanges = (
  ranges: ReadonlyArray<{ readonly first: number; readonly last: number }>
): ReadonlyArray<PrefetchSpan> => {
  const merged: Array<{ first: number; last: number }> = []
  for (const { first, last } of [...ranges].sort((a, b) => a.first - b.first || a.last - b.last)) {
    const current = merged.at(-1)
    if (current !== undefined && first <= current.last + 1) current.last = Math.max(current.last, last)
    else merged.push({ first, last })
  }
  return merged.map(({ first, last }) => ({ startSpan: first, endSpan: last, priority: 0 }))
}
