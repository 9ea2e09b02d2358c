import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { readdirSync, readFileSync } from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as ContentStoreLayout from "../../../src/layers/ContentStoreLayout.ts"
import { digestOf } from "../../../src/streams/verify.ts"
import { noise } from "../../support/content.ts"
import {
  blobFile,
  config,
  content,
  entriesOf,
  imageIndex,
  layer,
  manifest,
  present,
  push,
  pushAll,
  type Store
} from "../../support/layoutStore.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

const writer = fileURLToPath(new URL("../../support/writeLayoutForever.ts", import.meta.url))

/** How many processes are killed; more may be asked for. */
const kills = Number(process.env["LAYOUT_KILLS"] ?? 100)

/** Tags by what a writer said of them: a digest, nothing, or one of several where it was killed in between. */
type Expected = Map<string, ReadonlyArray<string | undefined>>

const applySaid = (expected: Expected, line: string) => {
  const [verb, tag = "", digest] = line.split(" ")
  const now = expected.get(tag) ?? [undefined]
  if (verb === "tagging") expected.set(tag, [...now, digest])
  else if (verb === "tagged") expected.set(tag, [digest])
  else if (verb === "removing") expected.set(tag, [...now, undefined])
  else if (verb === "removed") expected.set(tag, [undefined])
}

/** A writer whose words are collected; it is dead when the scope ends. */
const startWriter = (root: string, prefix: string, expected: Expected, rounds?: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const args = [writer, root, prefix, ...(rounds === undefined ? [] : [String(rounds)])]
      const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] })
      let rest = ""
      child.stdout.on("data", (chunk: Buffer) => {
        const lines = (rest + chunk.toString()).split("\n")
        rest = lines.pop() ?? ""
        for (const line of lines) applySaid(expected, line)
      })
      const closed = once(child, "close")
      return { child, closed }
    }),
    ({ child, closed }) =>
      Effect.promise(async () => {
        child.kill("SIGKILL")
        await closed
      })
  )

const hasSpoken = (child: ChildProcess) => Effect.promise(() => once(child.stdout ?? child, "data"))

/** Nothing visible is wrong, and every tag is one that was said. */
const checkStore = Effect.fnUntraced(function* (root: string, expected: Expected) {
  const store = yield* ContentStoreLayout.open({ root })
  const blobs = yield* Stream.runCollect(store.blobs)
  for (const { digest } of blobs) assert.strictEqual(digestOf(readFileSync(blobFile(store, digest))), digest)
  const tags = new Map<string, string>((yield* store.tags).map(({ tag, descriptor }) => [tag, descriptor.digest]))
  for (const [tag, possible] of expected) assert.include(possible, tags.get(tag), tag)
  for (const { descriptor } of yield* store.tags) {
    const document: { readonly layers: ReadonlyArray<{ readonly digest: string }> } = JSON.parse(
      Buffer.from(yield* store.readDocument(descriptor)).toString()
    )
    for (const { digest } of document.layers) assert.isTrue(blobs.some((blob) => blob.digest === digest))
  }
  assert.deepStrictEqual(readdirSync(path.join(root, "ingest")), [])
  // What was said of a tag that could be one of two is known now.
  for (const tag of expected.keys()) expected.set(tag, [tags.get(tag)])
})

