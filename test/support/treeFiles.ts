/**
 * What a mounted layer should show of each file, as its tree says it; and random trees to ask that of.
 */
import type { OpaqueXattr } from "../../src/services/FuseDriver.ts"
import type { LayerTree } from "../../src/services/LayerTree.ts"
import type { EntryType, TocEntry } from "../../src/services/Ztoc.ts"
import { entry, nodesOf, refusalOf, treeOf, xattrsAt } from "./tocEntries.ts"

/** Texts are one character a byte. */
export interface LayerFile {
  readonly inode: number
  readonly mode: number
  readonly owner: readonly [uid: number, gid: number]
  readonly links: number
  readonly device: number
  readonly mtime: readonly [seconds: number, nanoseconds: number]
  /** Of what is no directory. */
  readonly size: number | undefined
  /** Where the data of a file that is not empty begin in the layer's stream. */
  readonly dataOffset: number | undefined
  readonly target: string | undefined
  readonly xattrs: Record<string, string>
}

export const FileType = { mask: 0o170000, file: 0o100000, directory: 0o040000, symlink: 0o120000 } as const

const opaqueMarks: Record<OpaqueXattr, Record<string, string>> = {
  trusted: { "trusted.overlay.opaque": "y" },
  user: { "user.overlay.opaque": "y" },
  all: { "trusted.overlay.opaque": "y", "user.overlay.opaque": "y" }
}

const fileOf = (tree: LayerTree, node: number, opaqueXattr: OpaqueXattr): LayerFile => {
  const mode = tree.mode[node] ?? 0
  const type = mode & FileType.mask
  const size = tree.size[node] ?? 0
  const start = tree.targetOffset[node] ?? 0
  const target = Buffer.from(tree.bytes.slice(start, start + (tree.targetLength[node] ?? 0))).toString("latin1")
  return {
    inode: node + 1,
    mode,
    owner: [tree.uid[node] ?? 0, tree.gid[node] ?? 0],
    links: tree.nlink[node] ?? 0,
    device: tree.rdev[node] ?? 0,
    mtime: [tree.mtimeSeconds[node] ?? 0, tree.mtimeNanoseconds[node] ?? 0],
    size: type === FileType.directory ? undefined : size,
    dataOffset: type === FileType.file && size > 0 ? tree.dataOffset[node] : undefined,
    target: type === FileType.symlink ? target : undefined,
    xattrs: { ...xattrsAt(tree, node), ...(tree.opaque[node] === 1 ? opaqueMarks[opaqueXattr] : {}) }
  }
}

/** Each path of a tree, the root's is empty. */
export const filesOfTree = (tree: LayerTree, opaqueXattr: OpaqueXattr): ReadonlyMap<string, LayerFile> =>
  new Map([...nodesOf(tree)].map(([path, node]) => [path, fileOf(tree, node, opaqueXattr)]))

/** Numbers from 0 to below `limit`, the same for the same seed. */
export const randomNumbers = (seed: number): ((limit: number) => number) => {
  let state = seed | 0
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
  }
}

type Random = ReturnType<typeof randomNumbers>

/** Bytes of all values but NUL and slash; short ones of few values are frequent, so that names sort close to `.` and `..`. */
const randomName = (random: Random): string => {
  if (random(3) === 0) return String.fromCharCode(...Array.from({ length: 1 + random(3) }, () => 0x2c + random(3)))
  const length = random(8) === 0 ? 255 : 1 + random(20)
  return String.fromCharCode(...Array.from({ length }, () => 1 + random(255))).replaceAll("/", "0")
}

const types: ReadonlyArray<EntryType> = [
  "reg",
  "reg",
  "reg",
  "dir",
  "dir",
  "symlink",
  "hardlink",
  "char",
  "block",
  "fifo"
]

const randomXattrs = (random: Random): TocEntry["pax"] =>
  Array.from({ length: random(2) * random(4) }, (_, i) => [
    `SCHILY.xattr.${["user.", "security.", "user.overlay."][random(3)]}${"k".repeat(1 + random(200))}${i}`,
    "v".repeat(random(3) === 0 ? random(2000) : random(10))
  ])

/** A tree of some dozens of files of all kinds. */
export const randomTree = (seed: number): LayerTree => {
  const random = randomNumbers(seed)
  const directories = ["", ...Array.from({ length: random(8) }, () => `${randomName(random)}/`)]
  const files: Array<string> = []
  const entries = Array.from({ length: random(80) }, (): TocEntry => {
    const directory = directories[random(directories.length)] ?? ""
    const type = types[random(types.length)] ?? "reg"
    const name = directory + (random(12) === 0 ? [".wh.gone", ".wh..wh..opq"][random(2)] : randomName(random))
    if (type === "hardlink" && files.length === 0) return entry(name, "fifo")
    if (type === "reg") files.push(name)
    if (type === "dir" && name.length < 1000) directories.push(`${name}/`)
    return entry(name, type, {
      linkname:
        type === "hardlink" ? (files[random(files.length)] ?? "") : "t".repeat(1 + random(random(2) === 0 ? 40 : 4095)),
      offset: 512 * random(2 ** 20),
      size: type === "reg" && random(4) > 0 ? random(2 ** random(41)) : 0,
      mode: BigInt(random(0o10000)),
      uid: random(2 ** 32),
      gid: random(2 ** 16),
      modTime: `${1971 + random(200)}-02-0${1 + random(9)}T00:00:00.${random(10 ** 9)}Z`,
      devmajor: BigInt(random(2 ** 12)),
      devminor: BigInt(random(2 ** 20)),
      pax: randomXattrs(random)
    })
  })
  return treeOf(...acceptable(entries))
}

/** Leaves out what the tree would refuse: children of files, links to what was replaced. */
const acceptable = (entries: ReadonlyArray<TocEntry>): ReadonlyArray<TocEntry> => {
  const kept: Array<TocEntry> = []
  for (const one of entries) if (refusalOf(...kept, one) === "") kept.push(one)
  return kept
}
