import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { execFileSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { zstdCompressSync } from "node:zlib"
import * as ContentStoreLayout from "../../../src/layers/ContentStoreLayout.ts"
import { openStandaloneInput } from "../../../src/layers/standalone/openStandaloneInput.ts"
import { writeArchive } from "../../../src/layers/standalone/writeArchive.ts"
import { writeLayoutDirectory } from "../../../src/layers/standalone/writeLayoutDirectory.ts"
import type { ContentStore } from "../../../src/services/ContentStore.ts"
import type { ImageIndex } from "../../../src/services/Image.ts"
import { MediaType } from "../../../src/services/MediaType.ts"
import { decodeImageIndex } from "../../../src/streams/codec/imageDocuments.ts"
import { digestOf } from "../../../src/streams/verify.ts"
import { json, noise } from "../../support/content.ts"
import { caseOf, vectorFile } from "../../support/indexVectors.ts"
import { convertStandalone } from "../../support/standaloneConversion.ts"
import { imageIndex, push } from "../../support/layoutStore.ts"
import { tarOf } from "../../support/tarArchive.ts"
import { temporaryDirectory } from "../../support/temporaryDirectory.ts"

type Store = ContentStore["Service"]

const name = "oci-single"

const runOf = (vector: string) => {
  const run = caseOf(vector).convert?.[0]
  assert.isDefined(run)
  return run
}

/** An input of our own that may be changed. */
const copyOf = (vector: string) =>
  Effect.map(temporaryDirectory, (directory) => {
    const copy = path.join(directory, "input")
    execFileSync("cp", ["-r", vectorFile(`${vector}/input`), copy])
    execFileSync("chmod", ["-R", "u+w", copy])
    return copy
  })

const messageOf = (input: string) => Effect.map(Effect.flip(openStandaloneInput(input)), ({ message }) => message)

const writers = [
  ["an archive", writeArchive],
  ["a directory", writeLayoutDirectory]
] as const

describe("the input of a standalone conversion", () => {
  it.live("is refused in the words of the reference", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const none = path.join(directory, "none")
      assert.strictEqual(
        yield* messageOf(none),
        `failed to access input ${none}: stat ${none}: no such file or directory`
      )
      assert.strictEqual(
        yield* messageOf(directory),
        `failed to read index.json from ${directory}: open ${directory}/index.json: no such file or directory`
      )
      const file = path.join(directory, "input.tar")
      for (const [bytes, text] of [
        [noise(4096), `failed to extract OCI tar ${file}: archive/tar: invalid tar header`],
        [
          tarOf({ name: "x", content: noise(4096) }).subarray(0, 2000),
          `failed to extract OCI tar ${file}: unexpected EOF`
        ],
        [zstdCompressSync(tarOf()), `failed to extract OCI tar ${file}: it is compressed with zstd; use gzip or none`],
        [execFileSync("gzip", { input: noise(100_000) }).subarray(0, 50_000), `failed to extract OCI tar ${file}: `]
      ] as const) {
        writeFileSync(file, bytes)
        const message = yield* messageOf(file)
        assert.isTrue(message.startsWith(text), message)
      }
    })
  )

  it.live("has to hold an image whose content is there", () =>
    Effect.gen(function* () {
      const input = yield* copyOf(name)
      const withIndex = (index: unknown) => {
        writeFileSync(path.join(input, "index.json"), json(index))
        return messageOf(input)
      }
      const missing = { mediaType: MediaType.ociManifest, digest: digestOf(noise(1)), size: 1 }
      assert.strictEqual(yield* withIndex({ schemaVersion: 2, manifests: [] }), "index.json contains no manifests")
      assert.strictEqual(
        yield* withIndex({ schemaVersion: 2, manifests: [missing, missing] }),
        "manifest list contains no entries with available blobs"
      )
      const list = { ...missing, mediaType: MediaType.ociIndex }
      assert.match(yield* withIndex({ schemaVersion: 2, manifests: [list] }), /^read manifest list: /)
      writeFileSync(path.join(input, "index.json"), "nope")
      assert.include(yield* messageOf(input), "index.json")
      writeFileSync(path.join(input, "oci-layout"), '{"imageLayoutVersion":"2"}')
      assert.include(yield* messageOf(input), "unsupported version")
    })
  )

  it.live(
    "is the only manifest of a list whose content is there, with its platform, or the list of what is there",
    () =>
      Effect.gen(function* () {
        const input = yield* copyOf("flat-index-missing")
        const index: ImageIndex = JSON.parse(readFileSync(path.join(input, "index.json"), "utf8"))
        const [amd64, arm64] = index.manifests ?? []
        assert.isDefined(amd64)
        assert.isDefined(arm64)
        const several = yield* openStandaloneInput(input)
        const list = yield* Effect.fromResult(decodeImageIndex(yield* several.store.readDocument(several.root)))
        assert.deepStrictEqual(list.manifests, [amd64, arm64])
        yield* Effect.promise(() => fs.rm(path.join(input, "blobs/sha256", arm64.digest.slice("sha256:".length))))
        assert.deepStrictEqual((yield* openStandaloneInput(input)).root, amd64)
      })
  )

  it.live("may lack the file that says it is a layout, and may hold symbolic links", () =>
    Effect.gen(function* () {
      const input = yield* copyOf(name)
      const output = path.join(yield* temporaryDirectory, "out.tar")
      yield* Effect.promise(async () => {
        await fs.rm(path.join(input, "oci-layout"))
        await fs.rename(path.join(input, "blobs"), path.join(input, "..", "elsewhere"))
        await fs.symlink("../elsewhere", path.join(input, "blobs"))
      })
      const { store, converted } = yield* convertStandalone(input, name, runOf(name))
      yield* writeArchive(store, converted, output)
      assert.strictEqual(digestOf(readFileSync(output)), runOf(name).archiveSha256)
    })
  )

  it.live("is not changed, and leaves no scratch directory behind", () =>
    Effect.gen(function* () {
      const input = yield* copyOf("flat-index-missing")
      const listing = () => execFileSync("find", [input, "-printf", "%P %s %m %T@\n"], { encoding: "utf8" })
      const before = listing()
      const run = runOf("flat-index-missing")
      const { scratch } = yield* Effect.scoped(convertStandalone(input, "flat-index-missing", run))
      assert.strictEqual(listing(), before)
      assert.isFalse(existsSync(scratch))
    })
  )
})

