/**
 * What `index.json` of an OCI image layout says: tags, and manifests that are listed under their digest
 * (oci-layout-store, sections 3 and 6). Values never change; a change gives a new one.
 *
 * Entries that we cannot read, such as those with other digests than SHA-256, are kept and written back as they were.
 */
import { Option, Schema } from "effect"
import { Descriptor, type Digest } from "../../services/Descriptor.ts"
import { MediaType } from "../../services/MediaType.ts"
import { type CanonicalValue, compareUtf8, encodeCanonicalJson } from "../../streams/codec/canonicalJson.ts"
import { asCanonical, leaf, list, optional, required, structure, textMap } from "../../streams/codec/goJson.ts"
import { parseFirstJson } from "../../streams/codec/firstJson.ts"
import { descriptorForm, descriptorValue } from "../../streams/codec/imageDocuments.ts"
import { isListedType } from "./manifestLinks.ts"

export const refNameAnnotation = "org.opencontainers.image.ref.name"

interface ForeignEntry {
  readonly tag: string | undefined
  readonly value: CanonicalValue
  /** A manifest whose digest is none of any algorithm: such an index is not opened. */
  readonly invalid: string | undefined
}

export interface LayoutIndex {
  /** Descriptors without their ref.name annotation, as everywhere here. */
  readonly tags: ReadonlyMap<string, Descriptor>
  readonly listed: ReadonlyMap<Digest, Descriptor>
  readonly foreign: ReadonlyArray<ForeignEntry>
  /** Members of the document other than its entries; annotations and subject are kept too. */
  readonly envelope: Readonly<Record<string, unknown>>
}

export const emptyIndex: LayoutIndex = {
  tags: new Map(),
  listed: new Map(),
  foreign: [],
  envelope: { schemaVersion: 2, mediaType: MediaType.ociIndex }
}

const envelopeForm = structure(
  required("schemaVersion", 2),
  required("mediaType", MediaType.ociIndex),
  optional("artifactType"),
  optional("subject", descriptorForm),
  optional("annotations", textMap),
  required("manifests", [], list(descriptorForm))
)

const entryForm = structure(optional("annotations", structure(optional(refNameAnnotation, leaf))))

const Envelope = Schema.StructWithRest(Schema.Struct({ manifests: Schema.Array(Schema.Unknown) }), [
  Schema.Record(Schema.String, Schema.Unknown)
])
const decodeEnvelope = Schema.decodeUnknownSync(Envelope)
const decodeEntry = Schema.decodeUnknownOption(Descriptor)
const decodeTag = Schema.decodeUnknownOption(
  Schema.Struct({ annotations: Schema.Struct({ [refNameAnnotation]: Schema.String }) })
)

const tagOf = (entry: unknown): string | undefined =>
  Option.getOrUndefined(Option.map(decodeTag(entryForm(entry)), ({ annotations }) => annotations[refNameAnnotation])) ||
  undefined

