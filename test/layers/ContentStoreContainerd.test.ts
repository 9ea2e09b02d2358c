import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import * as ContainerdConnection from "../../src/layers/containerd/ContainerdConnection.ts"
import { Content } from "../../src/layers/containerd/gen/content_pb.ts"
import * as ContentStoreContainerd from "../../src/layers/ContentStoreContainerd.ts"
import { MediaType } from "../../src/services/MediaType.ts"
import { type Containerd, containerd, missingForContainerd } from "../support/containerd.ts"
import { chunked, descriptorOf, json, noise } from "../support/content.ts"
import { bytesOf, contentStoreSuite, openClient, put } from "../support/contentStoreSuite.ts"

/** What nothing holds is garbage: here it is collected only when a test says so. */
const daemon = containerd({
  config: `[plugins."io.containerd.gc.v1.scheduler"]\nstartup_delay = "24h"\nmutation_threshold = 0`
})

const open = ({ address }: Containerd, options: Partial<Parameters<typeof ContentStoreContainerd.layer>[0]> = {}) =>
  openClient(ContentStoreContainerd.layer({ address, namespace: "default", ...options }))

const content = Buffer.concat([noise(1_500_000), noise(1_500_000, 2)])
const blob = descriptorOf(content)
const small = noise(10_000)

/** A source that gives the first half of the content, and the rest when it is told. */
const halting = Effect.gen(function* () {
  const [half, rest] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
  const middle = content.length / 2
  const source = chunked(content.subarray(0, middle), middle).pipe(
    Stream.concat(Stream.fromEffectDrain(Effect.andThen(Deferred.succeed(half, undefined), Deferred.await(rest)))),
    Stream.concat(chunked(content.subarray(middle), middle))
  )
  return { source, half: Deferred.await(half), goOn: Deferred.succeed(rest, undefined) }
})

/** What a client leaves that is killed after it sent these bytes as the blob. */
const beginUpload = ({ address }: Containerd, bytes: Uint8Array) =>
  Effect.scoped(
    Effect.gen(function* () {
      const connection = yield* ContainerdConnection.ContainerdConnection
      const { ask } = yield* connection.exchange(Content.method.write)
      yield* ask({ action: 0, ref: blob.digest, total: BigInt(blob.size), expected: blob.digest })
      yield* ask({ action: 1, data: bytes })
    })
  ).pipe(Effect.provide(ContainerdConnection.layer({ address, namespace: "default" })))

const mustNotBeRead = Stream.die("must not be read")
const missing = missingForContainerd === "" ? "" : ` (skipped: needs ${missingForContainerd})`

