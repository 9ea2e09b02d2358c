/**
 * Brings blobs into a registry: from another of its repositories, in one request, or in parts.
 */
import { Effect, Option, Ref, type Scope, Stream } from "effect"
import { ContentMismatch, type Descriptor } from "../../services/Descriptor.ts"
import {
  type BlobPushOptions,
  formatRepository,
  type PushOutcome,
  type RegistryError,
  type RegistryFetcher,
  type Repository
} from "../../services/RegistryFetcher.ts"
import { verify } from "../../streams/verify.ts"
import { blobPurpose } from "./blobs.ts"
import { withDeadline } from "./deadline.ts"
import { ExchangeFailed } from "./exchangeFailed.ts"
import type { RegistryClient } from "./registryClient.ts"
import { asRegistryError, type Purpose, unexpectedAnswer } from "./registryErrors.ts"
import { retrying } from "./retryPolicy.ts"
import { makeSlots } from "./slots.ts"
import { uploadParts } from "./uploadParts.ts"
import { beginUpload, completionUrl, mountBlob, type UploadSession, uploadRequest } from "./uploadSession.ts"

type Shape = RegistryFetcher["Service"]
type Content = Stream.Stream<Uint8Array, ExchangeFailed>

const complete = Effect.fnUntraced(function* (
  client: RegistryClient,
  purpose: Purpose,
  { endpoint }: UploadSession,
  location: string,
  body: { readonly content: Content; readonly size: number } | undefined
) {
  const exchange = yield* client.requestAt(
    endpoint,
    {
      ...uploadRequest(purpose, "PUT"),
      path: "",
      ...(body === undefined ? { headers: { "content-length": "0" } } : { upload: body })
    },
    completionUrl(location, purpose.reference)
  )
  if (exchange.status < 200 || exchange.status > 299) return yield* unexpectedAnswer(purpose, exchange)
}, Effect.scoped)

/** Statuses of a registry that takes no parts. */
const noParts: ReadonlyArray<number | undefined> = [405, 501]

const uploadTo = Effect.fnUntraced(function* (
  client: RegistryClient,
  purpose: Purpose,
  session: UploadSession,
  size: number,
  content: Content
) {
  const whole = { content, size }
  const partBytes = Math.max(client.settings.uploadPartBytes, session.minPartBytes)
  if (size <= partBytes) return yield* complete(client, purpose, session, session.url, whole)
  const location = yield* uploadParts(client, purpose, session, { size, partBytes, content }).pipe(
    Effect.asSome,
    Effect.catchIf(
      (error) => error instanceof ExchangeFailed && noParts.includes(error.status),
      () => Effect.succeedNone
    )
  )
  if (Option.isSome(location)) return yield* complete(client, purpose, session, location.value, undefined)
  const again = yield* beginUpload(client, purpose)
  return yield* complete(client, purpose, again, again.url, whole)
})

const bring = Effect.fnUntraced(function* (
  client: RegistryClient,
  purpose: Purpose,
  size: number,
  content: Content,
  from: string | undefined
) {
  const mounted = from === undefined ? undefined : yield* mountBlob(client, purpose, from)
  if (mounted === "mounted") return mounted
  yield* uploadTo(client, purpose, mounted ?? (yield* beginUpload(client, purpose)), size, content)
  return "pushed" as const
})

class SourceFailed<E> {
  readonly error: E
  constructor(error: E) {
    this.error = error
  }
}

const unreadable = () => new ExchangeFailed({ reason: "its content could not be read", transient: false })

/**
 * The content as uploads read it, and what came of reading it: a request would tell of a failing source as of a broken
 * connection, so it is remembered on the side.
 */
const watched = Effect.fnUntraced(function* <E>(
  content: Stream.Stream<Uint8Array, E>,
  descriptor: Descriptor,
  verified: boolean
) {
  const failure = yield* Ref.make(Option.none<SourceFailed<E> | ExchangeFailed>())
  const note = (error: SourceFailed<E> | ExchangeFailed) =>
    Ref.update(
      failure,
      Option.orElseSome(() => error)
    )
  const read = content.pipe(
    Stream.tapError((error) => note(new SourceFailed(error))),
    Stream.mapError(unreadable)
  )
  if (verified) return { source: read, failure: Ref.get(failure) }
  const source: Content = read.pipe(
    verify(descriptor, `the content to upload as ${descriptor.digest}`),
    // Content that is not what it should be will not become so.
    Stream.mapError((error) =>
      error instanceof ContentMismatch ? new ExchangeFailed({ reason: error.message, transient: false }) : error
    ),
    Stream.tapError((error) => note(error))
  )
  return { source, failure: Ref.get(failure) }
})

export const makePush = (client: RegistryClient, exists: Shape["exists"]): Shape["push"] => {
  const takeTurn = makeSlots(1)

  const push = Effect.fnUntraced(function* <E>(
    repository: Repository,
    descriptor: Descriptor,
    content: Stream.Stream<Uint8Array, E>,
    { mountFrom, onMissing = Effect.void, verified = false }: BlobPushOptions
  ): Effect.fn.Return<PushOutcome, RegistryError | E, Scope.Scope> {
    yield* takeTurn(`${formatRepository(repository)}@${descriptor.digest}`)
    if (yield* exists(repository, descriptor)) return "present"
    yield* onMissing
    const purpose = blobPurpose("push", repository, descriptor)
    const { source, failure } = yield* watched(content, descriptor, verified)
    const attempt = bring(client, purpose, descriptor.size, source, mountFrom).pipe(
      Effect.catchTag("ExchangeFailed", (failed) =>
        Effect.flatMap(failure, (noted) => Effect.fail(Option.getOrElse(noted, () => failed)))
      )
    )
    return yield* attempt.pipe(
      retrying(client.settings),
      Effect.catchIf(
        (error) => error instanceof SourceFailed,
        ({ error }) => Effect.fail(error)
      ),
      asRegistryError(purpose),
      withDeadline(client.settings, purpose, descriptor.size)
    )
  })

  return (repository, descriptor, content, options = {}) =>
    Effect.scoped(push(repository, descriptor, content, options)).pipe(Effect.withSpan("RegistryFetcher.push"))
}
