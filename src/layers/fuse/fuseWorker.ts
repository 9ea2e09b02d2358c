/**
 * A thread that serves /dev/fuse for all mounts: it sleeps in epoll_wait until a mount has a request or the main thread rings. Nothing
 * runs on its event loop, and there is no Effect here: the thread must be cheap to start and quick to answer.
 */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads"
import { maxReadBytes } from "../../streams/codec/fuseInit.ts"
import { FuseReply } from "../../streams/codec/fuseReply.ts"
import { FuseRequest } from "../../streams/codec/fuseRequest.ts"
import { viewLayerTree } from "../../streams/layerTreeView.ts"
import { viewSpanTable } from "../../streams/spanTable.ts"
import { Epoll, quiet } from "../native/epoll.ts"
import { BlobFiles } from "./BlobFiles.ts"
import type {
  BytesSourceMessage,
  ContentMessage,
  FuseChange,
  FuseThreadStart,
  LayerSourceMessage,
  ToFuseWorker
} from "./fuseMessages.ts"
import { MountServer, type ThreadParts } from "./MountServer.ts"
import type { BytesSource, LayerSource, ServedFiles } from "./ServedFiles.ts"
import { TreeFiles } from "./TreeFiles.ts"

/** No request that we get is longer: paths and xattr names, and writes of one page. */
const requestBytes = 64 * 1024

/** The bell's key; mounts have those above it. */
const bellKey = 0

interface Serving {
  readonly descriptor: number
  readonly server: MountServer
  /** False once the kernel says that the mount is gone. */
  watched: boolean
}

const port = parentPort
if (!port) throw new Error("fuseWorker runs as a worker thread only")

const { index, bell, stopped }: FuseThreadStart = workerData
const epoll = new Epoll()
const mounts = new Map<number, Serving>()
let tickets = 0

const thread: ThreadParts = {
  request: new FuseRequest(requestBytes),
  reply: new FuseReply(maxReadBytes),
  send: (message) => port.postMessage(message),
  nextTicket: () => ++tickets
}

const viewSource = (source: LayerSourceMessage): LayerSource => ({ ...source, table: viewSpanTable(source.table) })

const openSource = (source: LayerSourceMessage | BytesSourceMessage): LayerSource | BytesSource =>
  source.kind === "layer" ? viewSource(source) : source

const filesOf = (content: ContentMessage): ServedFiles =>
  content.kind === "blobs"
    ? new BlobFiles()
    : new TreeFiles({ ...content, tree: viewLayerTree(content.tree), source: viewSource(content.source) })

const unwatch = (serving: Serving) => {
  if (serving.watched) epoll.remove(serving.descriptor)
  serving.watched = false
}

const leave = (mount: number) => {
  const serving = mounts.get(mount)
  if (serving === undefined) return
  mounts.delete(mount)
  unwatch(serving)
  serving.server.abandon()
}

const blobsOf = (mount: number): BlobFiles | undefined => {
  const files = mounts.get(mount)?.server.files
  return files instanceof BlobFiles ? files : undefined
}

const removeFile = (mount: number, node: number) => {
  const content = blobsOf(mount)?.contentOf(node)
  if (content === undefined) return
  blobsOf(mount)?.remove(node)
  // Their descriptor will be closed, and its number used again.
  mounts.get(mount)?.server.abandon(content.source)
}

const apply = (change: FuseChange) => {
  switch (change.type) {
    case "serve": {
      const { mount, descriptor, counters, content } = change
      const server = new MountServer(mount, descriptor, filesOf(content), { numbers: counters, at: index * 2 }, thread)
      mounts.set(mount, { descriptor, server, watched: true })
      return epoll.add(descriptor, mount, true)
    }
    case "leave":
      return leave(change.mount)
    case "addFile":
      return blobsOf(change.mount)?.add(change.node, change.name, openSource(change.source), change.size)
    case "removeFile":
      return removeFile(change.mount, change.node)
  }
}

const hear = (message: ToFuseWorker) => {
  if (message.type === "change") {
    apply(message.change)
    return thread.send({ type: "changed", ask: message.ask })
  }
  mounts.get(message.mount)?.server.resume(message.ticket, message.outcome)
}

const hearAll = () => {
  // Quiet first: what arrives from here on rings again.
  quiet(bell)
  for (;;) {
    const received: { readonly message: ToFuseWorker } | undefined = receiveMessageOnPort(port)
    if (received === undefined) return
    hear(received.message)
  }
}

const serve = (mount: number) => {
  // It may have been left since epoll_wait saw its request.
  const serving = mounts.get(mount)
  if (serving?.watched && !serving.server.serve()) unwatch(serving)
}

epoll.add(bell, bellKey, false)
while (Atomics.load(stopped, 0) === 0) {
  const ready = epoll.wait()
  for (let event = 0; event < ready; event++) {
    const key = epoll.keyAt(event)
    if (key === bellKey) hearAll()
    else serve(key)
  }
}
epoll.close()
