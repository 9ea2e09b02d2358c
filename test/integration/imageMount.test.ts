import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schedule } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as ArtifactsDbSqlite from "../../src/layers/ArtifactsDbSqlite.ts"
import * as ContentStoreLayout from "../../src/layers/ContentStoreLayout.ts"
import * as GraphPusherLive from "../../src/layers/GraphPusherLive.ts"
import { hostPlatform } from "../../src/layers/hostPlatform.ts"
import { imageInStore } from "../../src/layers/imageInStore.ts"
import * as IndexBuilderLive from "../../src/layers/IndexBuilderLive.ts"
import * as RegistryFetcherHttp from "../../src/layers/RegistryFetcherHttp.ts"
import { resolvePlatform } from "../../src/layers/resolvePlatform.ts"
import * as ZtocBuilderWorkers from "../../src/layers/ZtocBuilderWorkers.ts"
import { mountServices } from "../../src/main/mountServices.ts"
import { ArtifactSource } from "../../src/services/ArtifactSource.ts"
import { ContentStore } from "../../src/services/ContentStore.ts"
import type { Descriptor } from "../../src/services/Descriptor.ts"
import { GraphPusher } from "../../src/services/GraphPusher.ts"
import { ImageMounter } from "../../src/services/ImageMounter.ts"
import { parseImageName } from "../../src/services/ImageName.ts"
import { ImageSource } from "../../src/services/ImageSource.ts"
import { IndexBuilder } from "../../src/services/IndexBuilder.ts"
import type { MountMode } from "../../src/services/LayerMounter.ts"
import { defaultBuildToolIdentifier } from "../../src/services/ZtocBuilder.ts"
import { noise } from "../support/content.ts"
import { dockerRegistry } from "../support/dockerRegistry.ts"
import { embeddedRegistry } from "../support/embeddedRegistry.ts"
import type { FileFacts } from "../support/fileTree.ts"
import { storeImageOf } from "../support/imageOf.ts"
import { canErofs, canFuse, canOverlay } from "../support/kernelFeatures.ts"
import { hasProgram, runProgram } from "../support/programs.ts"
import type { TarMember } from "../support/tarArchive.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const directory = (name: string, rest: Partial<TarMember> = {}): TarMember => ({ name: `${name}/`, type: "5", ...rest })
const file = (name: string, content: string | Uint8Array = name, rest: Partial<TarMember> = {}): TarMember => ({
  name,
  content,
  ...rest
})
const symlink = (name: string, linkname: string): TarMember => ({ name, type: "2", linkname, mode: 0o777 })
const hardLink = (name: string, linkname: string, mode: number): TarMember => ({ name, type: "1", linkname, mode })

const capability = "\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

const base: ReadonlyArray<TarMember> = [
  directory(".", { mode: 0o711, uid: 1, gid: 2, mtime: 1_600_000_000 }),
  directory("bin"),
  file("bin/tool", noise(200_000, 3), { mode: 0o4755, pax: { "SCHILY.xattr.security.capability": capability } }),
  hardLink("bin/same-tool", "bin/tool", 0o4755),
  directory("tmp", { mode: 0o1777, mtime: 1_500_000_000 }),
  directory("etc", { mode: 0o750, uid: 100, gid: 200 }),
  file("etc/removed"),
  file("etc/replaced", "by the next layer"),
  file("etc/sub-second", "x", { pax: { mtime: "1600000000.123456789" } }),
  directory("etc/opaque"),
  file("etc/opaque/hidden"),
  directory("etc/was-directory"),
  file("etc/was-directory/inside"),
  symlink("lib", "usr/lib"),
  directory("usr"),
  directory("usr/lib"),
  file("usr/lib/big", noise(3_000_001, 5)),
  file(`usr/lib/${"long".repeat(60)}`),
  directory("dev"),
  { name: "dev/null", type: "3", device: [1, 3], mode: 0o666 },
  { name: "dev/disk", type: "4", device: [259, 7], mode: 0o660, gid: 6 },
  { name: "dev/pipe", type: "6", mode: 0o600 },
  file("empty", ""),
  file("no-permissions", "x", { mode: 0 }),
  file("with-xattr", "x", { pax: { "SCHILY.xattr.user.colour": "blue" } })
]

