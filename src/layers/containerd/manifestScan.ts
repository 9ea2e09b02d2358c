/**
 * Which manifests of a namespace point to which. containerd keeps no such relation: every blob that may be a manifest is looked at
 * once, and what it says is remembered, because content does not change. Whether it is still there is asked each time.
 *
 * A candidate has at most 4 MiB and no label that only layers and configurations have. It is read if its first byte is that of a JSON
 * object, and is what its own media type or its members say it is.
 */
import { Bytes, Effect, Result, Schema, Stream } from "effect"
import type { ContentStore, ContentStoreFailed } from "../../services/ContentStore.ts"
import { type Descriptor, Digest } from "../../services/Descriptor.ts"
import { maxDocumentBytes } from "../../services/Image.ts"
import { documentMediaType } from "../../streams/codec/documentType.ts"
import { type ManifestLinks, parseManifestLinks } from "../layout/manifestLinks.ts"
import { type ContainerdError, hasCode } from "./containerdErrors.ts"
import type { ContainerdConnection } from "./ContainerdConnection.ts"
import type { ContentFailures, Operation } from "./contentFailure.ts"
import { Content, type Info } from "./gen/content_pb.ts"
import { readRange } from "./readContent.ts"

interface Candidate {
  readonly digest: Digest
  readonly size: number
}

interface Manifest extends ManifestLinks {
  readonly descriptor: Descriptor
}

/** Nothing for a blob that is no manifest. */
type Verdict = Manifest | undefined

/** So many blobs are looked at, and so many bytes of manifests are remembered; some 10,000 images of ordinary size. */
const limits = { candidates: 100_000, bytes: 256 * 1024 * 1024 } as const

const readsAtOnce = 8

/** The smallest manifest there could be is longer. */
const minManifestBytes = 16

const openingBrace = 0x7b
const isDigest = Schema.is(Digest)

/** containerd labels a layer with its unpacked digest, and the configuration with the snapshot of the image. */
const isUnpacked = ({ labels }: Info): boolean =>
  Object.keys(labels).some(
    (key) => key === "containerd.io/uncompressed" || key.startsWith("containerd.io/gc.ref.snapshot.")
  )

const candidateOf = (info: Info): ReadonlyArray<Candidate> => {
  const size = Number(info.size)
  if (!isDigest(info.digest) || size < minManifestBytes || size > maxDocumentBytes || isUnpacked(info)) return []
  return [{ digest: info.digest, size }]
}

const judge = (digest: Digest, bytes: Uint8Array): Verdict => {
  const mediaType = documentMediaType(bytes)
  if (mediaType === undefined) return undefined
  const links = Result.try(() => parseManifestLinks(mediaType, bytes))
  if (Result.isFailure(links)) return undefined
  return { ...links.success, descriptor: { mediaType, digest, size: bytes.length } }
}

/** Reads a candidate as far as it takes. One that is collected meanwhile is no manifest. */
const examine = (connection: ContainerdConnection["Service"], { digest, size }: Candidate) => {
  const bytes = (length: number) =>
    Effect.map(Stream.runCollect(readRange(connection, digest, 0, length)), (chunks) => Bytes.concat(chunks))
  return Effect.gen(function* () {
    const [first] = yield* bytes(1)
    return first === openingBrace ? judge(digest, yield* bytes(size)) : undefined
  }).pipe(
    Effect.catchIf(
      (error: ContainerdError) => hasCode(error, "NOT_FOUND"),
      () => Effect.undefined
    )
  )
}

export const makeManifestScan = (
  connection: ContainerdConnection["Service"],
  { failed, failure }: ContentFailures
): Pick<ContentStore["Service"], "referrers" | "predecessors"> => {
  const { namespace, serverStream } = connection
  let known: ReadonlyMap<Digest, Verdict> = new Map()

  const candidates = serverStream(Content.method.list, {}).pipe(
    Stream.flatMap(({ info }) => Stream.fromIterable(info.flatMap(candidateOf))),
    Stream.take(limits.candidates + 1),
    Stream.runCollect
  )

  const scan = Effect.fnUntraced(function* (
    operation: Operation
  ): Effect.fn.Return<ReadonlyArray<Manifest>, ContentStoreFailed> {
    const orFail = Effect.mapError(failed(operation, namespace))
    const found = yield* orFail(candidates)
    if (found.length > limits.candidates) {
      return yield* failure(operation, namespace, `it has more than ${limits.candidates} blobs that may be manifests`)
    }
    const earlier = known
    const next = new Map<Digest, Verdict>()
    let bytes = 0
    yield* Effect.forEach(
      found,
      Effect.fnUntraced(function* (candidate) {
        const { digest, size } = candidate
        const verdict = earlier.has(digest) ? earlier.get(digest) : yield* orFail(examine(connection, candidate))
        bytes += verdict === undefined ? 0 : size
        if (bytes > limits.bytes) {
          return yield* failure(operation, namespace, `its manifests have more than ${limits.bytes} bytes together`)
        }
        next.set(digest, verdict)
      }),
      { concurrency: readsAtOnce, discard: true }
    )
    known = next
    return [...next.values()].filter((verdict) => verdict !== undefined)
  })

  return {
    referrers: Effect.fn("ContentStoreContainerd.referrers")(function* (subject, artifactType) {
      return (yield* scan("referrers"))
        .filter((manifest) => manifest.subject?.digest === subject)
        .map(asReferrer)
        .filter((descriptor) => artifactType === undefined || descriptor.artifactType === artifactType)
        .toSorted(byDigest)
    }),
    predecessors: Effect.fn("ContentStoreContainerd.predecessors")(function* (digest) {
      return (yield* scan("referrers"))
        .filter(({ successors }) => successors.some((successor) => successor.digest === digest))
        .map(({ descriptor }) => descriptor)
        .toSorted(byDigest)
    })
  }
}

/** As a referrers API lists it. */
const asReferrer = ({ descriptor, annotations, artifactType }: Manifest): Descriptor => ({
  ...descriptor,
  ...(annotations === undefined ? {} : { annotations }),
  ...(artifactType === undefined ? {} : { artifactType })
})

const byDigest = (left: Descriptor, right: Descriptor) => (left.digest < right.digest ? -1 : 1)
