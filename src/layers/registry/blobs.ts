/**
 * Whole blobs: is it there, give it to me.
 */
import { Effect, Stream } from "effect"
import type { Descriptor } from "../../services/Descriptor.ts"
import { isIndexType, isManifestType } from "../../services/MediaType.ts"
import { formatRepository, type RegistryFetcher, type Repository } from "../../services/RegistryFetcher.ts"
import { verify } from "../../streams/verify.ts"
import { checkLength, rangeOf } from "./contentRange.ts"
import { withDeadline } from "./deadline.ts"
import { type FoundEndpoint, isRedirect, type RegistryExchange } from "./endpointClient.ts"
import { ExchangeFailed } from "./exchangeFailed.ts"
import { bodyOrElsewhere, orElsewhere } from "./mirrorAnswer.ts"
import type { RegistryClient } from "./registryClient.ts"
import { asRegistryError, type Purpose, purposeOf, streamAsRegistryError, unexpectedAnswer } from "./registryErrors.ts"
import { resumingStream } from "./resumingStream.ts"
import { describeStatus, retrying } from "./retryPolicy.ts"

type Shape = RegistryFetcher["Service"]

/** The path of content in its repository: manifests have their own. */
const pathOf = ({ mediaType, digest }: Descriptor): string =>
  isManifestType(mediaType) || isIndexType(mediaType) ? `manifests/${digest}` : `blobs/${digest}`

export const blobPurpose = (operation: Purpose["operation"], repository: Repository, { digest }: Descriptor): Purpose =>
  purposeOf(operation, repository, digest)

export const makeExists =
  (client: RegistryClient): Shape["exists"] =>
  (repository, descriptor) => {
    const purpose = blobPurpose("exists", repository, descriptor)
    return Effect.scoped(
      Effect.gen(function* () {
        const exchange = yield* client.request({
          method: "HEAD",
          ...purpose.repository,
          capability: "push",
          actions: "pull",
          path: pathOf(descriptor),
          headers: { accept: `${descriptor.mediaType}, */*` }
        })
        if (exchange.status === 404) return false
        // Where it would be fetched from is of no interest: some storages answer GET only.
        if (exchange.status === 200 || isRedirect(exchange.status)) return true
        return yield* unexpectedAnswer(purpose, exchange)
      })
    ).pipe(
      retrying(client.settings),
      asRegistryError(purpose),
      withDeadline(client.settings, purpose),
      Effect.withSpan("RegistryFetcher.exists")
    )
  }

/** Whether a storage that a registry redirected to refuses the URL it was given. */
const isExpired = ({ url, status, endpoint }: RegistryExchange): boolean =>
  (status === 401 || status === 403) && URL.parse(url)?.origin !== endpoint.origin

/** The bytes of a blob from a position on, as one server sends them; `note` is told which mirrors had a part in it. */
const makeOpenAt = (
  client: RegistryClient,
  purpose: Purpose,
  descriptor: Descriptor,
  note: (from: FoundEndpoint) => void
) => {
  const { size } = descriptor
  return Effect.fnUntraced(function* (position: number) {
    const exchange = yield* client.request({
      method: "GET",
      ...purpose.repository,
      capability: "pull",
      actions: "pull",
      path: pathOf(descriptor),
      headers: { accept: `${descriptor.mediaType}, */*`, ...(position > 0 ? { range: `bytes=${position}-` } : {}) }
    })
    if (!exchange.isLast) note(exchange.endpoint)
    if (isExpired(exchange)) {
      // The URL that the registry led to lets us in no more: it is asked for another.
      return yield* new ExchangeFailed({
        reason: yield* describeStatus(exchange),
        transient: true,
        status: exchange.status
      })
    }
    const sound = bodyOrElsewhere(client, exchange, size - position)
    if (position === 0 && exchange.status === 200) {
      // A page of some portal in between; a registry's own short answers are gone on with.
      if (!exchange.isLast) yield* orElsewhere(client, exchange)(checkLength(exchange, size))
      return sound(exchange.body)
    }
    if (position > 0 && (exchange.status === 200 || exchange.status === 206)) {
      return sound(yield* orElsewhere(client, exchange)(rangeOf(exchange, position, size, size)))
    }
    return yield* unexpectedAnswer(purpose, exchange)
  })
}

export const makeFetch =
  (client: RegistryClient): Shape["fetch"] =>
  (repository, descriptor) =>
    Stream.suspend(() => {
      const purpose = blobPurpose("fetch", repository, descriptor)
      const mirrors = new Set<FoundEndpoint>()
      const openAt = makeOpenAt(client, purpose, descriptor, (mirror) => mirrors.add(mirror))
      // What came is in the hands of the caller already; at least the next attempt goes elsewhere.
      const avoidMirrors = Effect.forEach(mirrors, client.avoid, { discard: true })
      return resumingStream(client.settings, descriptor.size, openAt).pipe(
        streamAsRegistryError(purpose),
        verify(descriptor, `${formatRepository(repository)}@${descriptor.digest}`),
        Stream.tapError((error) => (error._tag === "ContentMismatch" ? avoidMirrors : Effect.void))
      )
    })