const middle: ReadonlyArray<TarMember> = [
  // Directories the tar only implies must keep what the layer below says of them.
  file("tmp/new", "in a directory that is implied"),
  file("etc/.wh.removed", ""),
  file("etc/replaced", "a new content"),
  file("etc/opaque/.wh..wh..opq", ""),
  file("etc/opaque/shown"),
  file("etc/.wh.was-directory", ""),
  symlink("etc/dangling", "/nowhere/at all"),
  file("usr/lib/small", noise(70_000, 9))
]

const top: ReadonlyArray<TarMember> = [
  directory("etc", { mode: 0o700, uid: 7 }),
  file("etc/was-directory", "now a file"),
  file("bin/added", "x", { mode: 0o755 })
]

const printFileTree = fileURLToPath(new URL("../support/printFileTree.ts", import.meta.url))

const treeOf = (directory: string) =>
  Effect.map(runProgram(process.execPath, printFileTree, directory), (text): Record<string, FileFacts> =>
    JSON.parse(text)
  )

const unpackedByUmoci = Effect.fnUntraced(function* (layout: string) {
  const rootfs = path.join(yield* temporaryDirectory, "rootfs")
  yield* runProgram("umoci", "raw", "unpack", "--image", `${layout}:nasty`, rootfs)
  return rootfs
})

const buildOptions = {
  spanSize: 65_536,
  minLayerSize: 0,
  buildToolIdentifier: defaultBuildToolIdentifier,
  xattrOptimization: false,
  forceRecreate: false,
  prefetchPaths: [],
  gcRootLabel: false
}

/** The image in a layout, and what indexes and pushes it. */
const storedImage = Effect.gen(function* () {
  const layout = yield* temporaryDirectory
  const services = yield* Layer.build(
    Layer.mergeAll(IndexBuilderLive.layer, GraphPusherLive.layer).pipe(
      Layer.provideMerge(ContentStoreLayout.layer({ root: layout })),
      Layer.provide([
        ArtifactsDbSqlite.layer({ path: path.join(yield* temporaryDirectory, "artifacts.sqlite") }),
        ZtocBuilderWorkers.layer,
        RegistryFetcherHttp.layer()
      ])
    )
  )
  const store = Context.get(services, ContentStore)
  const target = yield* storeImageOf(store, "nasty", [base, middle, top])
  const name = yield* Effect.fromResult(parseImageName(`oci-layout:${layout}:nasty`))
  const image = imageInStore(store, name, target)
  const pusher = Context.get(services, GraphPusher)
  const push = (root: Descriptor, host: string, tag?: string) =>
    pusher.push(image, root, { host, repository: "test" }, { concurrency: 3, ...(tag === undefined ? {} : { tag }) })
  return { layout, image, push, builder: Context.get(services, IndexBuilder) }
})

/** The image in our registry, converted to carry a SOCI index of small spans. */
const publishedImage = Effect.gen(function* () {
  const { layout, image, push, builder } = yield* storedImage
  const registry = yield* embeddedRegistry()
  const converted = yield* builder.convert(image, [hostPlatform], buildOptions)
  yield* push(converted.descriptor, registry.host, "soci")
  return { layout, registry, name: `${registry.host}/test:soci` }
})

const servicesIn = (root: string) => mountServices({ root })

const mounted = Effect.fnUntraced(function* (
  name: string,
  mode: MountMode,
  options: { readonly writable?: boolean; readonly withoutIndex?: boolean; readonly fill?: boolean } = {}
) {
  const image = yield* ImageSource.use((source) => Effect.flatMap(Effect.fromResult(parseImageName(name)), source.find))
  const manifest = yield* resolvePlatform(image, hostPlatform)
  const index = options.withoutIndex
    ? undefined
    : yield* ArtifactSource.use((source) => source.find(image, manifest, { indexDigest: undefined }))
  const mountPoint = yield* temporaryDirectory
  return yield* ImageMounter.use((mounter) =>
    mounter.mount(image, manifest, index, {
      mountPoint,
      mode,
      writable: options.writable ?? false,
      fill: options.fill ?? false
    })
  )
})

