/**
 * Manifests, image indexes and image configurations, read and written byte for byte as the reference does
 * (index-and-artifacts, section 3). Sizes over 2^53 - 1, which the reference accepts, are refused: they cannot be kept exactly.
 */
import { Result } from "effect"
import type { Descriptor, Platform } from "../../services/Descriptor.ts"
import {
  checkImageConfig,
  checkImageIndex,
  checkManifest,
  type ImageIndex,
  MalformedDocument,
  type Manifest,
  maxDocumentBytes
} from "../../services/Image.ts"
import { isIndexType, isManifestType } from "../../services/MediaType.ts"
import { type CanonicalValue, encodeCanonicalJson } from "./canonicalJson.ts"
import { type Form, leaf, list, optional, parseJson, required, structure, textMap } from "./goJson.ts"

const base64Pattern = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** Base64 as Go writes it again: line breaks inside are skipped, anything else that is no base64 is refused. */
const base64: Form = (value) => {
  if (typeof value !== "string") return value
  const text = value.replaceAll(/[\r\n]/g, "")
  return base64Pattern.test(text) ? btoa(atob(text)) : { notBase64: value }
}

const platformForm = structure(
  required("architecture", ""),
  required("os", ""),
  optional("os.version"),
  optional("os.features", list(leaf)),
  optional("variant")
)

export const descriptorForm = structure(
  required("mediaType", ""),
  required("digest", ""),
  required("size", 0),
  optional("urls", list(leaf)),
  optional("annotations", textMap),
  optional("data", base64),
  optional("platform", platformForm),
  optional("artifactType")
)

const aroundContent = [
  required("schemaVersion", 0),
  optional("mediaType"),
  optional("artifactType"),
  optional("subject", descriptorForm),
  optional("annotations", textMap)
]

const manifestForm = structure(
  ...aroundContent,
  required("config", descriptorForm({}), descriptorForm),
  required("layers", null, list(descriptorForm))
)

const indexForm = structure(...aroundContent, required("manifests", null, list(descriptorForm)))

const configForm = structure(
  optional("architecture"),
  optional("os"),
  optional("variant"),
  optional("config", structure(optional("Env", list(leaf)), optional("WorkingDir"))),
  required("rootfs", { type: "", diff_ids: [] }, structure(required("type", ""), required("diff_ids", [], list(leaf))))
)

/** What tells the kinds of documents apart (index-and-artifacts, 6.6). */
const kindForm = structure(
  optional("mediaType"),
  optional("config"),
  optional("layers"),
  optional("manifests"),
  optional("fsLayers")
)

/**
 * Refuses a document that could be taken for one of another kind: whoever reads it must not see another image than who
 * checked it.
 */
const refuseOtherKind = (parsed: unknown, expected: "manifest" | "index"): void => {
  const kind = kindForm(parsed)
  if (typeof kind !== "object" || kind === null) return
  const mediaType = "mediaType" in kind && typeof kind.mediaType === "string" ? kind.mediaType : ""
  if ("fsLayers" in kind) throw new SyntaxError("media-type: schema 1 not supported")
  if (expected === "index" && ("config" in kind || "layers" in kind || isManifestType(mediaType))) {
    throw new SyntaxError(`media-type: expected index but found manifest (${mediaType})`)
  }
  if (expected === "manifest" && ("manifests" in kind || isIndexType(mediaType))) {
    throw new SyntaxError(`media-type: expected manifest but found index (${mediaType})`)
  }
}

/** A reason may quote the document, which may be large and is not ours. */
const reasonLength = 400

const decoder =
  <A>(check: (value: unknown) => Result.Result<A, Error>, form: Form, kind: "manifest" | "index" | "config") =>
  (bytes: Uint8Array, name: string = kind): Result.Result<A, MalformedDocument> => {
    const malformed = (reason: string) =>
      new MalformedDocument({ document: name, reason: reason.slice(0, reasonLength) })
    if (bytes.length > maxDocumentBytes) {
      return Result.fail(malformed(`it has ${bytes.length} bytes, at most ${maxDocumentBytes} are read`))
    }
    const normalized = Result.try({
      try: () => {
        const parsed = parseJson(bytes)
        if (kind !== "config") refuseOtherKind(parsed, kind)
        return form(parsed)
      },
      catch: (error) => malformed(error instanceof Error ? error.message : String(error))
    })
    return Result.flatMap(normalized, (value) => Result.mapError(check(value), (error) => malformed(error.message)))
  }

/** Reads a manifest, or a SOCI index, of at most 4 MiB. `name` stands in the error for the document. */
export const decodeManifest = decoder(checkManifest, manifestForm, "manifest")

/** Reads an image index or manifest list of at most 4 MiB. */
export const decodeImageIndex = decoder(checkImageIndex, indexForm, "index")

/** Reads what we use of an image configuration of at most 4 MiB. */
export const decodeImageConfig = decoder(checkImageConfig, configForm, "config")

/** `omitempty` of Go: what is left out of a structure. */
const unlessEmpty = <A extends CanonicalValue>(value: A | undefined): A | undefined =>
  value === "" || (Array.isArray(value) && value.length === 0) ? undefined : value

const map = (entries: Readonly<Record<string, string>> | undefined): ReadonlyMap<string, string> | undefined =>
  entries === undefined || Object.keys(entries).length === 0 ? undefined : new Map(Object.entries(entries))

const platformValue = (platform: Platform): CanonicalValue => ({
  architecture: platform.architecture,
  os: platform.os,
  "os.version": unlessEmpty(platform["os.version"]),
  "os.features": unlessEmpty(platform["os.features"]),
  variant: unlessEmpty(platform.variant)
})

/** A descriptor in the order of its schema, for documents that hold descriptors among other things. */
export const descriptorValue = (descriptor: Descriptor): CanonicalValue => ({
  mediaType: descriptor.mediaType,
  digest: descriptor.digest,
  size: descriptor.size,
  urls: unlessEmpty(descriptor.urls),
  annotations: map(descriptor.annotations),
  data: unlessEmpty(descriptor.data),
  platform: descriptor.platform && platformValue(descriptor.platform),
  artifactType: unlessEmpty(descriptor.artifactType)
})

export const encodeManifest = (manifest: Manifest): Uint8Array =>
  encodeCanonicalJson({
    schemaVersion: manifest.schemaVersion,
    mediaType: unlessEmpty(manifest.mediaType),
    artifactType: unlessEmpty(manifest.artifactType),
    config: descriptorValue(manifest.config),
    layers: manifest.layers && manifest.layers.map(descriptorValue),
    subject: manifest.subject && descriptorValue(manifest.subject),
    annotations: map(manifest.annotations)
  })

export const encodeImageIndex = (index: ImageIndex): Uint8Array =>
  encodeCanonicalJson({
    schemaVersion: index.schemaVersion,
    mediaType: unlessEmpty(index.mediaType),
    artifactType: unlessEmpty(index.artifactType),
    manifests: index.manifests && index.manifests.map(descriptorValue),
    subject: index.subject && descriptorValue(index.subject),
    annotations: map(index.annotations)
  })
