/**
 * Uploads of blobs into the embedded registry: in one request or two, or in parts (distribution-spec, "Pushing Blobs"). Parts are
 * gathered in a file; a blob that comes in one piece goes straight into the store, which checks it as it passes.
 */
import { NodeStream } from "@effect/platform-node"
import { Clock, Effect, Schema, Semaphore, Stream } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { randomBytes } from "node:crypto"
import { createReadStream } from "node:fs"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import * as path from "node:path"
import type { ContentStore } from "../../services/ContentStore.ts"
import { Digest } from "../../services/Descriptor.ts"
import { type Refused, refused } from "./answer.ts"
import type { Traffic } from "./traffic.ts"

interface Session {
  readonly id: string
  readonly repository: string
  readonly file: string
  /** One request at a time. */
  readonly turn: Semaphore.Semaphore
  size: number
  usedAtMillis: number
}

export interface UploadLimits {
  /** Bytes of one blob. */
  readonly blobBytes: number
  /** Uploads under way; one that was idle for an hour gives way to a new one. */
  readonly sessions: number
}

const idleMillis = 60 * 60 * 1000

const isDigest = Schema.is(Digest)

const temporaryDirectory = Effect.acquireRelease(
  Effect.promise(() => fs.mkdtemp(path.join(tmpdir(), "effect-soci-uploads-"))),
  (directory) => Effect.promise(() => fs.rm(directory, { recursive: true, force: true }))
)

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

/** A disk may be full. */
const writing = <A>(run: () => Promise<A>) =>
  Effect.tryPromise({
    try: run,
    catch: (cause) => refused("INTERNAL", `the upload cannot be written: ${String(cause)}`)
  })

export const makeUploads = Effect.fnUntraced(function* (
  store: ContentStore["Service"],
  traffic: Traffic,
  limits: UploadLimits
) {
  const directory = yield* temporaryDirectory
  const sessions = new Map<string, Session>()

  const end = (session: Session) =>
    Effect.promise(async () => {
      sessions.delete(session.id)
      await fs.rm(session.file, { force: true })
    })

  const begin = Effect.fnUntraced(function* (repository: string) {
    const now = yield* Clock.currentTimeMillis
    if (sessions.size >= limits.sessions) {
      const idle = [...sessions.values()].find(({ usedAtMillis }) => usedAtMillis < now - idleMillis)
      if (idle === undefined) return yield* refused("TOOMANYREQUESTS", "too many uploads are under way")
      yield* end(idle)
    }
    const id = randomBytes(16).toString("hex")
    const file = path.join(directory, id)
    const session: Session = { id, repository, file, turn: Semaphore.makeUnsafe(1), size: 0, usedAtMillis: now }
    sessions.set(id, session)
    return session
  })

  const find = (repository: string, id: string) =>
    Effect.suspend(() => {
      const session = sessions.get(id)
      return session?.repository === repository
        ? Effect.succeed(session)
        : Effect.fail(refused("BLOB_UPLOAD_UNKNOWN", "there is no such upload"))
    })

  /** The body of the request; it may not make the blob larger than is allowed. */
  const body = (before: number) =>
    Stream.unwrap(
      Effect.map(HttpServerRequest.HttpServerRequest, (request) => {
        let size = before
        return request.stream.pipe(
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

  const append = (session: Session) =>
    Effect.scoped(
      Effect.gen(function* () {
        const handle = yield* Effect.acquireRelease(
          writing(() => fs.open(session.file, "a", 0o600)),
          (opened) => Effect.promise(() => opened.close())
        )
        yield* Stream.runForEach(body(session.size), (chunk) =>
          Effect.andThen(
            writing(() => handle.writeFile(chunk)),
            Effect.sync(() => void (session.size += chunk.length))
          )
        )
        session.usedAtMillis = yield* Clock.currentTimeMillis
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
    yield* append(session)
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
    yield* append(session)
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