describe("a layout in many processes", () => {
  it.live(
    `loses no tag and shows nothing torn when ${kills} writers are killed, two at a time`,
    () =>
      Effect.gen(function* () {
        const root = yield* temporaryDirectory
        const expected: Expected = new Map()
        for (let round = 0; round * 2 < kills; round++) {
          yield* Effect.scoped(
            Effect.gen(function* () {
              const writers = yield* Effect.forEach(["a", "b"], (prefix) => startWriter(root, prefix, expected))
              yield* Effect.all(
                writers.map(({ child }) => hasSpoken(child)),
                { concurrency: 2 }
              )
              yield* Effect.sleep(Math.random() * 40)
            })
          )
          yield* checkStore(root, expected)
        }
        assert.isAtLeast(expected.size, 2)
      }),
    600_000
  )

  it.live("keeps the changes of writers, deleters and collectors at once, and nobody waits for ever", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const store = yield* ContentStoreLayout.open({ root })
      const expected: Expected = new Map()
      const writers = yield* Effect.forEach(["a", "b"], (prefix) => startWriter(root, prefix, expected, 25))
      const kept = manifest([layer("kept")], undefined, "kept")
      yield* pushAll(store, [config, layer("kept"), kept])
      yield* store.tag(kept.descriptor, "kept")
      for (let i = 0; i < 10; i++) {
        yield* push(store, manifest([], undefined, `${i}`))
        yield* store.delete(manifest([], undefined, `${i}`).descriptor)
        yield* Effect.sleep(20)
      }
      const ends = yield* Effect.forEach(writers, ({ closed }) => Effect.promise(() => closed), { concurrency: 2 })
      assert.deepStrictEqual(ends, [
        [0, null],
        [0, null]
      ])
      expected.set("kept", [kept.descriptor.digest])
      yield* checkStore(root, expected)
      yield* store.collectGarbage
      yield* checkStore(root, expected)
    })
  )

  it.live("takes nothing from who builds under a lease: deletions take nothing along, collections wait", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const [builder, other] = [yield* ContentStoreLayout.open({ root }), yield* ContentStoreLayout.open({ root })]
      const [earlier, later] = [manifest([], undefined, "earlier"), manifest([], undefined, "later")]
      yield* pushAll(other, [config, earlier])
      const collecting = yield* builder.withLease(
        Effect.gen(function* () {
          yield* push(builder, config)
          yield* other.delete(earlier.descriptor)
          const waiting = yield* Effect.forkChild(other.collectGarbage, { startImmediately: true })
          yield* push(builder, later)
          yield* builder.tag(later.descriptor, "later")
          // Builders do not keep each other out.
          yield* other.withLease(push(other, layer("foo")))
          return waiting
        })
      )
      yield* Fiber.join(collecting)
      assert.deepStrictEqual(yield* present(builder, { config, earlier, later }), ["config", "later"])
      assert.isFalse(yield* builder.exists(layer("foo").descriptor.digest))
    })
  )

  it.live("sees what another deleted", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const [one, other] = [yield* ContentStoreLayout.open({ root }), yield* ContentStoreLayout.open({ root })]
      const image = manifest([], undefined, "image")
      const referrer = manifest([], image, "referrer")
      yield* pushAll(one, [config, image, referrer])
      yield* one.tag(image.descriptor, "v1")
      assert.lengthOf(yield* other.referrers(image.descriptor.digest), 1)
      yield* one.delete(referrer.descriptor)
      assert.deepStrictEqual(yield* other.referrers(image.descriptor.digest), [])
      yield* one.delete(image.descriptor)
      assert.deepStrictEqual(yield* other.tags, [])
      assert.strictEqual((yield* Effect.flip(other.tag(image.descriptor, "v1")))._tag, "ContentNotFound")
    })
  )
})

const many = <A, E, R>(count: number, run: (i: number) => Effect.Effect<A, E, R>) =>
  Effect.forEach(Array.from({ length: count }), (_, i) => run(i), { concurrency: "unbounded" })

describe("two stores on one layout", () => {
  it.live("see that a manifest is gone that only another one listed", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const [one, other] = [yield* ContentStoreLayout.open({ root }), yield* ContentStoreLayout.open({ root })]
      const image = manifest([], undefined, "image")
      const referrer = manifest([], image, "referrer")
      yield* pushAll(one, [config, image, content("application/x", referrer.bytes), imageIndex([referrer])])
      assert.lengthOf(yield* other.referrers(image.descriptor.digest), 1)
      yield* one.delete(referrer.descriptor)
      assert.deepStrictEqual(yield* other.referrers(image.descriptor.digest), [])
    })
  )

  it.live("take tags away at the same time", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const stores = [yield* ContentStoreLayout.open({ root }), yield* ContentStoreLayout.open({ root })]
      const [first] = stores
      assert.isDefined(first)
      const image = yield* push(first, manifest([]))
      const tags = Array.from({ length: 40 }, (_, i) => `v${i}`)
      yield* Effect.forEach(tags, (tag) => first.tag(image, tag))
      yield* Effect.forEach(tags, (tag, i) => stores[i % 2]?.untag(tag) ?? Effect.void, { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* first.tags, [])
      assert.deepStrictEqual(entriesOf(first), [image])
    })
  )
})

describe("a layout in many fibers (oci-layout-store, 13: 72, 73 and 77)", () => {
  it.live("takes one blob from 64 at once, and gives it to 64 at once (72, 73)", () =>
    Effect.gen(function* () {
      const store: Store = yield* ContentStoreLayout.open({ root: yield* temporaryDirectory })
      const blob = content("application/x", noise(200_000))
      yield* many(64, () => push(store, blob))
      const read = yield* many(64, () => store.readDocument(blob.descriptor))
      for (const bytes of read) assert.isTrue(Buffer.from(bytes).equals(Buffer.from(blob.bytes)))
    })
  )

  it.live("lists every manifest that many pushed and tagged (77)", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const store = yield* ContentStoreLayout.open({ root })
      yield* many(40, (i) =>
        Effect.flatMap(push(store, manifest([], undefined, `${i}`)), (descriptor) =>
          i % 2 === 0 ? store.tag(descriptor, `v${i}`) : Effect.void
        )
      )
      const again = yield* ContentStoreLayout.open({ root })
      assert.lengthOf(entriesOf(again), 40)
      assert.lengthOf(yield* again.tags, 20)
    })
  )
})
