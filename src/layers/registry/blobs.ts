/**
 * Whole blobs: is it there, give it to me, take it.
 */
import { Effect, Option, Ref, Stream } from "effect"
import { ContentMismatch, type Descriptor } from "../../services/Descriptor.ts"
import { isIndexType, isManifestType } from "../../services/MediaType.ts"
import {
  formatRepository,
  type PushOutcome,
  type RegistryError,
  type RegistryFetcher,
  type Repository
} from "../../services/RegistryFetcher.ts"
import { verify } from "../../streams/verify.ts"
import { rangeOf } from "./contentRange.ts"
import { ExchangeFailed } from "./exchange.ts"
import { isRedirect, type RegistryClient } from "./registryClient.ts"
import {
  asRegistryError,
  type Purpose,
  registryFailed,
  streamAsRegistryError,
  unexpectedAnswer
} from "./registryErrors.ts"
import { resumingStream } from "./resumingStream.ts"
import { retrying } from "./retryPolicy.ts"

type Shape = RegistryFetcher["Service"]

/** The path of content in its repository: manifests have their own. */
const pathOf = ({ mediaType, digest }: Descriptor): string =>
  isManifestType(mediaType) || isIndexType(mediaType) ? `manifests/${digest}` : `blobs/${digest}`

const purposeOf = (operation: Purpose["operation"], repository: Repository, { digest }: Descriptor): Purpose => ({
  operation,
  repository: { host: repository.host, repository: repository.repository },
  reference: digest
})

export const makeExists =
  (client: RegistryClient): Shape["exists"] =>
  (repository, descriptor) => {
    const purpose = purposeOf("exists", repository, descriptor)
    return Effect.scoped(
      Effect.gen(function* () {
        const exchange = yield* client.request({
          method: "HEAD",
          ...purpose.repository,
          actions: "pull",
          path: pathOf(descriptor),
          headers: { accept: `${descriptor.mediaType}, */*` }
        })
        if (exchange.status === 404) return false
        // Where it would be fetched from is of no interest: some storages answer GET only.
        if (exchange.status === 200 || isRedirect(exchange.status)) return true
        return yield* unexpectedAnswer(purpose, exchange)
      })
    ).pipe(retrying(client.settings), asRegistryError(purpose), Effect.withSpan("RegistryFetcher.exists"))
  }

export const makeFetch =
  (client: RegistryClient): Shape["fetch"] =>
  (repository, descriptor) => {
    const purpose = purposeOf("fetch", repository, descriptor)
    const { size } = descriptor
    const openAt = Effect.fnUntraced(function* (position: number) {
      const exchange = yield* client.request({
        method: "GET",
        ...purpose.repository,
        actions: "pull",
        path: pathOf(descriptor),
        headers: { accept: `${descriptor.mediaType}, */*`, ...(position > 0 ? { range: `bytes=${position}-` } : {}) }
      })
      if (position === 0 && exchange.status === 200) return exchange.body
      if (position > 0 && (exchange.status === 200 || exchange.status === 206)) {
        return yield* rangeOf(exchange, position, size, size)
      }
      return yield* unexpectedAnswer(purpose, exchange)
    })
    return resumingStream(client.settings, size, openAt).pipe(
      streamAsRegistryError(purpose),
      verify(descriptor, `${formatRepository(repository)}@${descriptor.digest}`)
    )
  }

/** Where an upload goes: below the registry, or a URL of its own; whatever its query holds must stay as it is. */
const uploadUrl = (location: string | undefined, base: string, digest: string): string | undefined => {
  const url = location === undefined ? null : URL.parse(location, base)
  if (url === null || !["http:", "https:"].includes(url.protocol)) return undefined
  const query = url.search === "" ? "?" : `${url.search}&`
  return `${url.origin}${url.pathname}${query}digest=${encodeURIComponent(digest)}`
}

const startUpload = Effect.fnUntraced(function* (client: RegistryClient, purpose: Purpose) {
  const exchange = yield* client.request({
    method: "POST",
    ...purpose.repository,
    actions: "pull,push",
    path: "blobs/uploads/",
    headers: { "content-length": "0" }
  })
  if (exchange.status !== 202) return yield* unexpectedAnswer(purpose, exchange)
  const url = uploadUrl(exchange.headers["location"], exchange.url, purpose.reference)
  if (url !== undefined && (url.startsWith("https:") || exchange.url.startsWith("http:"))) return url
  return yield* registryFailed(purpose, "the registry gave no safe location to upload to")
}, Effect.scoped)

const uploadBlob = Effect.fnUntraced(function* <E>(
  client: RegistryClient,
  purpose: Purpose,
  size: number,
  content: Stream.Stream<Uint8Array, E>
) {
  const path = yield* startUpload(client, purpose)
  const exchange = yield* client.request({
    method: "PUT",
    ...purpose.repository,
    actions: "pull,push",
    path,
    upload: { content, size }
  })
  if (exchange.status < 200 || exchange.status > 299) return yield* unexpectedAnswer(purpose, exchange)
}, Effect.scoped)

export const makePush = (client: RegistryClient, exists: Shape["exists"]): Shape["push"] =>
  Effect.fn("RegistryFetcher.push")(function* <E>(
    repository: Repository,
    descriptor: Descriptor,
    content: Stream.Stream<Uint8Array, E>
  ): Effect.fn.Return<PushOutcome, RegistryError | E> {
    if (yield* exists(repository, descriptor)) return "present"
    const purpose = purposeOf("push", repository, descriptor)
    // The request would tell of a failing source as of a broken connection: it is remembered on the side.
    const sourceFailure = yield* Ref.make(Option.none<E>())
    const source = content.pipe(
      Stream.tapError((error) => Ref.set(sourceFailure, Option.some(error))),
      verify(descriptor, `the content to upload as ${descriptor.digest}`)
    )
    const attempt = uploadBlob(client, purpose, descriptor.size, source).pipe(
      Effect.catchTag("ExchangeFailed", (failure) =>
        Effect.flatMap(Ref.get(sourceFailure), (failed) =>
          Effect.fail(Option.isSome(failed) ? new SourceFailed(failed.value) : finalIfMismatch(failure))
        )
      )
    )
    return yield* attempt.pipe(
      retrying(client.settings),
      Effect.catchIf(
        (error) => error instanceof SourceFailed,
        ({ error }) => Effect.fail(error)
      ),
      asRegistryError(purpose),
      Effect.as("pushed" as const)
    )
  })

/** Content that is not what it should be will not become so. */
const finalIfMismatch = (failure: ExchangeFailed): ExchangeFailed =>
  failure.cause instanceof ContentMismatch
    ? new ExchangeFailed({ reason: failure.cause.message, transient: false })
    : failure

class SourceFailed<E> {
  readonly error: E
  constructor(error: E) {
    this.error = error
  }
}
