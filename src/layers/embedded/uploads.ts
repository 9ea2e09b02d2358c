/**
 * Uploads of blobs into the embedded registry: in one request or two, or in parts (distribution-spec, "Pushing Blobs"). Parts are
 * gathered in a file; a blob that comes in one piece goes straight into the store, which checks it as it passes.
 */
import { NodeStream } from "@effect/platform-node"
import { Effect, Schema, Stream } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { createReadStream } from "node:fs"
import type { ContentStore } from "../../services/ContentStore.ts"
import { Digest } from "../../services/Descriptor.ts"
import { take } from "../registry/contentRange.ts"
import { type Refused, refused } from "./answer.ts"
import { resetConnection, UploadBreak } from "./faults.ts"
import type { Traffic } from "./traffic.ts"
import { makeUploadSessions, type Session } from "./uploadSessions.ts"

export interface UploadLimits {
  /** Bytes of one blob. */
  readonly blobBytes: number
  /** Uploads under way; one that was idle for an hour gives way to a new one. */
  readonly sessions: number
}

const isDigest = Schema.is(Digest)

const locationOf = (repository: string, id: string): string => `/v2/${repository}/blobs/uploads/${id}`

/** What tells a client how far an upload is: the last byte that arrived, counted from 0. */
const progress = ({ id, repository, size }: Session) => ({
  location: locationOf(repository, id),
  range: `0-${Math.max(0, size - 1)}`,
  "docker-upload-uuid": id
})

const requestedDigest = (query: URLSearchParams) => {
  const digest = query.get("digest")
  return isDigest(digest) ? Effect.succeed(digest) : Effect.fail(refused("DIGEST_INVALID", "give a sha256 digest"))
}

const created = (repository: string, digest: Digest) =>
  HttpServerResponse.empty({
    status: 201,
    headers: { location: `/v2/${repository}/blobs/${digest}`, "docker-content-digest": digest }
  })

/** The body of a request; if it is to break, its first bytes, and the end of its connection. */
const brokenAfter = (bytes: number | undefined, request: HttpServerRequest.HttpServerRequest) =>
  bytes === undefined
    ? request.stream
    : Stream.concat(
        take(bytes)(request.stream),
        Stream.fromEffect(
          Effect.andThen(
            Effect.provideService(resetConnection, HttpServerRequest.HttpServerRequest, request),
            Effect.fail(refused("BLOB_UPLOAD_INVALID", "the body broke off"))
          )
        )
      )

export const makeUploads = Effect.fnUntraced(function* (
  store: ContentStore["Service"],
  traffic: Traffic,
  limits: UploadLimits
) {
  const { begin, find, append, end } = yield* makeUploadSessions(limits.sessions)

  /** The body of the request; it may not make the blob larger than is allowed. */
  const body = (before: number) =>
    Stream.unwrap(
      Effect.map(Effect.all([HttpServerRequest.HttpServerRequest, UploadBreak]), ([request, breaksAfter]) => {
        let size = before
        return brokenAfter(breaksAfter, request).pipe(
          traffic.counting("bytesReceived"),
          Stream.mapError(() => refused("BLOB_UPLOAD_INVALID", "the body broke off")),
          Stream.tap((chunk) =>
            (size += chunk.length) > limits.blobBytes
              ? Effect.fail(refused("SIZE_INVALID", `a blob has at most ${limits.blobBytes} bytes here`))
              : Effect.void
          )
        )
      })
    )

  const ingest = (
    digest: Digest,
    size: number,
    content: Stream.Stream<Uint8Array, Refused, HttpServerRequest.HttpServerRequest>
  ) =>
    store
      .ingest({ mediaType: "application/octet-stream", digest, size }, content)
      .pipe(Effect.catchTag("ContentMismatch", (error) => Effect.fail(refused("DIGEST_INVALID", error.message))))

  /** A blob in one piece whose length is known needs no file of ours. */
  const ingestRequest = Effect.fnUntraced(function* (session: Session, digest: Digest) {
    const request = yield* HttpServerRequest.HttpServerRequest
    const length = Number(request.headers["content-length"] ?? Number.NaN)
    if (session.size === 0 && Number.isSafeInteger(length) && length > 0) return yield* ingest(digest, length, body(0))
    yield* append(session, body(session.size))
    const gathered = NodeStream.fromReadable<Uint8Array, never>({
      evaluate: () => createReadStream(session.file, { highWaterMark: 256 * 1024 }),
      onError: (cause) => {
        throw cause
      }
    })
    yield* ingest(digest, session.size, gathered)
  })

  const start = Effect.fnUntraced(function* (repository: string, query: URLSearchParams) {
    const mounted = query.get("mount")
    if (isDigest(mounted) && (yield* store.exists(mounted))) return created(repository, mounted)
    const session = yield* begin(repository)
    if (query.has("digest")) {
      const digest = yield* requestedDigest(query)
      yield* Effect.ensuring(ingestRequest(session, digest), end(session))
      return created(repository, digest)
    }
    return HttpServerResponse.empty({ status: 202, headers: progress(session) })
  })

  const patch = Effect.fnUntraced(function* (session: Session) {
    const request = yield* HttpServerRequest.HttpServerRequest
    const from = /^(\d{1,15})-\d{1,15}$/.exec(request.headers["content-range"] ?? "")?.[1]
    if (from !== undefined && Number(from) !== session.size) {
      return HttpServerResponse.empty({ status: 416, headers: progress(session) })
    }
    yield* append(session, body(session.size))
    return HttpServerResponse.empty({ status: 202, headers: progress(session) })
  })

  const finish = Effect.fnUntraced(function* (session: Session, query: URLSearchParams) {
    const digest = yield* requestedDigest(query)
    yield* ingestRequest(session, digest)
    yield* end(session)
    return created(session.repository, digest)
  })

  const proceed = Effect.fnUntraced(function* (repository: string, id: string, query: URLSearchParams) {
    const { method } = yield* HttpServerRequest.HttpServerRequest
    const session = yield* find(repository, id)
    switch (method) {
      case "PATCH":
        return yield* session.turn.withPermits(1)(patch(session))
      case "PUT":
        return yield* session.turn.withPermits(1)(finish(session, query))
      case "GET":
        return HttpServerResponse.empty({ status: 204, headers: progress(session) })
      case "DELETE":
        return yield* session.turn.withPermits(1)(Effect.as(end(session), HttpServerResponse.empty({ status: 204 })))
      default:
        return yield* refused("UNSUPPORTED", `${method} is not known here`)
    }
  })

  return { start, proceed }
})

export type Uploads = Effect.Success<ReturnType<typeof makeUploads>>
