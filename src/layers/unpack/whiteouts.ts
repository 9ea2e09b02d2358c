/**
 * What a layer takes away from those below it (OCI image-spec, "Whiteouts"), and how overlayfs is told so.
 */
import type { WhiteoutForm } from "../../services/Unpacker.ts"
import type { ByteString } from "../../services/Ztoc.ts"
import { chownAt, FileType, makeNode, setXattrAt, statusAt, unlink } from "../native/fileSystem.ts"
import { check, checked, EntryProblem, Errno } from "./EntryProblem.ts"
import { makeImplied } from "./RootDirectory.ts"

const prefix = ".wh."
const opaqueMarker = ".wh..wh..opq"

export type Whiteout = { readonly type: "opaque" } | { readonly type: "hidden"; readonly name: ByteString }

/** What the last part of a path says, if it is a marker. */
export const whiteoutOf = (base: ByteString): Whiteout | undefined => {
  if (!base.startsWith(prefix)) return undefined
  if (base === opaqueMarker) return { type: "opaque" }
  const name = base.slice(prefix.length)
  if (["", ".", ".."].includes(name)) {
    throw new EntryProblem("read the whiteout", "it names nothing in its directory: the layer is invalid")
  }
  return { type: "hidden", name }
}

const yes = Buffer.from("y")

/** What is below this directory in lower layers does not show. */
export const markOpaque = (directory: number, name: ByteString, form: WhiteoutForm): void => {
  const key = form === "overlay-userxattr" ? "user.overlay.opaque" : "trusted.overlay.opaque"
  check(`set ${key}`, setXattrAt(directory, name, key, yes))
}

/** A name of this layer hides the lower one by itself, but a directory only when it is opaque. */
export const hideByDevice = (
  directory: number,
  name: ByteString,
  owner: { readonly uid: number; readonly gid: number },
  form: WhiteoutForm
): void => {
  const answer = makeNode(directory, name, FileType.character, 0, 0)
  if (answer === -Errno.exists) {
    const { type } = checked(`look at "${name}"`, statusAt(directory, name))
    if (type === FileType.directory) markOpaque(directory, name, form)
    return
  }
  check(`make a whiteout of "${name}"`, answer)
  check(`change the owner of "${name}"`, chownAt(directory, name, owner.uid, owner.gid))
}

const isWhiteoutDevice = (directory: number, name: ByteString): boolean => {
  const status = statusAt(directory, name)
  if (typeof status === "number" || status.type !== FileType.character) return false
  return status.device.major === 0 && status.device.minor === 0
}

/** The lower name is hidden and a directory of this layer stands there: it must stay hidden. Answers whether it was so. */
export const replaceWhiteout = (directory: number, name: ByteString, form: WhiteoutForm): boolean => {
  if (form === "apply" || !isWhiteoutDevice(directory, name)) return false
  check(`remove the whiteout "${name}"`, unlink(directory, name))
  makeImplied(directory, name)
  markOpaque(directory, name, form)
  return true
}
