/**
 * Manifests, tags and referrers of the embedded registry.
 */
import { Effect, Result, Stream } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import type { ContentStore } from "../../services/ContentStore.ts"
import type { Descriptor, Digest } from "../../services/Descriptor.ts"
import { maxDocumentBytes } from "../../services/Image.ts"
import { isIndexType, isManifestType, MediaType } from "../../services/MediaType.ts"
import { documentMediaType } from "../../streams/codec/documentType.ts"
import { decodeImageIndex, decodeManifest, encodeImageIndex } from "../../streams/codec/imageDocuments.ts"
import { digestOf } from "../../streams/verify.ts"
import { refused } from "./answer.ts"
import type { Route } from "./route.ts"
import type { Traffic } from "./traffic.ts"

type Store = ContentStore["Service"]
type ManifestRoute = Extract<Route, { readonly _tag: "Manifest" }>

const tagOf = (repository: string, tag: string): string => `${repository}:${tag}`

const unknownManifest = ({ repository, reference }: ManifestRoute) =>
  refused("MANIFEST_UNKNOWN", `${repository} has no manifest ${reference}`)

/** The manifest a route names. One that is in no index tells its media type itself. */
const findManifest = Effect.fnUntraced(
  function* (store: Store, route: ManifestRoute) {
    const found = yield* store.resolve(route.digest ?? tagOf(route.repository, route.reference))
    if (found.size > maxDocumentBytes) return yield* unknownManifest(route)
    const bytes = yield* store.readDocument(found)
    const listed = isManifestType(found.mediaType) || isIndexType(found.mediaType)
    const mediaType = listed ? found.mediaType : documentMediaType(bytes)
    return mediaType === undefined ? yield* unknownManifest(route) : { bytes, mediaType, digest: found.digest }
  },
  Effect.catchTag("ContentNotFound", (error) => Effect.fail(refused("MANIFEST_UNKNOWN", error.message)))
)

export const serveManifest = Effect.fnUntraced(function* (store: Store, traffic: Traffic, route: ManifestRoute) {
  const request = yield* HttpServerRequest.HttpServerRequest
  const { bytes, mediaType, digest } = yield* findManifest(store, route)
  if (request.method === "GET") yield* traffic.count("documentBytesServed", bytes.length)
  return HttpServerResponse.uint8Array(bytes, {
    contentType: mediaType,
    headers: { "docker-content-digest": digest }
  })
})

/** The body of a request, at most 4 MiB. */
const readDocument = Effect.fnUntraced(function* (traffic: Traffic) {
  const request = yield* HttpServerRequest.HttpServerRequest
  let size = 0
  const chunks = yield* request.stream.pipe(
    traffic.counting("bytesReceived"),
    Stream.mapError(() => refused("MANIFEST_INVALID", "the body broke off")),
    Stream.tap((chunk) =>
      (size += chunk.length) > maxDocumentBytes
        ? Effect.fail(refused("SIZE_INVALID", `a manifest has at most ${maxDocumentBytes} bytes`))
        : Effect.void
    ),
    Stream.runCollect
  )
  return Buffer.concat(chunks)
})

interface Accepted {
  readonly artifactType: string | undefined
  readonly subject: Digest | undefined
  /** Blobs that must be there before. */
  readonly needed: ReadonlyArray<Descriptor>
}

const imageConfigs: ReadonlyArray<string> = [MediaType.ociConfig, MediaType.dockerConfig]

const readAccepted = (mediaType: string, bytes: Uint8Array): Result.Result<Accepted, string> => {
  if (isIndexType(mediaType)) {
    return Result.mapError(
      Result.map(decodeImageIndex(bytes), (index) => ({
        artifactType: index.artifactType,
        subject: index.subject?.digest,
        needed: []
      })),
      ({ reason }) => reason
    )
  }
  if (!isManifestType(mediaType)) return Result.fail(`media type "${mediaType}" is none of a manifest`)
  return Result.mapError(
    Result.map(decodeManifest(bytes), (manifest) => ({
      artifactType:
        manifest.artifactType ||
        (imageConfigs.includes(manifest.config.mediaType) ? undefined : manifest.config.mediaType),
      subject: manifest.subject?.digest,
      // Layers with URLs of their own may lie elsewhere.
      needed: [manifest.config, ...(manifest.layers ?? []).filter((layer) => !layer.urls?.length)]
    })),
    ({ reason }) => reason
  )
}

export const acceptManifest = Effect.fnUntraced(function* (
  store: Store,
  traffic: Traffic,
  route: ManifestRoute,
  enterSubject: boolean
) {
  const request = yield* HttpServerRequest.HttpServerRequest
  const bytes = yield* readDocument(traffic)
  const mediaType = (request.headers["content-type"] ?? "").split(";", 1)[0]?.trim() ?? ""
  const read = readAccepted(mediaType, bytes)
  if (Result.isFailure(read)) return yield* refused("MANIFEST_INVALID", read.failure)
  const { artifactType, subject, needed } = read.success
  const digest = digestOf(bytes)
  if (route.digest !== undefined && route.digest !== digest) {
    return yield* refused("DIGEST_INVALID", `the digest of the manifest is ${digest}`)
  }
  for (const blob of needed) {
    if (!(yield* store.exists(blob.digest))) {
      return yield* refused("MANIFEST_BLOB_UNKNOWN", `blob ${blob.digest} is missing`)
    }
  }
  const descriptor = { mediaType, digest, size: bytes.length, ...(artifactType ? { artifactType } : {}) }
  yield* store.ingest(descriptor, Stream.make(bytes))
  if (route.digest === undefined) yield* store.tag(descriptor, tagOf(route.repository, route.reference))
  return HttpServerResponse.empty({
    status: 201,
    headers: {
      location: `/v2/${route.repository}/manifests/${digest}`,
      "docker-content-digest": digest,
      ...(subject !== undefined && enterSubject ? { "oci-subject": subject } : {})
    }
  })
})

const maxTagsPerPage = 1000

export const listTags = Effect.fnUntraced(function* (store: Store, repository: string, query: URLSearchParams) {
  const prefix = tagOf(repository, "")
  const all = (yield* store.tags).filter(({ tag }) => tag.startsWith(prefix)).map(({ tag }) => tag.slice(prefix.length))
  if (all.length === 0) return yield* refused("NAME_UNKNOWN", `there is no repository ${repository}`)
  const wanted = /^\d{1,9}$/.test(query.get("n") ?? "") ? Number(query.get("n")) : maxTagsPerPage
  const last = query.get("last") ?? ""
  const rest = all.filter((tag) => tag > last)
  const tags = rest.slice(0, Math.min(wanted, maxTagsPerPage))
  const end = tags.at(-1)
  const more = tags.length < rest.length && end !== undefined
  const next = `</v2/${repository}/tags/list?n=${tags.length}&last=${encodeURIComponent(end ?? "")}>; rel="next"`
  return HttpServerResponse.jsonUnsafe({ name: repository, tags }, { headers: more ? { link: next } : {} })
})

export const listReferrers = Effect.fnUntraced(function* (store: Store, subject: Digest, query: URLSearchParams) {
  const artifactType = query.get("artifactType") ?? undefined
  const manifests = yield* store.referrers(subject, artifactType)
  const index = encodeImageIndex({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests })
  return HttpServerResponse.uint8Array(index, {
    contentType: MediaType.ociIndex,
    headers: artifactType === undefined ? {} : { "oci-filters-applied": "artifactType" }
  })
})
