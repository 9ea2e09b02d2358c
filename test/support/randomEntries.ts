/**
 * Random tables of contents, dense with duplicates, links, whiteouts and names to be cleaned.
 */
import type { EntryType, TocEntry } from "../../src/services/Ztoc.ts"
import type { TarMember } from "./tarArchive.ts"
import { entry } from "./tocEntries.ts"

/** A generator of whole numbers below a bound; the same seed, the same numbers. */
const randomNumbers = (seed: number) => {
  let state = Math.imul(seed, 7919) + 1
  return (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return (state >>> 8) % below
  }
}

const types: ReadonlyArray<EntryType> = [
  ...(["reg", "reg", "dir", "dir", "symlink", "symlink", "hardlink", "hardlink", "char", "fifo"] as const)
]

export const randomEntries = (seed: number): ReadonlyArray<TocEntry> => {
  const below = randomNumbers(seed)
  const pick = <A>(one: A, ...others: ReadonlyArray<A>): A => [one, ...others][below(others.length + 1)] ?? one
  const chance = (in_: number) => below(in_) === 0

  const directories = (dots: boolean) => {
    const parts = Array.from({ length: below(4) }, () => {
      const part = dots && chance(6) ? pick("..", ".", "") : pick("a", "b", "s", "t")
      return `${part}/`
    })
    return pick("", "", "./", "/", dots ? "../" : "") + parts.join("")
  }
  const baseOf = (type: EntryType) => {
    if (chance(10)) return `.wh.${pick("a", "b", "f", "g", ".wh..opq")}`
    if (chance(12)) return pick("a", "s", "f", "..")
    return type === "dir" ? pick("a", "b") : type === "symlink" ? pick("s", "t") : pick("f", "g", "h")
  }

  const entries: Array<TocEntry> = []
  const linknameOf = (type: EntryType): string => {
    const known = entries.filter((one) => one.type !== "dir")[below(entries.length + 1)]
    if (type === "hardlink") return known !== undefined && !chance(4) ? known.name : `${directories(chance(3))}f`
    return type === "symlink" ? `${directories(chance(2))}${pick("a", "b", "s", "f")}` : ""
  }
  const count = 3 + below(14)
  while (entries.length < count) {
    const chosen = pick("reg", ...types)
    const name = `${directories(chance(3))}${baseOf(chosen)}`
    const type = name.includes(".wh.") ? "reg" : chosen
    entries.push(
      entry(name, type, {
        linkname: linknameOf(type),
        size: type === "reg" && !name.includes(".wh.") ? 1 + below(9) : 0,
        mode: type === "symlink" ? 0o777n : BigInt(below(0o1000)),
        uid: below(3),
        gid: below(3),
        modTime: new Date((1e9 + below(1e8)) * 1000).toISOString().replace(".000", ""),
        ...(type === "char" ? { devmajor: BigInt(1 + below(3)), devminor: BigInt(below(500)) } : {})
      })
    )
  }
  return entries
}

const typeFlags: ReadonlyMap<string, string> = new Map([
  ["reg", "0"],
  ["hardlink", "1"],
  ["symlink", "2"],
  ["char", "3"],
  ["block", "4"],
  ["dir", "5"],
  ["fifo", "6"]
])

/** The entry as a member of an archive. */
export const memberOf = (one: TocEntry): TarMember => ({
  name: one.name,
  type: typeFlags.get(one.type) ?? "0",
  content: "x".repeat(one.size),
  linkname: one.linkname,
  mode: Number(one.mode),
  uid: one.uid,
  gid: one.gid,
  mtime: Date.parse(one.modTime) / 1000,
  device: [Number(one.devmajor), Number(one.devminor)]
})
