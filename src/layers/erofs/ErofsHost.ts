/**
 * What EROFS mounts stand on: a FUSE mount that shows the image and the stream of each layer as files, below a private directory. All of it
 * goes with the scope.
 */
import { Effect, Result, type Scope } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { causeMessage } from "../../services/causeMessage.ts"
import { type BlobMount, FuseDriver, MountFailed } from "../../services/FuseDriver.ts"
import { ErofsUnavailable, type LayerMounter } from "../../services/LayerMounter.ts"
import { hexOf } from "../../services/Descriptor.ts"
import type { LayerSpans } from "../../services/SpanStore.ts"
import type { TocEntry } from "../../services/Ztoc.ts"
import { type NotExpressible, writeErofs } from "../../streams/codec/erofs.ts"
import { buildLayerTree } from "../../streams/layerTree.ts"
import { areLocal } from "../../streams/spanTable.ts"
import { configureMountScoped, unmount } from "../kernelMount.ts"
import { MountFlag } from "../native/mount.ts"
import { imageSuffix } from "../spans/keptFile.ts"
import { ownScope } from "../ownScope.ts"
import { letReadAhead } from "../readAhead.ts"

type MountOptions = Parameters<LayerMounter["Service"]["mount"]>[0]

export interface ErofsHost {
  mount(
    options: Pick<MountOptions, "layer" | "mountPoint" | "opaqueXattr">
  ): Effect.Effect<void, MountFailed | NotExpressible, Scope.Scope>
}

const blobsName = "blobs"
const probeName = "probe"

/** Prepares the host and proves that the kernel can read a file by it. */
export const startErofsHost = Effect.fnUntraced(function* (
  runDirectory: string
): Effect.fn.Return<ErofsHost, ErofsUnavailable, FuseDriver | Scope.Scope> {
  const driver = yield* FuseDriver
  const directory = yield* privateDirectory(runDirectory)
  const blobs = yield* driver
    .mountBlobs({ mountPoint: path.join(directory, blobsName), source: "soci" })
    .pipe(Effect.mapError(({ message }) => new ErofsUnavailable({ reason: message })))
  yield* Effect.scoped(probe(blobs, path.join(directory, probeName)))
  let mounts = 0
  return {
    mount: Effect.fnUntraced(function* ({ layer, mountPoint, opaqueXattr }) {
      const { tree, spans } = layer
      const image = yield* Effect.fromResult(
        writeErofs(tree, { streamSize: spans.size, opaqueXattr, uuid: uuidOf(spans) })
      )
      const number = ++mounts
      if (!(yield* mountLocal(mountPoint, image, spans, number))) {
        const name = `${number}-${spans.layer.replace(":", "-")}`
        const source = yield* blobs.addBytes(`${name}.erofs`, image)
        const device = yield* blobs.addLayer(`${name}.tar`, spans)
        yield* mountErofs(mountPoint, source, device)
      }
      yield* Effect.mapError(letReadAhead(mountPoint), ({ message }) => mountUseless(mountPoint, message))
    })
  }
})

/**
 * A layer all of which is local is mounted from its own files: nothing of this process is in any read, which goes on when the process has
 * ended. False where it is not complete, or where its file system has no files that EROFS can read (tmpfs).
 */
const mountLocal = Effect.fnUntraced(function* (
  mountPoint: string,
  image: Uint8Array,
  spans: LayerSpans,
  number: number
) {
  const { table } = spans
  if (table.count === 0 || !areLocal(table, 0, table.count - 1)) return false
  return yield* Effect.gen(function* () {
    yield* spans.hold
    const file = path.join(path.dirname(spans.path), `${process.pid}-${number}${imageSuffix}`)
    yield* imageFile(file, image)
    yield* mountErofs(mountPoint, file, spans.path)
    return true
  }).pipe(
    ownScope,
    Effect.catch(({ message }) => Effect.as(Effect.logDebug(`${spans.path} is served by FUSE: ${message}`), false))
  )
})

const imageFile = (file: string, image: Uint8Array) =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: () => fs.writeFile(file, image, { flag: "wx", mode: 0o600 }),
      catch: (cause) => mountUseless(file, causeMessage(cause))
    }).pipe(Effect.onError(() => removeFile(file))),
    () => removeFile(file)
  )

const removeFile = (file: string) => Effect.promise(() => fs.rm(file, { force: true }))

const mountUseless = (mountPoint: string, reason: string) => new MountFailed({ type: "erofs", mountPoint, reason })