const anyDigest = /^(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$/
const decodeNamed = Schema.decodeUnknownOption(Schema.Struct({ mediaType: Schema.String, digest: Schema.String }))

const invalidManifestOf = (entry: unknown): string | undefined => {
  const named = Option.getOrUndefined(decodeNamed(entry))
  return named !== undefined && isListedType(named.mediaType) && !anyDigest.test(named.digest)
    ? `${named.digest}: ${named.mediaType}: invalid digest`
    : undefined
}

/** A descriptor without its ref.name annotation; annotations that become empty go. */
export const withoutRefName = (descriptor: Descriptor): Descriptor => {
  if (descriptor.annotations === undefined) return descriptor
  const { annotations, ...rest } = descriptor
  const kept = Object.entries(annotations).filter(([name]) => name !== refNameAnnotation)
  return kept.length === 0 ? rest : { ...rest, annotations: Object.fromEntries(kept) }
}

/** Reads `index.json`; throws for what is no index at all. */
export const parseLayoutIndex = (bytes: Uint8Array): LayoutIndex => {
  const { manifests, ...envelope } = decodeEnvelope(envelopeForm(parseFirstJson(bytes)))
  const tags = new Map<string, Descriptor>()
  const listed = new Map<Digest, Descriptor>()
  const foreign: Array<ForeignEntry> = []
  for (const entry of manifests) {
    const tag = tagOf(entry)
    const decoded = decodeEntry(entry)
    if (Option.isNone(decoded)) {
      foreign.push({ tag, value: asCanonical(entry) ?? null, invalid: invalidManifestOf(entry) })
      continue
    }
    const descriptor = withoutRefName(decoded.value)
    listed.set(descriptor.digest, descriptor)
    if (tag !== undefined) tags.set(tag, descriptor)
  }
  return { tags, listed, foreign, envelope }
}

/** Writes tags in byte order, then what has no tag by its digest: equal contents give equal bytes. */
export const encodeLayoutIndex = ({ tags, listed, foreign, envelope }: LayoutIndex): Uint8Array => {
  const tagged = [...tags].sort(([left], [right]) => compareUtf8(left, right))
  const digests = new Set(tagged.map(([, { digest }]) => digest))
  const untagged = [...listed.values()].filter(({ digest }) => !digests.has(digest))
  const { schemaVersion, mediaType, artifactType, subject, annotations } = envelope
  return encodeCanonicalJson({
    schemaVersion: asCanonical(schemaVersion),
    mediaType: asCanonical(mediaType),
    artifactType: asCanonical(artifactType),
    manifests: [
      ...tagged.map(([tag, descriptor]) =>
        descriptorValue({ ...descriptor, annotations: { ...descriptor.annotations, [refNameAnnotation]: tag } })
      ),
      ...untagged.sort((left, right) => compareUtf8(left.digest, right.digest)).map(descriptorValue),
      ...foreign.map(({ value }) => value)
    ],
    subject: asCanonical(subject),
    annotations: asCanonical(annotations)
  })
}

/** Lists a manifest under its digest. The same index comes back where it is listed already. */
export const withListed = (index: LayoutIndex, descriptor: Descriptor): LayoutIndex =>
  index.listed.has(descriptor.digest)
    ? index
    : { ...index, listed: new Map([...index.listed, [descriptor.digest, withoutRefName(descriptor)]]) }

/** Gives a tag to content, taking it from what had it. A tag that is the content's own digest lists it and no more. */
export const withTag = (index: LayoutIndex, descriptor: Descriptor, tag: string): LayoutIndex => {
  const named = withoutRefName(descriptor)
  const listed = new Map([...index.listed, [named.digest, named]])
  if (tag === named.digest) return { ...index, listed }
  return { ...withoutTag(index, tag), tags: new Map([...index.tags, [tag, named]]), listed }
}

/** Takes a tag away. What had it stays listed under its digest. */
export const withoutTag = (index: LayoutIndex, tag: string): LayoutIndex => ({
  ...index,
  tags: new Map([...index.tags].filter(([name]) => name !== tag)),
  foreign: index.foreign.filter((entry) => entry.tag !== tag)
})

/** Takes away what was deleted: its tags too. */
export const withoutContent = (index: LayoutIndex, gone: ReadonlySet<Digest>): LayoutIndex => ({
  ...index,
  tags: new Map([...index.tags].filter(([, { digest }]) => !gone.has(digest))),
  listed: new Map([...index.listed].filter(([digest]) => !gone.has(digest)))
})

/**
 * The image that is meant when nobody says which: the only tagged one, or, where nothing is tagged, the only one that is no
 * artifact such as a SOCI index.
 */
export const singleImage = ({ tags, listed }: LayoutIndex): Option.Option<Descriptor> => {
  const candidates = tags.size > 0 ? [...tags.values()] : [...listed.values()].filter((entry) => !entry.artifactType)
  const images = new Map(
    candidates.filter(({ mediaType }) => isListedType(mediaType)).map((entry) => [entry.digest, entry])
  )
  const [image] = images.values()
  return images.size === 1 ? Option.fromUndefinedOr(image) : Option.none()
}