describe("the scratch directory of a standalone conversion", () => {
  it.live("is beside the output where the system has no temporary directory", () =>
    Effect.gen(function* () {
      const fallbackDirectory = yield* temporaryDirectory
      const earlier = process.env["TMPDIR"]
      const input = vectorFile(`${name}/input`)
      const scratch = yield* Effect.acquireUseRelease(
        Effect.sync(() => (process.env["TMPDIR"] = path.join(fallbackDirectory, "missing"))),
        () =>
          Effect.scoped(
            Effect.gen(function* () {
              assert.include(
                (yield* Effect.flip(openStandaloneInput(input))).message,
                "failed to create temporary directory"
              )
              return (yield* openStandaloneInput(input, { fallbackDirectory })).scratch
            })
          ),
        () =>
          Effect.sync(() => {
            if (earlier === undefined) delete process.env["TMPDIR"]
            else process.env["TMPDIR"] = earlier
          })
      )
      assert.strictEqual(path.dirname(scratch), fallbackDirectory)
      assert.isFalse(existsSync(scratch))
    })
  )
})

describe("the output of a standalone conversion", () => {
  it.live("may be the input, as a directory and as an archive", () =>
    Effect.gen(function* () {
      const input = yield* copyOf(name)
      const { store, converted } = yield* convertStandalone(input, name, runOf(name))
      yield* writeLayoutDirectory(store, converted, input)
      assert.strictEqual(readFileSync(path.join(input, "index.json"), "utf8"), runOf(name).indexJson)
      assert.deepStrictEqual(readdirSync(path.dirname(input)), ["input"])
    })
  )

  for (const [what, write] of writers) {
    it.live(`leaves what was there, and nothing else, when ${what} cannot be written to its end`, () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const output = path.join(directory, "out")
        const { store, converted } = yield* convertStandalone(vectorFile(`${name}/input`), name, runOf(name))
        const broken: Store = {
          ...store,
          read: (descriptor) =>
            descriptor.digest === converted.digest
              ? store.read(descriptor)
              : Stream.concat(store.read(descriptor), Stream.die("the disk is gone"))
        }
        yield* write(store, converted, output)
        const listing = () => execFileSync("find", [directory, "-printf", "%P %s %i\n"], { encoding: "utf8" })
        const before = listing()
        const exit = yield* Effect.exit(write(broken, converted, output))
        assert.strictEqual(exit._tag, "Failure")
        assert.strictEqual(listing(), before)
      })
    )

    it.live(`leaves nothing when ${what} is interrupted`, () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const { store, converted } = yield* convertStandalone(vectorFile(`${name}/input`), name, runOf(name))
        const begun = yield* Deferred.make<void>()
        const endless: Store = {
          ...store,
          read: (descriptor) =>
            store.read(descriptor).pipe(
              Stream.tap(() => Deferred.succeed(begun, undefined)),
              Stream.concat(Stream.never)
            )
        }
        const writing = yield* Effect.forkChild(write(endless, converted, path.join(directory, "out")))
        yield* Deferred.await(begun)
        assert.lengthOf(readdirSync(directory), 1)
        yield* Fiber.interrupt(writing)
        assert.deepStrictEqual(readdirSync(directory), [])
      })
    )
  }

  it.live("says where an archive cannot be", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { store, converted } = yield* convertStandalone(vectorFile(`${name}/input`), name, runOf(name))
      const nowhere = path.join(directory, "no/such/out.tar")
      assert.strictEqual(
        (yield* Effect.flip(writeArchive(store, converted, nowhere))).message,
        `failed to create output tar ${nowhere}: open ${nowhere}: no such file or directory`
      )
      assert.include((yield* Effect.flip(writeArchive(store, converted, directory))).message, "is a directory")
      const file = path.join(directory, "file")
      writeFileSync(file, "x")
      assert.strictEqual(
        (yield* Effect.flip(writeLayoutDirectory(store, converted, path.join(file, "out"))))._tag,
        "StandaloneFailed"
      )
    })
  )

  it.live("is a stream where its place is a pipe, and follows a link to the file it replaces", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { store, converted } = yield* convertStandalone(vectorFile(`${name}/input`), name, runOf(name))
      const [pipe, read, target, link] = ["pipe", "read", "target", "link"].map((file) => path.join(directory, file))
      assert.isDefined(link)
      assert.isDefined(target)
      execFileSync("mkfifo", [String(pipe)])
      const reading = yield* Effect.forkChild(
        Effect.promise(async () => fs.writeFile(String(read), await fs.readFile(String(pipe)))),
        { startImmediately: true }
      )
      yield* writeArchive(store, converted, String(pipe))
      yield* Fiber.join(reading)
      assert.strictEqual(digestOf(readFileSync(String(read))), runOf(name).archiveSha256)

      writeFileSync(target, "old")
      yield* Effect.promise(() => fs.symlink(target, link))
      yield* writeArchive(store, converted, link)
      assert.isTrue((yield* Effect.promise(() => fs.lstat(link))).isSymbolicLink())
      assert.strictEqual(digestOf(readFileSync(target)), runOf(name).archiveSha256)
    })
  )

  it.live("is refused for indexes within indexes without end", () =>
    Effect.gen(function* () {
      const store = yield* ContentStoreLayout.open({ root: yield* temporaryDirectory })
      let inner = imageIndex([])
      yield* push(store, inner)
      for (let depth = 0; depth < 9; depth++) {
        inner = imageIndex([inner])
        yield* push(store, inner)
      }
      const output = path.join(yield* temporaryDirectory, "out.tar")
      const error = yield* Effect.flip(writeArchive(store, inner.descriptor, output))
      assert.include(error.message, "nested more than 8 deep")
    })
  )

  it.live("is refused where content of the image is missing", () =>
    Effect.gen(function* () {
      const output = path.join(yield* temporaryDirectory, "out.tar")
      const { store, converted } = yield* convertStandalone(vectorFile(`${name}/input`), name, runOf(name))
      const missing: Store = {
        ...store,
        readDocument: (descriptor) => store.readDocument({ ...descriptor, size: descriptor.size + 1 })
      }
      assert.strictEqual((yield* Effect.flip(writeArchive(missing, converted, output)))._tag, "ContentMismatch")
      assert.isFalse(existsSync(output))
    })
  )
})
