import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as ContentStoreLayout from "../../src/layers/ContentStoreLayout.ts"
import * as ContentStoreLayoutArchive from "../../src/layers/ContentStoreLayoutArchive.ts"
import { MediaType } from "../../src/services/MediaType.ts"
import { archiveEnd, archiveHeader } from "../../src/streams/codec/ociArchive.ts"
import { json, noise, utf8 } from "../support/content.ts"
import {
  type Content,
  content,
  graph,
  graphPredecessors,
  predecessorNames,
  push,
  pushAll,
  refName
} from "../support/layoutStore.ts"
import { tarOf, type TarMember } from "../support/tarArchive.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const layoutText = '{"imageLayoutVersion":"1.0.0"}'

const blobName = ({ descriptor }: Content) => `blobs/sha256/${descriptor.digest.slice("sha256:".length)}`

const archive = (...members: ReadonlyArray<TarMember>) =>
  Effect.map(temporaryDirectory, (directory) => {
    const file = path.join(directory, "layout.tar")
    writeFileSync(file, tarOf(...members))
    return file
  })

const open = (file: string) => ContentStoreLayoutArchive.open({ path: file })

const failure = (...members: ReadonlyArray<TarMember>) =>
  Effect.map(
    Effect.flatMap(archive(...members), (file) => Effect.flip(open(file))),
    ({ message }) => message
  )

const image = content(MediaType.ociManifest, json({ layers: [] }))
const indexOf = (...manifests: ReadonlyArray<unknown>): TarMember => ({
  name: "index.json",
  content: json({ schemaVersion: 2, manifests })
})
const layoutFile: TarMember = { name: "oci-layout", content: layoutText }
const blob = (one: Content, name = blobName(one)): TarMember => ({ name, content: one.bytes })

