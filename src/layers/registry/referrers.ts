/**
 * Which manifests of a repository refer to another: by the referrers API, or by the tag that stands in for it
 * (distribution-spec 1.1, "Listing Referrers" and "Referrers Tag Schema").
 */
import { Effect, Result, Semaphore } from "effect"
import type { Descriptor, Digest } from "../../services/Descriptor.ts"
import { type ImageIndex, maxDocumentBytes } from "../../services/Image.ts"
import { isIndexType, MediaType } from "../../services/MediaType.ts"
import type { RegistryError, RegistryFetcher, Repository } from "../../services/RegistryFetcher.ts"
import { decodeImageIndex, decodeManifest, encodeImageIndex } from "../../streams/codec/imageDocuments.ts"
import { verifyBytes } from "../../streams/verify.ts"
import { putManifest, readManifest } from "./documents.ts"
import { type Exchange, type ExchangeFailed, readBody } from "./exchange.ts"
import type { RegistryClient } from "./registryClient.ts"
import { asRegistryError, type Purpose, registryFailed, unexpectedAnswer } from "./registryErrors.ts"
import { retrying } from "./retryPolicy.ts"

type Shape = RegistryFetcher["Service"]

/** Pages and manifests that are read of one listing; a longer one is refused. */
const maxPages = 100
const maxReferrers = 10_000

/** How often a tag is written again that another client overwrote at the same time. */
const tagAttempts = 5

const referrersTag = (subject: Digest): string => subject.replace(":", "-")

const purposeOf = (operation: Purpose["operation"], repository: Repository, reference: string): Purpose => ({
  operation,
  repository: { host: repository.host, repository: repository.repository },
  reference
})

const indexOf = (purpose: Purpose, bytes: Uint8Array): Effect.Effect<ImageIndex, RegistryError> => {
  const decoded = decodeImageIndex(bytes, "the list of referrers")
  return Result.isSuccess(decoded)
    ? Effect.succeed(decoded.success)
    : Effect.fail(registryFailed(purpose, decoded.failure.message))
}

/** The URL of the next page; pages lie where the first one did. */
const nextPage = (exchange: Exchange): string | undefined => {
  const target = /<([^>]{1,4096})>\s*;\s*rel="?next"?/.exec(exchange.headers["link"] ?? "")?.[1]
  const url = target === undefined ? null : URL.parse(target, exchange.url)
  return url !== null && url.origin === new URL(exchange.url).origin ? url.href : undefined
}

const getPage = (client: RegistryClient, purpose: Purpose, path: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const exchange = yield* client.request({
        method: "GET",
        ...purpose.repository,
        actions: "pull",
        path,
        headers: { accept: MediaType.ociIndex }
      })
      const type = exchange.headers["content-type"] ?? ""
      // Registries without the API, and proxies before them, answer this path with almost anything.
      if (exchange.status === 404 || (exchange.status === 200 && !type.startsWith(MediaType.ociIndex))) return undefined
      if (exchange.status !== 200) return yield* unexpectedAnswer(purpose, exchange)
      const page = yield* indexOf(purpose, yield* readBody(exchange, maxDocumentBytes))
      return { descriptors: page.manifests ?? [], next: nextPage(exchange) }
    })
  ).pipe(retrying(client.settings))

/** All pages of the referrers API; `undefined` where the registry does not have it. */
const listByApi = Effect.fnUntraced(function* (client: RegistryClient, purpose: Purpose, artifactType?: string) {
  const query = artifactType === undefined ? "" : `?artifactType=${encodeURIComponent(artifactType)}`
  const found: Array<Descriptor> = []
  let path: string | undefined = `referrers/${purpose.reference}${query}`
  for (let pages = 0; path !== undefined; pages++) {
    if (pages === maxPages || found.length > maxReferrers) {
      return yield* registryFailed(purpose, `more than ${maxPages} pages or ${maxReferrers} referrers`)
    }
    const page: { descriptors: ReadonlyArray<Descriptor>; next: string | undefined } | undefined = yield* getPage(
      client,
      purpose,
      path
    )
    if (page === undefined) return pages === 0 ? undefined : found
    found.push(...page.descriptors)
    path = page.next
  }
  return found
})

