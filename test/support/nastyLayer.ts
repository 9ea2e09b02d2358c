/**
 * A layer with a file of every kind, and what the kernel must say of each.
 */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import type { TocEntry } from "../../src/services/Ztoc.ts"
import { noise } from "./content.ts"
import type { FileFacts } from "./fileTree.ts"
import { heldLayer, type HeldFile } from "./heldLayer.ts"
import { directory, entry, file, hardLink, nodesOf, symlink } from "./tocEntries.ts"

const xattr = (name: string, value: string) => [`SCHILY.xattr.${name}`, value] as const

/** `cap_net_raw+ep` in the form of the kernel (VFS_CAP_REVISION_2). */
const capability = "\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

/** An access list: owner rw, the user 1000 r, group r, mask r, others nothing. */
const accessList = Buffer.concat([
  Buffer.from([2, 0, 0, 0]),
  ...[
    [1, 6, 0xffff_ffff],
    [2, 4, 1000],
    [4, 4, 0xffff_ffff],
    [0x10, 4, 0xffff_ffff],
    [0x20, 0, 0xffff_ffff]
  ].map(([tag = 0, permissions = 0, id = 0]) => {
    const bytes = Buffer.alloc(8)
    bytes.writeUInt16LE(tag, 0)
    bytes.writeUInt16LE(permissions, 2)
    bytes.writeUInt32LE(id, 4)
    return bytes
  })
]).toString("latin1")

export const bigContent = noise(5_000_003, 7)
export const programPath = "/bin/true"

/** Sizes around pages and blocks. */
const sizes = [0, 1, 511, 512, 513, 4095, 4096, 4097, 70_000]

const longName = "n".repeat(255)
const latinName = "caf\xe9 \xff\x80"
const longTarget = `${"t/".repeat(2000)}end`

const withContent = (held: TocEntry, content: Uint8Array | string): HeldFile => ({
  entry: held,
  content: Buffer.from(content)
})
const without = (held: TocEntry): HeldFile => ({ entry: held })

export const crowd = 3_000

export const nastyFiles: ReadonlyArray<HeldFile> = [
  without(directory("./", { mode: 0o751n, uid: 3, gid: 4 })),
  withContent(
    file("plain", { modTime: "2023-11-14T22:13:20.123456789Z", uid: 1000, gid: 4_000_000_000 }),
    "plain text"
  ),
  without(
    hardLink("dir/link to plain", "plain", { modTime: "2023-11-14T22:13:20.123456789Z", uid: 1000, gid: 4_000_000_000 })
  ),
  without(directory("dir", { mode: 0o1777n })),
  without(directory("setgid", { mode: 0o2755n })),
  ...sizes.map((size) => withContent(file(`size/${size}`), noise(size, size + 1))),
  withContent(file("setuid", { mode: 0o4755n }), "#!"),
  withContent(file("secret", { mode: 0n }), "nobody"),
  withContent(file("old"), "old"),
  without(symlink("short", "plain")),
  without(symlink("long", longTarget)),
  without(symlink("middle", "m".repeat(500))),
  without(symlink("dangling", "../../nowhere")),
  without(symlink("tagged", "plain", { pax: [xattr("security.label", "x")] })),
  without(entry("fifo", "fifo", { mode: 0o620n })),
  without(entry("char", "char", { mode: 0o666n, devmajor: 1n, devminor: 3n })),
  without(entry("block", "block", { mode: 0o660n, devmajor: 259n, devminor: 70_000n })),
  withContent(
    file("xattrs", {
      pax: [
        xattr("security.capability", capability),
        xattr("user.binary", "\0\xff\n"),
        xattr("user.comment", "hello"),
        xattr("user.empty", ""),
        xattr("user.long", "v".repeat(3000))
      ]
    }),
    "x"
  ),
  withContent(file("acl", { mode: 0o640n, pax: [xattr("system.posix_acl_access", accessList)] }), "y"),
  without(directory("opaque", { pax: [xattr("user.own", "1")] })),
  without(file("opaque/.wh..wh..opq")),
  without(file("dir/.wh.hidden")),
  without(file(".wh.gone")),
  withContent(file(longName), "long"),
  withContent(file(latinName), "latin"),
  withContent(file("!first"), "sorts before the dots"),
  withContent(file(".hidden"), "sorts between"),
  withContent(file("..twodots"), "sorts behind"),
  withContent(file(".-between"), "sorts between the dots"),
  ...Array.from({ length: crowd }, (_, i) => withContent(file(`crowd/${i}`), i % 100 === 0 ? `member ${i}` : "")),
  ...Array.from({ length: 40 }, (_, depth) => without(directory(`deep/${"d/".repeat(depth)}d`))),
  withContent(file("program", { mode: 0o755n }), readFileSync(programPath)),
  withContent(file("big"), bigContent)
]

