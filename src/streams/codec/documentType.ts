/**
 * What kind of image document some bytes are, where nothing but the bytes says so.
 */
import { isIndexType, isManifestType, MediaType } from "../../services/MediaType.ts"
import { optional, parseJson, structure } from "./goJson.ts"

const kindForm = structure(
  optional("mediaType"),
  optional("manifests"),
  optional("config"),
  optional("layers"),
  optional("fsLayers")
)

/** The media type of a manifest or index by its own word, or by its members; `undefined` for anything else. */
export const documentMediaType = (bytes: Uint8Array): string | undefined => {
  try {
    const kind = kindForm(parseJson(bytes))
    if (typeof kind !== "object" || kind === null || "fsLayers" in kind) return undefined
    const own = "mediaType" in kind && typeof kind.mediaType === "string" ? kind.mediaType : ""
    if (isManifestType(own) || isIndexType(own)) return own
    if ("manifests" in kind) return MediaType.ociIndex
    return "config" in kind && "layers" in kind ? MediaType.ociManifest : undefined
  } catch {
    return undefined
  }
}