describe.skipIf(missing !== "")(`ContentStoreContainerd${missing}`, () => {
  contentStoreSuite(
    "ContentStoreContainerd",
    Effect.map(daemon, ({ address }) => ContentStoreContainerd.layer({ address, namespace: "default" }))
  )

  describe("leases and garbage", () => {
    it.live("keeps what was ingested under a lease until it ends; then only labels keep it", () =>
      Effect.gen(function* () {
        const running = yield* daemon
        const store = yield* open(running)
        const [labelled, child, bare] = yield* store.withLease(
          Effect.gen(function* () {
            const parent = yield* put(store, json({ parent: true }))
            const stored = [parent, yield* put(store, small), yield* put(store, content)] as const
            yield* running.collectGarbage
            for (const { digest } of stored) assert.isTrue(yield* store.exists(digest), "garbage was collected")
            yield* store.label(parent.digest, "containerd.io/gc.root", "2026-01-01T00:00:00Z")
            yield* store.label(parent.digest, "containerd.io/gc.ref.content.ztoc.0", stored[1].digest)
            return stored
          })
        )
        yield* running.collectGarbage
        assert.isTrue(yield* store.exists(labelled.digest))
        assert.isTrue(yield* store.exists(child.digest))
        assert.isFalse(yield* store.exists(bare.digest))
      })
    )

    it.live("takes up under a lease what is there already, without reading its source", () =>
      Effect.gen(function* () {
        const running = yield* daemon
        const store = yield* open(running)
        yield* put(store, content)
        yield* store.withLease(
          Effect.gen(function* () {
            yield* store.ingest(blob, mustNotBeRead)
            yield* running.collectGarbage
            assert.isTrue(yield* store.exists(blob.digest))
          })
        )
        yield* store.collectGarbage
        assert.isFalse(yield* store.exists(blob.digest))
      })
    )

    it.live("gives back its lease at the end, also of an interrupted effect; one within another is the same", () =>
      Effect.gen(function* () {
        const running = yield* daemon
        const store = yield* open(running)
        const leases = Effect.map(running.ctr("leases", "ls", "-q"), (text) => text.split("\n").filter(Boolean))
        const begun = yield* Deferred.make<void>()
        const leased = store.withLease(
          store.withLease(Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
        )
        const fiber = yield* Effect.forkChild(leased)
        yield* Deferred.await(begun)
        assert.strictEqual((yield* leases).length, 1)
        assert.include(yield* running.ctr("leases", "ls"), "containerd.io/gc.expire=")
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* leases, [])
      })
    )

    it.live("sets one label and leaves the others; an empty value takes one away", () =>
      Effect.gen(function* () {
        const running = yield* daemon
        const store = yield* open(running)
        const { digest } = yield* put(store, small)
        const labels = Effect.map(running.ctr("content", "ls"), (text) =>
          text.trim().split("\t").at(-1)?.split(",").toSorted()
        )
        yield* running.ctr("content", "label", digest, "theirs=1")
        yield* store.label(digest, "containerd.io/gc.ref.content.l.0", "a.b/c")
        yield* store.label(digest, "gone", "1")
        yield* store.label(digest, "gone", "")
        assert.deepStrictEqual(yield* labels, ["containerd.io/gc.ref.content.l.0=a.b/c", "theirs=1"])
        const tooLong = yield* Effect.flip(store.label(digest, "key", "x".repeat(5000)))
        assert.strictEqual(tooLong._tag, "ContentStoreFailed")
        assert.include(tooLong.message, "INVALID_ARGUMENT")
        assert.strictEqual((yield* Effect.flip(store.label(blob.digest, "key", "1")))._tag, "ContentNotFound")
      })
    )
  })

  describe("uploads", () => {
    it.live("leaves no upload behind when it fails or is interrupted", () =>
      Effect.gen(function* () {
        const running = yield* daemon
        const store = yield* open(running)
        const active = Effect.map(running.ctr("content", "active"), (text) => text.split("\n").slice(1).join(""))
        yield* Effect.flip(
          store.ingest(blob, Stream.concat(chunked(content.subarray(0, 2_000_000), 500_000), Stream.fail("reset")))
        )
        assert.strictEqual(yield* active, "")

        const { source, half } = yield* halting
        const fiber = yield* Effect.forkChild(store.ingest(blob, source))
        yield* half
        assert.include(yield* active, blob.digest)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* active, "")
        assert.isFalse(yield* store.exists(blob.digest))
      })
    )

    it.live("waits for another client's upload of the same blob, and then has it", () =>
      Effect.gen(function* () {
        const running = yield* daemon
        const [one, two] = [yield* open(running), yield* open(running)]
        const { source, half, goOn } = yield* halting
        const first = yield* Effect.forkChild(one.ingest(blob, source))
        yield* half
        const second = yield* Effect.forkChild(two.ingest(blob, mustNotBeRead))
        yield* Effect.sleep("300 millis")
        assert.isUndefined(second.pollUnsafe())
        yield* goOn
        yield* Fiber.join(first)
        yield* Fiber.join(second)
      })
    )

    it.live("says who stands in the way when another client's upload gets no further", () =>
      Effect.gen(function* () {
        const running = yield* daemon
        const [one, two] = [yield* open(running), yield* open(running, { uploadPatience: "200 millis" })]
        const { source, half } = yield* halting
        const first = yield* Effect.forkChild(one.ingest(blob, source))
        yield* half
        const error = yield* Effect.flip(two.ingest(blob, mustNotBeRead))
        assert.strictEqual(error._tag, "ContentStoreFailed")
        assert.match(error.message, /locked for .*another client is uploading it and got no further for 200ms/)
        yield* Fiber.interrupt(first)
        yield* two.ingest(blob, chunked(content, 1_000_000))
      })
    )

    it.live("sends nothing that another namespace has, and sees nothing else of it", () =>
      Effect.gen(function* () {
        const running = yield* daemon
        const [one, two] = [yield* open(running), yield* open(running, { namespace: "k8s.io" })]
        yield* put(one, content)
        yield* one.tag(blob, "example.com/app:v1")
        assert.isFalse(yield* two.exists(blob.digest))
        assert.deepStrictEqual(yield* two.tags, [])
        assert.strictEqual((yield* Stream.runCollect(two.blobs)).length, 0)
        yield* two.ingest(blob, mustNotBeRead)
        yield* one.delete(blob)
        assert.isFalse(yield* one.exists(blob.digest))
        assert.isTrue(content.equals(yield* bytesOf(two.read(blob))))
      })
    )

    for (const [what, left] of [
      ["part of the blob", content.subarray(0, 1_200_000)],
      ["other bytes of the same length", noise(content.length, 5)],
      ["nothing", new Uint8Array(0)]
    ] as const) {
      it.live(`writes over what a killed client left: ${what}`, () =>
        Effect.gen(function* () {
          const running = yield* daemon
          yield* beginUpload(running, left)
          const store = yield* open(running)
          yield* store.ingest(blob, chunked(content, 1_000_000))
          assert.isTrue(content.equals(yield* bytesOf(store.read(blob))))
        })
      )
    }

    it.live("commits the whole blob that a killed client left, without reading its source", () =>
      Effect.gen(function* () {
        const running = yield* daemon
        yield* beginUpload(running, content)
        const store = yield* open(running)
        yield* store.ingest(blob, mustNotBeRead)
        assert.isTrue(content.equals(yield* bytesOf(store.read(blob))))
      })
    )

    it.live("begins again where a killed containerd broke off", () =>
      Effect.gen(function* () {
        const running = yield* daemon
        const store = yield* open(running)
        const { source, half, goOn } = yield* halting
        const fiber = yield* Effect.forkChild(Effect.flip(store.ingest(blob, source)))
        yield* half
        yield* running.kill
        yield* goOn
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(error._tag, "ContentStoreFailed")
        yield* running.start
        assert.isFalse(yield* store.exists(blob.digest))
        assert.include(yield* running.ctr("content", "active"), blob.digest)
        yield* store.ingest(blob, chunked(content, 400_000))
        assert.isTrue(content.equals(yield* bytesOf(store.read(blob))))
      })
    )
  })

  it.live("fails the calls of a containerd that dies, and finds the next one", () =>
    Effect.gen(function* () {
      const running = yield* daemon
      const store = yield* open(running)
      yield* put(store, small)
      yield* running.signal("SIGSTOP")
      const call = yield* Effect.forkChild(Effect.flip(store.exists(blob.digest)))
      yield* Effect.sleep("100 millis")
      assert.isUndefined(call.pollUnsafe())
      yield* running.kill
      assert.match((yield* Fiber.join(call)).message, /^cannot exists .* in .*containerd\.sock: UNAVAILABLE: /)
      yield* running.start
      assert.isTrue(yield* store.exists(descriptorOf(small).digest))
    })
  )

  it.live("waits for the answer of a containerd that hangs no longer than its patience", () =>
    Effect.gen(function* () {
      const running = yield* daemon
      const store = yield* open(running, { patience: "300 millis" })
      yield* put(store, small)
      yield* running.signal("SIGSTOP")
      const errors = yield* Effect.all([
        Effect.flip(store.exists(blob.digest)),
        Effect.flip(Stream.runDrain(store.blobs)),
        Effect.flip(store.ingest(blob, mustNotBeRead))
      ])
      yield* running.signal("SIGCONT")
      for (const error of errors) assert.include(error.message, "DEADLINE_EXCEEDED")
      assert.isTrue(yield* store.exists(descriptorOf(small).digest))
    })
  )

  it.live("is at an address that may be a URL", () =>
    Effect.gen(function* () {
      const running = yield* daemon
      const store = yield* open(running, { address: `unix://${running.address}` })
      assert.strictEqual(store.location, running.address)
      assert.isFalse(yield* store.exists(blob.digest))
    })
  )

  it.live("knows what a digest stands for by what the document says of itself", () =>
    Effect.gen(function* () {
      const store = yield* open(yield* daemon)
      const config = yield* put(store, json({ architecture: "amd64" }), MediaType.ociConfig)
      const bytes = json({ schemaVersion: 2, config, layers: [] })
      const manifest = yield* put(store, bytes, MediaType.ociManifest)
      assert.deepStrictEqual(yield* store.resolve(manifest.digest), manifest)
      assert.strictEqual((yield* store.resolve(config.digest)).mediaType, "application/octet-stream")
    })
  )

  it.live("refuses a namespace that containerd cannot have", () =>
    Effect.gen(function* () {
      const running = yield* daemon
      for (const namespace of ["", "no spaces", "ünicode", "line\nbreak"]) {
        const error = yield* Effect.flip(Effect.flatMap(open(running, { namespace }), (store) => put(store, small)))
        assert.strictEqual(error._tag, "ContentStoreFailed", namespace)
      }
    })
  )
})
