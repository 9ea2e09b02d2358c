/**
 * Where the commands get a ztoc from: a file, or the content store by its digest.
 */
import { Effect, Stream } from "effect"
import { Argument, Flag } from "effect/cli"
import * as path from "node:path"
import * as ContentStoreLayout from "../../../layers/ContentStoreLayout.ts"
import { FileFailed, fileFailed, openFile } from "../../../layers/extract/layerFile.ts"
import { ContentStore } from "../../../services/ContentStore.ts"
import { ZtocLimits } from "../../../services/ZtocLimits.ts"
import { decodeZtoc } from "../../../streams/codec/ztoc.ts"
import { CommandRefused } from "../../commandFailure.ts"

export const ztocArgument = Argument.String("ztoc").pipe(
  Argument.withDescription("A file with a ztoc, or the digest of one in the content store (sha256:…)")
)

export const rootFlag = Flag.String("root").pipe(
  Flag.withDescription("Directory for local data; the content store is below it"),
  Flag.withDefault("/var/lib/soci-snapshotter-grpc/")
)

const refuseSize = (subject: string, size: number) =>
  size <= ZtocLimits.ztocBytes
    ? Effect.void
    : new CommandRefused({ reason: `${subject} has ${size} bytes; a ztoc has at most ${ZtocLimits.ztocBytes}` })

const fromStore = Effect.fnUntraced(function* (digest: string) {
  const store = yield* ContentStore
  const missing = new CommandRefused({
    reason:
      `${digest} is not in the content store ${store.location}. Only that store is looked into, ` +
      `not containerd's and no artifacts data base: give the ztoc as a file, or --root`
  })
  const descriptor = yield* store.resolve(digest).pipe(Effect.catchTag("ContentNotFound", () => Effect.fail(missing)))
  yield* refuseSize(digest, descriptor.size)
  return Buffer.concat(yield* Stream.runCollect(store.read(descriptor)))
})

const storeBelow = (root: string) => ContentStoreLayout.layer({ root: path.join(root, "content"), readOnly: true })

const fromFile = Effect.fnUntraced(function* (file: string) {
  const { handle, size } = yield* openFile(file)
  yield* refuseSize(file, size)
  const bytes = Buffer.allocUnsafeSlow(size)
  const { bytesRead } = yield* Effect.tryPromise({
    try: () => handle.read(bytes, 0, size, 0),
    catch: fileFailed("read", file)
  })
  if (bytesRead < size) {
    return yield* new FileFailed({ operation: "read", path: file, reason: "it became shorter meanwhile" })
  }
  return bytes
}, Effect.scoped)

/** The ztoc and the size of its bytes. */
export const readZtoc = Effect.fnUntraced(function* (ztoc: string, root: string) {
  const bytes = yield* ztoc.startsWith("sha256:") ? Effect.provide(fromStore(ztoc), storeBelow(root)) : fromFile(ztoc)
  return { ztoc: yield* Effect.fromResult(decodeZtoc(bytes)), size: bytes.length }
})
