/**
 * A blob that is being opened while other things go on, and that nobody has to wait for who does not read it: a layer whose spans are all
 * local needs no registry.
 */
import { Effect, Scope, Semaphore, Stream } from "effect"
import { causeMessage } from "../../services/causeMessage.ts"
import type { Descriptor } from "../../services/Descriptor.ts"
import { BlobReadFailed, type RemoteBlob } from "../../services/RemoteBlob.ts"

/** Where opening fails, the next read tries again. What was opened is closed with the scope. */
export const openAhead = Effect.fnUntraced(function* <E>(
  descriptor: Descriptor,
  location: string,
  open: Effect.Effect<RemoteBlob, E, Scope.Scope>
) {
  const scope = yield* Effect.scope
  const one = yield* Semaphore.make(1)
  let opened: RemoteBlob | undefined
  const blob = one.withPermit(
    Effect.suspend(() =>
      opened === undefined
        ? Effect.tap(Scope.provide(open, scope), (fresh) => Effect.sync(() => (opened = fresh)))
        : Effect.succeed(opened)
    )
  )
  yield* Effect.forkScoped(Effect.ignore(blob))
  const ahead: RemoteBlob = {
    descriptor,
    location,
    read: (offset, length) =>
      blob.pipe(
        Effect.mapError(
          (cause) => new BlobReadFailed({ blob: location, offset, length, reason: causeMessage(cause), cause })
        ),
        Effect.map((open) => open.read(offset, length)),
        Stream.unwrap
      )
  }
  return ahead
})
