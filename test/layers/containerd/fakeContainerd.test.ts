import { create } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { EmptySchema } from "@bufbuild/protobuf/wkt"
import { status } from "@grpc/grpc-js"
import { Deferred, Effect, Fiber, Stream } from "effect"
import {
  InfoResponseSchema,
  ListContentResponseSchema,
  ReadContentResponseSchema,
  WriteContentResponseSchema
} from "../../../src/layers/containerd/gen/content_pb.ts"
import * as ContentStoreContainerd from "../../../src/layers/ContentStoreContainerd.ts"
import type { ContentStore } from "../../../src/services/ContentStore.ts"
import { chunked, descriptorOf, noise } from "../../support/content.ts"
import { bytesOf, openClient } from "../../support/contentStoreSuite.ts"
import { type FakeContent, fakeContainerd } from "../../support/fakeContainerd.ts"

type Store = ContentStore["Service"]

const content = noise(50_000)
const blob = descriptorOf(content)

const info: NonNullable<FakeContent["info"]> = (_call, answer) =>
  answer(null, create(InfoResponseSchema, { info: { digest: blob.digest, size: BigInt(blob.size) } }))

const reads = (...pieces: ReadonlyArray<Uint8Array>): FakeContent => ({
  info,
  read: (call) => {
    for (const data of pieces) call.write(create(ReadContentResponseSchema, { data }))
    call.end()
  }
})

/** A thousand blobs as containerd lists them. */
const page = (from: number) =>
  Array.from({ length: 1000 }, (_, index) => ({
    digest: `sha256:${(from + index).toString(16).padStart(64, "0")}`,
    size: 1000n
  }))

const storeOn = (implementation: FakeContent) =>
  Effect.flatMap(fakeContainerd(implementation), (address) =>
    openClient(ContentStoreContainerd.layer({ address, namespace: "default", patience: "5 seconds" }))
  )

describe("a containerd that cannot be trusted", () => {
  for (const [what, pieces] of [
    ["less than was asked for", [content.subarray(0, 40_000)]],
    ["more than was asked for", [content, noise(1)]],
    ["nothing", []]
  ] as const) {
    it.live(`fails a range of which ${what} comes`, () =>
      Effect.gen(function* () {
        const store = yield* storeOn(reads(...pieces))
        const opened = yield* store.open(blob)
        const error = yield* Effect.flip(bytesOf(opened.read(0, blob.size)))
        assert.strictEqual(error._tag, "BlobReadFailed")
        assert.include(error.message, "DATA_LOSS")
      })
    )
  }

  it.live("fails a blob with other bytes than its digest's", () =>
    Effect.gen(function* () {
      const store = yield* storeOn(reads(noise(blob.size, 2)))
      assert.strictEqual((yield* Effect.flip(bytesOf(store.read(blob))))._tag, "ContentMismatch")
    })
  )

  it.live("holds back a server whose reader is slow", () =>
    Effect.gen(function* () {
      const mebi = 1024 * 1024
      const large = { ...blob, size: 1000 * mebi }
      let sent = 0
      const store = yield* storeOn({
        info: (_call, answer) =>
          answer(null, create(InfoResponseSchema, { info: { digest: blob.digest, size: BigInt(large.size) } })),
        read: (call) => {
          for (let left = Number(call.request.size); left > 0; left -= mebi) {
            sent += mebi
            call.write(create(ReadContentResponseSchema, { data: new Uint8Array(Math.min(mebi, left)) }))
          }
          call.end()
        }
      })
      const opened = yield* store.open(large)
      yield* Stream.runDrain(Stream.take(opened.read(0, large.size), 6))
      assert.strictEqual(sent, 8 * mebi)
    })
  )

  it.live("is not believed when it took fewer bytes than it was sent", () =>
    Effect.gen(function* () {
      let aborted = 0
      const store = yield* storeOn({
        info,
        write: (call) =>
          call.on("data", (request) =>
            call.write(create(WriteContentResponseSchema, { offset: BigInt(Math.min(request.data.length, 7)) }))
          ),
        abort: (_call, answer) => {
          aborted++
          answer(null, create(EmptySchema))
        }
      })
      const error = yield* Effect.flip(store.ingest(blob, chunked(content, 10_000)))
      assert.include(error.message, "7 bytes were taken where 50000 were sent")
      assert.strictEqual(aborted, 1)
    })
  )

  it.live("lists only digests that are some", () =>
    Effect.gen(function* () {
      const store = yield* storeOn({
        list: (call) => {
          for (const digest of ["", "sha256:../../etc/passwd", blob.digest, `sha512:${"0".repeat(128)}`]) {
            call.write(create(ListContentResponseSchema, { info: [{ digest, size: 50_000n }] }))
          }
          call.end()
        }
      })
      assert.deepStrictEqual(yield* Stream.runCollect(store.blobs), [{ digest: blob.digest, size: blob.size }])
    })
  )

  it.live("makes nobody look through more blobs than there is time for", () =>
    Effect.gen(function* () {
      let looked = 0
      const store = yield* storeOn({
        list: (call) => {
          for (let from = 0; from <= 100_000; from += 1000) {
            call.write(create(ListContentResponseSchema, { info: page(from) }))
          }
          call.end()
        },
        read: (call) => {
          looked++
          call.end()
        }
      })
      const error = yield* Effect.flip(store.referrers(blob.digest))
      assert.include(error.message, "more than 100000 blobs that may be manifests")
      assert.strictEqual(looked, 0)
    })
  )

  for (const [what, run] of [
    ["one answer", (store: Store) => store.exists(blob.digest)],
    ["a stream", (store: Store) => Stream.runDrain(store.blobs)],
    ["the answer to a piece of an upload", (store: Store) => store.ingest(blob, Stream.never)]
  ] as const) {
    it.live(`is told when the caller that waits for ${what} is interrupted`, () =>
      Effect.gen(function* () {
        const [called, cancelled] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const hang = (call: { on(event: "cancelled", listener: () => void): unknown }) => {
          call.on("cancelled", () => Deferred.doneUnsafe(cancelled, Effect.void))
          Deferred.doneUnsafe(called, Effect.void)
        }
        const store = yield* storeOn({ info: hang, list: hang, write: hang })
        const fiber = yield* Effect.forkChild(run(store))
        yield* Deferred.await(called)
        yield* Fiber.interrupt(fiber)
        yield* Deferred.await(cancelled)
      })
    )
  }

  it.live("says the code and the text of what it refuses, and breaks no caller with garbage", () =>
    Effect.gen(function* () {
      const store = yield* storeOn({
        info: (_call, answer) => answer({ code: status.PERMISSION_DENIED, details: "not for you" }),
        list: (call) => call.end()
      })
      const error = yield* Effect.flip(store.exists(blob.digest))
      assert.match(error.message, /^cannot exists sha256:.* in .*fake\.sock: PERMISSION_DENIED: not for you$/)
      const unknown = yield* Effect.flip(store.delete(blob))
      assert.include(unknown.message, "UNIMPLEMENTED")
      assert.deepStrictEqual(yield* Stream.runCollect(store.blobs), [])
    })
  )
})
