/**
 * Uploads under way in the embedded registry: what arrived so far, in a file each.
 */
import { Clock, Effect, Semaphore, Stream } from "effect"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { refused } from "./answer.ts"

export interface Session {
  readonly id: string
  readonly repository: string
  readonly file: string
  /** One request at a time. */
  readonly turn: Semaphore.Semaphore
  size: number
  usedAtMillis: number
}

/** An upload that nobody touched for so long gives way to a new one. */
const idleMillis = 60 * 60 * 1000

const temporaryDirectory = Effect.acquireRelease(
  Effect.promise(() => fs.mkdtemp(path.join(tmpdir(), "effect-soci-uploads-"))),
  (directory) => Effect.promise(() => fs.rm(directory, { recursive: true, force: true }))
)

/** A disk may be full. */
const writing = <A>(run: () => Promise<A>) =>
  Effect.tryPromise({
    try: run,
    catch: (cause) => refused("INTERNAL", `the upload cannot be written: ${String(cause)}`)
  })

/** At most `limit` sessions; their files go with the scope. */
export const makeUploadSessions = Effect.fnUntraced(function* (limit: number) {
  const directory = yield* temporaryDirectory
  const sessions = new Map<string, Session>()

  const end = (session: Session) =>
    Effect.promise(async () => {
      sessions.delete(session.id)
      await fs.rm(session.file, { force: true })
    })

  const begin = Effect.fnUntraced(function* (repository: string) {
    const now = yield* Clock.currentTimeMillis
    if (sessions.size >= limit) {
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

  const append = <E, R>(session: Session, bytes: Stream.Stream<Uint8Array, E, R>) =>
    Effect.scoped(
      Effect.gen(function* () {
        const handle = yield* Effect.acquireRelease(
          writing(() => fs.open(session.file, "a", 0o600)),
          (opened) => Effect.promise(() => opened.close())
        )
        yield* Stream.runForEach(bytes, (chunk) =>
          Effect.andThen(
            writing(() => handle.writeFile(chunk)),
            Effect.sync(() => void (session.size += chunk.length))
          )
        )
        session.usedAtMillis = yield* Clock.currentTimeMillis
      })
    )

  return { begin, find, append, end }
})