const emptyReferrers: ImageIndex = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [] }

/** The index under the referrers tag; an empty one where there is no such tag. */
const readTag = (client: RegistryClient, purpose: Purpose, subject: Digest) =>
  readManifest(client, { ...purpose, reference: referrersTag(subject) }).pipe(
    Effect.flatMap(({ bytes }) => indexOf(purpose, bytes)),
    Effect.catchTag("NotInRegistry", () => Effect.succeed(emptyReferrers))
  )

export const makeReferrers = (client: RegistryClient): Shape["referrers"] =>
  Effect.fn("RegistryFetcher.referrers")(function* (repository: Repository, subject: Digest, artifactType: string) {
    const purpose = purposeOf("referrers", repository, subject)
    const listing = Effect.gen(function* () {
      const listed = yield* listByApi(client, purpose, artifactType)
      return listed ?? (yield* readTag(client, purpose, subject)).manifests ?? []
    })
    const found = yield* asRegistryError(purpose)(listing)
    // A registry may leave the filter to its clients.
    return found.filter((descriptor) => descriptor.artifactType === artifactType)
  })

/** A manifest as a list of referrers shows it, and its subject. */
const referrerOf = ({ mediaType, digest, size }: Descriptor, bytes: Uint8Array) => {
  const manifest = isIndexType(mediaType) ? undefined : Result.getOrUndefined(decodeManifest(bytes))
  const document = manifest ?? Result.getOrUndefined(decodeImageIndex(bytes))
  if (document?.subject === undefined) return undefined
  const artifactType = document.artifactType || manifest?.config.mediaType
  const descriptor: Descriptor = {
    mediaType,
    digest,
    size,
    ...(document.annotations === undefined ? {} : { annotations: document.annotations }),
    ...(artifactType === undefined ? {} : { artifactType })
  }
  return { subject: document.subject.digest, descriptor }
}

/**
 * Enters a manifest under the referrers tag of its subject. Registries have no way to change a tag only if it is still what
 * was read, so the entry is looked for afterwards, and made again if another client's change went over it.
 */
const enterByTag = (
  client: RegistryClient,
  purpose: Purpose,
  subject: Digest,
  referrer: Descriptor
): Effect.Effect<void, RegistryError | ExchangeFailed> => {
  const tagged = { ...purpose, reference: referrersTag(subject) }
  const has = (index: ImageIndex) => (index.manifests ?? []).some(({ digest }) => digest === referrer.digest)
  const attempt = (left: number): Effect.Effect<void, RegistryError | ExchangeFailed> =>
    Effect.gen(function* () {
      const current = yield* readTag(client, purpose, subject)
      if (has(current)) return
      if (left === 0) return yield* registryFailed(tagged, "other clients kept overwriting the tag; push again")
      const index = { ...emptyReferrers, ...current, manifests: [...(current.manifests ?? []), referrer] }
      yield* putManifest(client, tagged, MediaType.ociIndex, encodeImageIndex(index))
      yield* attempt(left - 1)
    })
  return attempt(tagAttempts)
}

export const makePushManifest = (client: RegistryClient): Shape["pushManifest"] => {
  // One change of a tag at a time from here: only other clients can get between.
  const entering = Semaphore.makeUnsafe(1)

  return Effect.fn("RegistryFetcher.pushManifest")(function* (
    repository: Repository,
    descriptor: Descriptor,
    bytes: Uint8Array,
    tag?: string
  ) {
    const purpose = purposeOf("push", repository, tag ?? descriptor.digest)
    const verified = verifyBytes(bytes, descriptor, "the manifest to push")
    if (Result.isFailure(verified)) return yield* registryFailed(purpose, verified.failure.message)
    const push = Effect.gen(function* () {
      const headers = yield* putManifest(client, purpose, descriptor.mediaType, bytes)
      const referrer = referrerOf(descriptor, bytes)
      if (referrer === undefined || headers["oci-subject"] !== undefined) return
      const { subject } = referrer
      const asked = purposeOf("push", repository, subject)
      if ((yield* listByApi(client, asked)) !== undefined) return
      yield* entering.withPermits(1)(enterByTag(client, asked, subject, referrer.descriptor))
    })
    yield* asRegistryError(purpose)(push)
  })
}