/** Before the epoch, which no ztoc says but a tree can hold. */
const oldSeconds = -3_600
const oldNanoseconds = 250_000_000

export const nastyLayer = (options: { readonly held?: boolean } = {}) =>
  Effect.map(heldLayer(nastyFiles, options), (layer) => {
    const node = nodesOf(layer.tree).get("old") ?? -1
    layer.tree.mtimeSeconds[node] = oldSeconds
    layer.tree.mtimeNanoseconds[node] = oldNanoseconds
    return layer
  })

const nanosecondsOf = (modTime: string): string => {
  const [, fraction = ""] = /\.(\d+)Z/.exec(modTime) ?? []
  return String(BigInt(Math.floor(Date.parse(modTime) / 1000)) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0")))
}

const typeNames = {
  reg: "file",
  dir: "directory",
  symlink: "symlink",
  hardlink: "file",
  char: "char",
  block: "block",
  fifo: "fifo"
}
const isKnown = (type: string): type is keyof typeof typeNames => type in typeNames

const whiteout: FileFacts = { type: "char", mode: "0", owner: "0:0", mtime: "0", device: "0:0", xattrs: {} }

const implied: FileFacts = { type: "directory", mode: "755", owner: "0:0", mtime: "0", xattrs: {} }

const factsOf = ({ entry: held, content = Buffer.alloc(0) }: HeldFile): FileFacts => {
  const type = isKnown(held.type) ? typeNames[held.type] : "?"
  const xattrs = held.pax.map(([key, value]) => [key.replace("SCHILY.xattr.", ""), value] as const)
  return {
    type,
    mode: held.mode.toString(8),
    owner: `${held.uid}:${held.gid}`,
    mtime:
      held.name === "old"
        ? String(BigInt(oldSeconds) * 1_000_000_000n + BigInt(oldNanoseconds))
        : nanosecondsOf(held.modTime),
    ...(type === "file" && {
      size: String(content.length),
      sha256: createHash("sha256").update(content).digest("hex").slice(0, 16)
    }),
    ...(type === "symlink" && { target: held.linkname }),
    ...((type === "char" || type === "block") && { device: `${held.devmajor}:${held.devminor}` }),
    xattrs: Object.fromEntries(xattrs)
  }
}

/** What `fileTree` must find, by path. */
export const nastyFacts = (): Record<string, FileFacts> => {
  const facts = new Map<string, FileFacts>()
  for (const held of nastyFiles) {
    const { name } = held.entry
    const parent = name.slice(0, Math.max(name.lastIndexOf("/"), 0))
    if (parent !== "" && parent !== "." && !facts.has(parent)) facts.set(parent, implied)
    const base = name.slice(name.lastIndexOf("/") + 1)
    if (base === "" || base === ".wh..wh..opq") continue
    if (base.startsWith(".wh.")) facts.set(name.replace(".wh.", ""), whiteout)
    else facts.set(name, factsOf(held))
  }
  const opaque = facts.get("opaque") ?? implied
  facts.set("opaque", { ...opaque, xattrs: { "trusted.overlay.opaque": "y", ...opaque.xattrs } })
  const plain = facts.get("plain") ?? implied
  facts.set("dir/link to plain", plain)
  facts.set("plain", { ...plain, linkedTo: "dir/link to plain" })
  return Object.fromEntries([...facts].toSorted(([one], [other]) => (one < other ? -1 : 1)))
}