describe("a layout in an archive (oci-layout-store, 13: 66 to 71)", () => {
  for (const [what, args] of [
    ["plain names", ["blobs", "index.json", "oci-layout"]],
    ["names that begin with ./", ["."]]
  ] as const) {
    it.live(`is what the directory is, with ${what} (68)`, () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const store = yield* ContentStoreLayout.open({ root: path.join(directory, "layout") })
        yield* pushAll(store, Object.values(graph))
        yield* store.tag(graph.I10.descriptor, "latest")
        const file = path.join(directory, "layout.tar")
        execFileSync("tar", ["-C", store.location, "-cf", file, ...args])
        const packed = yield* open(file)
        for (const [name, one] of Object.entries(graph)) {
          const { descriptor, bytes } = one
          assert.deepStrictEqual(yield* packed.readDocument(descriptor), Buffer.from(bytes))
          const predecessors = yield* predecessorNames(packed, graph, one)
          assert.deepStrictEqual(predecessors, [...graphPredecessors[name as keyof typeof graph]])
        }
        assert.deepStrictEqual(yield* packed.resolve("latest"), graph.I10.descriptor)
        assert.deepStrictEqual(yield* packed.tags, yield* store.tags)
        assert.deepStrictEqual(yield* Stream.runCollect(packed.blobs), yield* Stream.runCollect(store.blobs))
        assert.deepStrictEqual(
          yield* packed.referrers(graph.M6.descriptor.digest),
          yield* store.referrers(graph.M6.descriptor.digest)
        )
      })
    )
  }

  it.live("knows Docker's media types (68)", () =>
    Effect.gen(function* () {
      const config = content(MediaType.dockerConfig, utf8("config"))
      const layer = content("application/vnd.docker.image.rootfs.diff.tar.gzip", utf8("layer"))
      const one = content(
        MediaType.dockerManifest,
        json({ schemaVersion: 2, config: config.descriptor, layers: [layer.descriptor] })
      )
      const list = content(MediaType.dockerManifestList, json({ schemaVersion: 2, manifests: [one.descriptor] }))
      const entry = { ...list.descriptor, annotations: { [refName]: "latest" } }
      const contents = { config, layer, one, list }
      const store = yield* open(
        yield* archive(layoutFile, indexOf(entry), ...Object.values(contents).map((c) => blob(c)))
      )
      assert.deepStrictEqual(yield* store.resolve("latest"), list.descriptor)
      for (const { descriptor } of Object.values(contents)) {
        assert.strictEqual((yield* store.resolve(descriptor.digest)).size, descriptor.size)
      }
      assert.deepStrictEqual(yield* predecessorNames(store, contents, config), ["one"])
      assert.deepStrictEqual(yield* predecessorNames(store, contents, one), ["list"])
      assert.deepStrictEqual(yield* predecessorNames(store, contents, list), [])
    })
  )

  it.live("is read by ranges, and never changed", () =>
    Effect.gen(function* () {
      const big = content("application/x", noise(300_000))
      const store = yield* open(yield* archive(layoutFile, indexOf(), blob(big)))
      const ranged = yield* store.open(big.descriptor)
      const chunks = yield* Stream.runCollect(ranged.read(1000, 270_000))
      assert.deepStrictEqual(Buffer.concat(chunks), Buffer.from(big.bytes.subarray(1000, 271_000)))
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(ranged.read(299_999, 2))))._tag, "BlobReadFailed")
      const errors = [
        yield* Effect.flip(push(store, image)),
        yield* Effect.flip(store.tag(big.descriptor, "v1")),
        yield* Effect.flip(store.untag("v1")),
        yield* Effect.flip(store.delete(big.descriptor)),
        yield* Effect.flip(store.collectGarbage)
      ]
      for (const { message } of errors) assert.include(message, "an archive is only read")
    })
  )

  it.live("counts the last of equal names, clean names alike, and only regular files (71)", () =>
    Effect.gen(function* () {
      const other = content("application/x", utf8("other"))
      const linked = content("application/x", utf8("linked"))
      const outside = content("application/x", utf8("outside"))
      const store = yield* open(
        yield* archive(
          blob({ ...image, bytes: utf8("first") }),
          blob(other, `./blobs//sha256/../sha256/${blobName(other).slice(-64)}`),
          { name: blobName(linked), type: "2", linkname: "/etc/passwd" },
          blob(outside, `../${blobName(outside)}`),
          blob(outside, `/${blobName(outside)}`),
          { name: `blobs/sha256/${"0".repeat(64)}`, content: "" },
          layoutFile,
          indexOf(image.descriptor),
          blob(image)
        )
      )
      assert.deepStrictEqual(yield* store.readDocument(image.descriptor), Buffer.from(image.bytes))
      assert.deepStrictEqual(yield* store.readDocument(other.descriptor), Buffer.from(other.bytes))
      assert.include((yield* Effect.flip(store.readDocument(linked.descriptor))).message, "unsupported")
      assert.isFalse(yield* store.exists(outside.descriptor.digest))
      assert.isTrue(yield* store.exists({ ...outside.descriptor, digest: image.descriptor.digest }.digest))
    })
  )

  it.live("keeps sizes that only an extended header holds", () =>
    Effect.gen(function* () {
      const file = path.join(yield* temporaryDirectory, "big.tar")
      const size = 9 * 1024 ** 3
      const name = `blobs/sha256/${"1".repeat(64)}`
      const member = archiveHeader({ name, mode: 0o444, size })
      const handle = yield* Effect.promise(() => fs.open(file, "w"))
      yield* Effect.promise(async () => {
        const layout = tarOf(layoutFile, indexOf()).subarray(0, -1024)
        await handle.write(layout, 0)
        await handle.write(member, 0, member.length, layout.length)
        await handle.write(archiveEnd, 0, archiveEnd.length, layout.length + member.length + size)
        await handle.close()
      })
      const [found] = yield* Stream.runCollect((yield* open(file)).blobs)
      assert.strictEqual(found?.size, size)
      const listed = execFileSync("tar", ["-tvf", file], { encoding: "utf8" })
      assert.include(listed, String(size))
    })
  )

  it.live("is refused where it is no archive, cut, or no layout (69)", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const refused = Effect.fnUntraced(function* (bytes: Uint8Array) {
        const file = path.join(directory, "x.tar")
        writeFileSync(file, bytes)
        return (yield* Effect.flip(open(file))).message
      })
      const whole = tarOf(layoutFile, indexOf(image.descriptor), blob(image))
      assert.include(yield* refused(noise(2048)), "archive/tar: invalid tar header")
      assert.include(yield* refused(whole.subarray(0, 1324)), "unexpected EOF")
      assert.include(yield* refused(whole.subarray(0, 530)), "unexpected EOF")
      assert.include(yield* failure(indexOf()), "failed to open OCI layout file")
      assert.include(yield* failure(layoutFile), "failed to open index file")
      assert.include(yield* failure({ ...layoutFile, content: "{}" }, indexOf()), "unsupported version")
      assert.include(yield* failure(layoutFile, { name: "index.json", content: "x" }), "failed to decode index file")
      const damaged = blob({ ...image, bytes: image.bytes.map((byte) => byte ^ 1) })
      assert.include(yield* failure(layoutFile, indexOf(image.descriptor), damaged), "mismatched digest")
      assert.include((yield* Effect.flip(open(path.join(directory, "none.tar")))).message, "ENOENT")
    })
  )

  it.live("takes no memory for what its headers only claim", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const file = path.join(directory, "claims.tar")
      const claims = archiveHeader({ name: "index.json", mode: 0o644, size: 8 * 1024 ** 3 - 1 })
      writeFileSync(file, Buffer.concat([tarOf(layoutFile).subarray(0, -1024), claims]))
      assert.include((yield* Effect.flip(open(file))).message, "unexpected EOF")
      const pax = { ...blob(image), pax: { comment: "x".repeat(1024 * 1024) } }
      assert.include(yield* failure(layoutFile, indexOf(), pax), "header field too long")
      const negative = { ...blob(image), pax: { size: "-1" } }
      assert.include(yield* failure(layoutFile, indexOf(), negative), "invalid tar header")
    })
  )
})
