/**
 * What a manifest of a layout points to, by its media type (oci-layout-store, section 3).
 *
 * Read leniently: a document that is no complete image manifest still has a place in the graph. What is listed in it and cannot be
 * followed, such as a digest of another algorithm, is counted in `strangers`: nobody may conclude that nothing else is needed.
 */
import { Option, Schema } from "effect"
import { Annotations, Descriptor } from "../../services/Descriptor.ts"
import { isIndexType, isManifestType, MediaType } from "../../services/MediaType.ts"
import { leaf, list, optional, parseJson, structure, textMap } from "../../streams/codec/goJson.ts"
import { descriptorForm } from "../../streams/codec/imageDocuments.ts"

/** The retired OCI artifact manifest: others still have some. */
export const artifactManifestType = "application/vnd.oci.artifact.manifest.v1+json"

/** What a push or a tag of this media type has to be entered for. */
export const isListedType = (mediaType: string): boolean =>
  isManifestType(mediaType) || isIndexType(mediaType) || mediaType === artifactManifestType

/** The types that may have a subject. */
const mayReferTo = new Set<string>([MediaType.ociManifest, MediaType.ociIndex, artifactManifestType])

export interface ManifestLinks {
  readonly subject: Descriptor | undefined
  /** The subject, then all else, in the order of the document. */
  readonly successors: ReadonlyArray<Descriptor>
  readonly strangers: number
  readonly artifactType: string | undefined
  readonly annotations: Annotations | undefined
}

const linksForm = structure(
  optional("artifactType"),
  optional("subject", descriptorForm),
  optional("config", descriptorForm),
  optional("layers", list(descriptorForm)),
  optional("manifests", list(descriptorForm)),
  optional("blobs", list(descriptorForm)),
  optional("annotations", textMap)
)

const Links = Schema.Struct({
  artifactType: Schema.optionalKey(Schema.Unknown),
  subject: Schema.optionalKey(Schema.Unknown),
  config: Schema.optionalKey(Schema.Unknown),
  layers: Schema.optionalKey(Schema.Array(Schema.Unknown)),
  manifests: Schema.optionalKey(Schema.Array(Schema.Unknown)),
  blobs: Schema.optionalKey(Schema.Array(Schema.Unknown)),
  annotations: Schema.optionalKey(Schema.Unknown)
})
const decodeLinks = Schema.decodeUnknownSync(Links)
const decodeDescriptor = Schema.decodeUnknownOption(Descriptor)
const decodeAnnotations = Schema.decodeUnknownOption(Annotations)
const decodeMediaType = Schema.decodeUnknownOption(Schema.Struct({ mediaType: Schema.String }))
const isText = Schema.is(Schema.NonEmptyString)
const emptyDigest = Schema.is(Schema.Struct({ digest: Schema.Literal("") }))

const listOf = (links: typeof Links.Type, mediaType: string): ReadonlyArray<unknown> => {
  if (isIndexType(mediaType)) return links.manifests ?? []
  if (mediaType === artifactManifestType) return links.blobs ?? []
  return [...(links.config === undefined ? [] : [links.config]), ...(links.layers ?? [])]
}

/** Reads a manifest; throws for what is no JSON object of lists. */
export const parseManifestLinks = (mediaType: string, bytes: Uint8Array): ManifestLinks => {
  const links = decodeLinks(linksForm(leaf(parseJson(bytes))))
  const subject =
    mayReferTo.has(mediaType) && links.subject !== undefined ? decodeDescriptor(links.subject) : Option.none()
  const listed = listOf(links, mediaType).filter((entry) => !emptyDigest(entry))
  const decoded = listed.flatMap((entry) => Option.toArray(decodeDescriptor(entry)))
  const configType = Option.map(decodeMediaType(links.config), (config) => config.mediaType)
  const artifactType = isText(links.artifactType) ? links.artifactType : Option.getOrUndefined(configType)
  return {
    subject: Option.getOrUndefined(subject),
    successors: [...Option.toArray(subject), ...decoded],
    strangers: listed.length - decoded.length,
    artifactType: artifactType || undefined,
    annotations: Option.getOrUndefined(decodeAnnotations(links.annotations))
  }
}
