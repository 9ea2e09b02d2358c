/**
 * Finds entries of a table of contents by name, as the reference's extraction does (ztoc spec, 10).
 */
import { Result } from "effect"
import { FileNotInZtoc, LinkLoop } from "../services/ZtocReader.ts"
import type { ByteString } from "../services/Ztoc.ts"
import type { PlacedEntry } from "./codec/ztoc.ts"
import { readable } from "./tarHeaderCheck.ts"

/** Links that are followed; Linux follows 40. */
const maxHops = 255

/** The first entry of a name, or of the name its link says. Names are compared byte for byte. */
export const findEntry = (
  entries: ReadonlyArray<PlacedEntry>,
  name: ByteString
): Result.Result<PlacedEntry, FileNotInZtoc | LinkLoop> => {
  let wanted = name
  for (let hops = 0; hops <= maxHops; hops++) {
    const found = entries.find(({ entry }) => entry.name === wanted)
    if (found === undefined) {
      return Result.fail(new FileNotInZtoc({ name: readable(wanted), requested: readable(name) }))
    }
    if (found.entry.linkname === "") return Result.succeed(found)
    wanted = found.entry.linkname
  }
  return Result.fail(new LinkLoop({ name: readable(name), hops: maxHops }))
}
