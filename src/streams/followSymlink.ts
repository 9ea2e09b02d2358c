/**
 * Where symbolic links of a layer lead, as far as the layer itself says: relative ones from the directory they are in, absolute ones from
 * the root. The reference looks for the text of the link, which finds the targets of hard links only.
 */
import { posix } from "node:path"
import type { ByteString, TocEntry } from "../services/Ztoc.ts"

/** Linux follows as many. */
const maxHops = 40

/** A name from the root without dots: `..` above the root stays there. */
const clean = (name: ByteString): ByteString => posix.join("/", name).replace(/\/+$/, "").slice(1)

/**
 * The name of the entry that a name leads to. Where a link's target is not in the layer, or links go in circles, the name of the
 * link: whoever looks for its content finds out.
 */
export const followSymlink = (entries: ReadonlyArray<TocEntry>, name: ByteString): ByteString => {
  const first = entries.find((entry) => entry.name === name)
  if (first?.type !== "symlink") return name
  const byName = new Map<ByteString, TocEntry>()
  for (const entry of entries) {
    const key = clean(entry.name)
    if (!byName.has(key)) byName.set(key, entry)
  }
  let found = first
  for (let hops = 0; hops < maxHops && found.type === "symlink"; hops++) {
    const { linkname } = found
    const target = byName.get(clean(linkname.startsWith("/") ? linkname : `${posix.dirname(found.name)}/${linkname}`))
    if (target === undefined) return found.name
    found = target
  }
  return found.name
}
