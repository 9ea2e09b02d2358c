/**
 * Manifests and indexes of a registry: found by tag or digest, fetched whole, uploaded.
 */
import { Effect, Option, Schema } from "effect"
import { type Descriptor, Digest } from "../../services/Descriptor.ts"
import { maxDocumentBytes } from "../../services/Image.ts"
import type { RegistryReference } from "../../services/ImageName.ts"
import { MediaType } from "../../services/MediaType.ts"
import type { RegistryError, RegistryFetcher, Repository } from "../../services/RegistryFetcher.ts"
import { digestOf, verifyBytes } from "../../streams/verify.ts"
import { withDeadline } from "./deadline.ts"
import { isRedirect } from "./endpointClient.ts"
import { type Exchange, readBody, shownUrl } from "./exchange.ts"
import { ExchangeFailed } from "./exchangeFailed.ts"
import { orElsewhere } from "./mirrorAnswer.ts"
import type { Capability, RegistryEndpoint } from "./registryEndpoint.ts"
import type { RegistryClient } from "./registryClient.ts"
import { asRegistryError, type Purpose, purposeOf, registryFailed, unexpectedAnswer } from "./registryErrors.ts"
import { retrying } from "./retryPolicy.ts"

type Shape = RegistryFetcher["Service"]

/** What we can read; a registry may convert a manifest for clients that do not say so. */
const accept = [
  MediaType.ociIndex,
  MediaType.ociManifest,
  MediaType.dockerManifestList,
  MediaType.dockerManifest,
  "*/*;q=0.1"
].join(", ")

const decodeDigest = Schema.decodeUnknownOption(Digest)

/** A media type without its parameters. */
const typeOf = (exchange: Exchange): string => (exchange.headers["content-type"] ?? "").split(";", 1)[0]?.trim() ?? ""

/** What the head of an answer says about a manifest, if it says enough. */
const describedBy = (exchange: Exchange): Option.Option<Descriptor> => {
  const length = exchange.headers["content-length"] ?? ""
  const digest = decodeDigest(exchange.headers["docker-content-digest"])
  if (Option.isNone(digest) || !/^[1-9]\d{0,15}$/.test(length) || typeOf(exchange) === "") return Option.none()
  return Option.some({ mediaType: typeOf(exchange), digest: digest.value, size: Number(length) })
}

const askForManifest = (
  client: RegistryClient,
  { repository, reference }: Purpose,
  method: "GET" | "HEAD",
  from: Capability | RegistryEndpoint
) => {
  const request = {
    method,
    ...repository,
    actions: "pull",
    path: `manifests/${reference}`,
    headers: { accept }
  } as const
  return typeof from === "string"
    ? client.request({ ...request, capability: from })
    : client.requestAt(from, { ...request, capability: "pull" })
}

/** A manifest under a tag or digest, at most 4 MiB; `check` fails for one that is not wanted. */
const getManifest = Effect.fnUntraced(function* <E>(
  client: RegistryClient,
  purpose: Purpose,
  from: Capability | RegistryEndpoint,
  check: (bytes: Uint8Array) => Effect.Effect<unknown, E>
) {
  const exchange = yield* askForManifest(client, purpose, "GET", from)
  if (exchange.status !== 200) return yield* unexpectedAnswer(purpose, exchange)
  const other = () => new ExchangeFailed({ reason: `${shownUrl(exchange.url)} sent another manifest`, transient: true })
  const bytes = yield* readBody(exchange, maxDocumentBytes).pipe(
    Effect.tap((read) =>
      Effect.mapError(check(read), (error): E | ExchangeFailed => (exchange.isLast ? error : other()))
    ),
    orElsewhere(client, exchange)
  )
  return { bytes, mediaType: typeOf(exchange) }
}, Effect.scoped)

/** As `getManifest`, whatever its content, repeated as the settings say; of one server if it is given. */
export const readManifest = (client: RegistryClient, purpose: Purpose, from: Capability | RegistryEndpoint) =>
  retrying(client.settings)(getManifest(client, purpose, from, () => Effect.void))

export const makeResolve = (client: RegistryClient): Shape["resolve"] =>
  Effect.fn("RegistryFetcher.resolve")(function* (reference: RegistryReference) {
    const purpose = purposeOf("resolve", reference, reference.digest ?? reference.tag ?? "latest")
    const checked = (descriptor: Descriptor) =>
      reference.digest === undefined || reference.digest === descriptor.digest
        ? Effect.succeed(descriptor)
        : Effect.fail(registryFailed(purpose, `the registry answered with ${descriptor.digest} instead`))
    const capability = reference.digest === undefined ? "resolve" : "pull"
    return yield* headManifest(client, purpose, capability).pipe(
      retrying(client.settings),
      // Some registries know no HEAD here, or leave the digest out: the manifest itself tells.
      Effect.flatMap(
        Option.match({
          onSome: Effect.succeed,
          onNone: () =>
            Effect.map(readManifest(client, purpose, capability), ({ bytes, mediaType }) => ({
              mediaType,
              digest: digestOf(bytes),
              size: bytes.length
            }))
        })
      ),
      Effect.flatMap(checked),
      asRegistryError(purpose),
      withDeadline(client.settings, purpose)
    )
  })

const headManifest = Effect.fnUntraced(function* (client: RegistryClient, purpose: Purpose, capability: Capability) {
  const exchange = yield* askForManifest(client, purpose, "HEAD", capability)
  if (exchange.status === 200) return describedBy(exchange)
  if (exchange.status === 405 || exchange.status === 501 || isRedirect(exchange.status)) return Option.none()
  return yield* unexpectedAnswer(purpose, exchange)
}, Effect.scoped)

export const makeFetchManifest = (client: RegistryClient): Shape["fetchManifest"] =>
  Effect.fn("RegistryFetcher.fetchManifest")(function* (repository: Repository, descriptor: Descriptor) {
    const purpose = purposeOf("fetch", repository, descriptor.digest)
    if (descriptor.size > maxDocumentBytes) {
      return yield* registryFailed(
        purpose,
        `a document of ${descriptor.size} bytes; at most ${maxDocumentBytes} are read`
      )
    }
    const location = `${repository.host}/${repository.repository}@${descriptor.digest}`
    const verified = (bytes: Uint8Array) => Effect.fromResult(verifyBytes(bytes, descriptor, location))
    const { bytes } = yield* getManifest(client, purpose, "pull", verified).pipe(
      retrying(client.settings),
      asRegistryError(purpose),
      withDeadline(client.settings, purpose, descriptor.size)
    )
    return bytes
  })

/** Uploads a manifest; the answer's headers say whether the registry entered its subject. */
export const putManifest = (
  client: RegistryClient,
  purpose: Purpose,
  mediaType: string,
  bytes: Uint8Array
): Effect.Effect<Exchange["headers"], ExchangeFailed | RegistryError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const exchange = yield* client.request({
        method: "PUT",
        ...purpose.repository,
        capability: "push",
        actions: "pull,push",
        path: `manifests/${purpose.reference}`,
        headers: { "content-type": mediaType },
        bytes
      })
      if (exchange.status < 200 || exchange.status > 299) return yield* unexpectedAnswer(purpose, exchange)
      const stored = exchange.headers["docker-content-digest"]
      if (stored !== undefined && stored !== digestOf(bytes)) {
        const reason = `${shownUrl(exchange.url)} stored ${stored.slice(0, 80)} instead`
        return yield* new ExchangeFailed({ reason, transient: false })
      }
      return exchange.headers
    })
  ).pipe(retrying(client.settings))