/** Tells file systems apart, and is the same whenever the layer is mounted. */
const uuidOf = ({ layer }: LayerSpans): Uint8Array => Buffer.from(hexOf(layer), "hex").subarray(0, 16)

const mountErofs = (mountPoint: string, source: string, device: string) =>
  configureMountScoped({
    type: "erofs",
    fileSystem: "erofs",
    mountPoint,
    settings: ["ro", ["source", source], ["device", device]],
    flags: MountFlag.readOnly | MountFlag.noDevices
  })

const unavailable = (reason: string) => new ErofsUnavailable({ reason })

/** Directories of processes are named after them, so that what a killed one left can be told from what is in use. */
const ownPrefix = `erofs-${process.pid}-`
const anyPrefix = /^erofs-(\d+)-/

const privateDirectory = (runDirectory: string) =>
  Effect.acquireRelease(
    Effect.gen(function* () {
      const make = async () => {
        await fs.mkdir(runDirectory, { recursive: true, mode: 0o700 })
        const made = await fs.mkdtemp(path.join(runDirectory, ownPrefix))
        for (const name of [blobsName, probeName]) await fs.mkdir(path.join(made, name))
        return made
      }
      const made = yield* Effect.tryPromise({ try: make, catch: (cause) => unavailable(causeMessage(cause)) })
      yield* sweep(runDirectory)
      return made
    }),
    removeDirectory
  )

/** Only empty directories are removed: what is still mounted is not touched. */
const removeDirectory = (directory: string): Effect.Effect<void> =>
  Effect.tryPromise(async () => {
    for (const name of [blobsName, probeName]) await fs.rmdir(path.join(directory, name))
    await fs.rmdir(directory)
  }).pipe(Effect.catch((error) => Effect.logWarning(`cannot remove ${directory}: ${causeMessage(error.cause)}`)))

const isGone = async (process: string): Promise<boolean> => {
  try {
    await fs.stat(`/proc/${process}`)
    return false
  } catch {
    return true
  }
}

/** Unmounts and removes what killed processes left; nobody serves it any more. */
const sweep = Effect.fnUntraced(function* (runDirectory: string) {
  const names = yield* Effect.tryPromise(() => fs.readdir(runDirectory)).pipe(Effect.orElseSucceed(() => []))
  for (const name of names) {
    const process = anyPrefix.exec(name)?.[1]
    if (process === undefined || !(yield* Effect.promise(() => isGone(process)))) continue
    const directory = path.join(runDirectory, name)
    for (const mounted of [probeName, blobsName]) yield* unmount(path.join(directory, mounted))
    yield* removeDirectory(directory)
  }
})

const probeContent = Buffer.from("the kernel reads files whose data lie in another file\n")
const dataOffset = 512

const probeEntry: TocEntry = {
  name: "file",
  type: "reg",
  offset: dataOffset,
  size: probeContent.length,
  linkname: "",
  mode: 0o644n,
  uid: 0,
  gid: 0,
  uname: "",
  gname: "",
  modTime: "",
  devmajor: 0n,
  devminor: 0n,
  pax: []
}

const probe = Effect.fnUntraced(function* (blobs: BlobMount, mountPoint: string) {
  const stream = new Uint8Array(2 * dataOffset)
  stream.set(probeContent, dataOffset)
  const image = yield* Effect.fromResult(
    Result.flatMap(buildLayerTree([probeEntry]), (tree) =>
      writeErofs(tree, { streamSize: stream.length, opaqueXattr: "trusted" })
    )
  ).pipe(Effect.mapError(({ reason }) => unavailable(reason)))
  const mounted = Effect.gen(function* () {
    const source = yield* blobs.addBytes("probe.erofs", image)
    const device = yield* blobs.addBytes("probe.tar", stream)
    yield* mountErofs(mountPoint, source, device)
  })
  yield* Effect.mapError(mounted, ({ reason }) =>
    unavailable(`${reason} (it takes Linux 6.12 with CONFIG_EROFS_FS_BACKED_BY_FILE)`)
  )
  const read = yield* Effect.tryPromise({
    try: () => fs.readFile(path.join(mountPoint, "file")),
    catch: (cause) => unavailable(`a file of an EROFS mount cannot be read: ${causeMessage(cause)}`)
  })
  if (!read.equals(probeContent)) yield* unavailable("a file of an EROFS mount has wrong content")
})