const rootOf = (directory: string) =>
  Effect.map(
    Effect.promise(() => fs.lstat(directory, { bigint: true })),
    ({ mode, uid, gid, mtimeNs }) => ({ mode, uid, gid, mtimeNs })
  )

const missing = [
  ...(canFuse && canOverlay ? [] : ["root, /dev/fuse and overlay are needed"]),
  ...(hasProgram("umoci") ? [] : ["umoci is not installed"])
]
const skipped = missing.length > 0 ? ` (skipped: ${missing.join(", ")})` : ""

describe.skipIf(missing.length > 0)(`a mounted image${skipped}`, () => {
  for (const mode of ["fuse", "erofs"] as const) {
    const unable = mode === "erofs" && !canErofs
    const why = unable ? " (skipped: this kernel has no file-backed EROFS)" : ""

    it.live.skipIf(unable)(`is the tree umoci unpacks, file for file, by ${mode}${why}`, () =>
      Effect.gen(function* () {
        const { layout, name } = yield* publishedImage
        const truth = yield* unpackedByUmoci(layout)
        yield* Effect.gen(function* () {
          const { mountPoint, layers } = yield* mounted(name, mode)
          assert.deepStrictEqual(
            layers.map(({ how, mount }) => [how, mount.mode]),
            [0, 1, 2].map(() => ["lazy", mode])
          )
          assert.deepStrictEqual(yield* treeOf(mountPoint), yield* treeOf(truth))
          assert.deepStrictEqual(yield* rootOf(mountPoint), yield* rootOf(truth))
          yield* runProgram("diff", "-r", "--no-dereference", "--exclude=dev", mountPoint, truth)
        }).pipe(Effect.scoped, Effect.provide(servicesIn(yield* temporaryDirectory)))
      }).pipe(Effect.provide(NodeServices.layer))
    )

    it.live.skipIf(unable)(`looks the same without an index, fetched whole, by ${mode}${why}`, () =>
      Effect.gen(function* () {
        const { layout, name } = yield* publishedImage
        const truth = yield* unpackedByUmoci(layout)
        yield* Effect.gen(function* () {
          const { mountPoint, layers } = yield* mounted(name, mode, { withoutIndex: true })
          assert.isTrue(layers.every(({ how }) => how === "local"))
          assert.deepStrictEqual(yield* treeOf(mountPoint), yield* treeOf(truth))
        }).pipe(Effect.scoped, Effect.provide(servicesIn(yield* temporaryDirectory)))
      }).pipe(Effect.provide(NodeServices.layer))
    )

    it.live.skipIf(unable)(`fetches only what is read, by ${mode}${why}`, () =>
      Effect.gen(function* () {
        const { name, registry } = yield* publishedImage
        const before = yield* registry.stats
        yield* Effect.gen(function* () {
          const { mountPoint } = yield* mounted(name, mode)
          yield* runProgram("find", mountPoint, "-ls")
          assert.strictEqual(
            (yield* Effect.promise(() => fs.readFile(path.join(mountPoint, "etc/replaced"), "utf8"))).toString(),
            "a new content"
          )
          const after = yield* registry.stats
          assert.isBelow(after.blobBytesServed - before.blobBytesServed, 2_500_000)
        }).pipe(Effect.scoped, Effect.provide(servicesIn(yield* temporaryDirectory)))
      }).pipe(Effect.provide(NodeServices.layer))
    )
  }

  it.live.skipIf(!hasProgram("docker-registry"))(
    "is found by a v1 index that refers to it, in a registry without a referrers API",
    () =>
      Effect.gen(function* () {
        const { layout, image, push, builder } = yield* storedImage
        const { host } = yield* dockerRegistry()
        const manifest = yield* resolvePlatform(image, hostPlatform)
        const built = yield* builder.build(image, { ...manifest, platform: hostPlatform }, "v1", buildOptions)
        yield* push(image.target, host, "plain")
        yield* push(built.descriptor, host)
        const truth = yield* unpackedByUmoci(layout)
        yield* Effect.gen(function* () {
          const { mountPoint, layers } = yield* mounted(`${host}/test:plain`, "fuse")
          assert.isTrue(layers.every(({ how }) => how === "lazy"))
          assert.deepStrictEqual(yield* treeOf(mountPoint), yield* treeOf(truth))
        }).pipe(Effect.scoped, Effect.provide(servicesIn(yield* temporaryDirectory)))
      }).pipe(Effect.provide(NodeServices.layer))
  )

  it.live("asks for no byte of a layer that an earlier mount has fetched, where spans are kept", () =>
    Effect.gen(function* () {
      const { name } = yield* publishedImage
      const root = yield* temporaryDirectory
      const keep = { bytes: 2 ** 40, freeShare: 0 }
      const readTree = Effect.gen(function* () {
        const { mountPoint, fetchedBytes } = yield* mounted(name, "auto")
        return { tree: yield* treeOf(mountPoint), fetched: yield* fetchedBytes }
      }).pipe(Effect.scoped, Effect.provide(mountServices({ root, keep })))
      const first = yield* readTree
      assert.isAbove(first.fetched, 0)
      assert.deepStrictEqual(yield* readTree, { tree: first.tree, fetched: 0 })
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.live("is filled while nobody reads, where that is wanted", () =>
    Effect.gen(function* () {
      const { name } = yield* publishedImage
      yield* Effect.gen(function* () {
        const { layers } = yield* mounted(name, "auto", { fill: true })
        const stats = Effect.forEach(layers, (layer) => layer.stats)
        yield* stats.pipe(
          Effect.repeat({
            until: (all) => all.every(({ spans, spansLocal }) => spans === spansLocal),
            schedule: Schedule.spaced("20 millis")
          })
        )
      }).pipe(Effect.scoped, Effect.provide(servicesIn(yield* temporaryDirectory)))
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.live("is read-only, or writable with changes that are discarded", () =>
    Effect.gen(function* () {
      const { name } = yield* publishedImage
      const root = yield* temporaryDirectory
      yield* Effect.gen(function* () {
        const { mountPoint } = yield* mounted(name, "fuse")
        const error = yield* Effect.flip(Effect.tryPromise(() => fs.writeFile(path.join(mountPoint, "new"), "x")))
        assert.include(String(error.cause), "EROFS")
        const writable = yield* mounted(name, "fuse", { writable: true })
        yield* Effect.promise(() => fs.writeFile(path.join(writable.mountPoint, "etc/replaced"), "changed"))
        yield* Effect.promise(() => fs.rm(path.join(writable.mountPoint, "etc/sub-second")))
        assert.deepInclude(yield* rootOf(writable.mountPoint), { uid: 1n, gid: 2n })
      }).pipe(Effect.scoped, Effect.provide(servicesIn(root)))
      assert.deepStrictEqual(yield* Effect.promise(() => fs.readdir(path.join(root, "mount"))), [])
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.live("leaves no mount and no file when its scope ends", () =>
    Effect.gen(function* () {
      const { name } = yield* publishedImage
      const root = yield* temporaryDirectory
      const mounts = () =>
        fs
          .readFile("/proc/self/mountinfo", "utf8")
          .then((text) => text.split("\n").filter((line) => line.includes(root)))
      yield* Effect.gen(function* () {
        const { mountPoint } = yield* mounted(name, "fuse")
        assert.isAbove((yield* Effect.promise(mounts)).length, 2)
        assert.isNotEmpty(yield* Effect.promise(() => fs.readdir(mountPoint)))
      }).pipe(Effect.scoped, Effect.provide(servicesIn(root)))
      assert.deepStrictEqual(yield* Effect.promise(mounts), [])
      assert.deepStrictEqual(yield* Effect.promise(() => fs.readdir(path.join(root, "mount"))), [])
    }).pipe(Effect.provide(NodeServices.layer))
  )
})
