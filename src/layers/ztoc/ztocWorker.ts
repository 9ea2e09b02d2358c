/**
 * The thread that scans layers: inflate, hash and list in one plain synchronous loop, one build at a time. No Effect here: this is a
 * hot loop, and the thread must be cheap to start.
 */
import { parentPort } from "node:worker_threads"
import {
  isScanFailure,
  type LayerScan,
  type ScanFailure,
  type ScannedLayer,
  type ScanOptions,
  startScan
} from "./layerScan.ts"

export type ToZtocWorker =
  | {
      readonly type: "start"
      readonly build: number
      readonly options: ScanOptions
      /** Where chunks lie when they are announced, each in one of them. */
      readonly buffers: ReadonlyArray<SharedArrayBuffer>
    }
  | { readonly type: "chunk"; readonly build: number; readonly buffer: number; readonly length: number }
  | { readonly type: "end"; readonly build: number }
  | { readonly type: "cancel"; readonly build: number }

export type FromZtocWorker =
  | {
      readonly type: "consumed"
      readonly build: number
      readonly uncompressedSize: number
      /** An earlier chunk's, to be filled again. */
      readonly buffer: number | undefined
    }
  | { readonly type: "failed"; readonly build: number; readonly failure: ScanFailure }
  | ({ readonly type: "built"; readonly build: number } & ScannedLayer)

const port = parentPort
if (!port) throw new Error("ztocWorker runs as a worker thread only")

interface Running {
  readonly build: number
  readonly scan: LayerScan
  readonly buffers: ReadonlyArray<SharedArrayBuffer>
  /** The latest chunk's: the scan may look back at it until it has the next one. */
  held: number | undefined
}

let running: Running | undefined

const close = () => {
  running?.scan.close()
  running = undefined
}

const answer = (message: FromZtocWorker, transfer: ReadonlyArray<ArrayBuffer> = []) =>
  port.postMessage(message, transfer)

const finish = ({ build, scan }: Running) => {
  const result = scan.end()
  close()
  if (isScanFailure(result)) answer({ type: "failed", build, failure: result })
  else answer({ type: "built", build, ...result }, [result.ztoc.buffer])
}

const consume = (run: Running, chunk: Extract<ToZtocWorker, { readonly type: "chunk" }>) => {
  const { build, scan, held } = run
  const bytes = run.buffers[chunk.buffer]
  if (bytes === undefined) throw new Error(`a build with ${run.buffers.length} buffers was sent number ${chunk.buffer}`)
  const failure = scan.push(new Uint8Array(bytes, 0, chunk.length))
  if (failure === undefined) {
    run.held = chunk.buffer
    return answer({ type: "consumed", build, uncompressedSize: scan.uncompressedSize, buffer: held })
  }
  close()
  answer({ type: "failed", build, failure })
}

port.on("message", (message: ToZtocWorker) => {
  if (message.type === "start") {
    close()
    const { build, options, buffers } = message
    running = { build, scan: startScan(options), buffers, held: undefined }
    return
  }
  // What belongs to a build that ended or was cancelled meanwhile is of no interest.
  if (running?.build !== message.build) return
  switch (message.type) {
    case "chunk":
      return consume(running, message)
    case "end":
      return finish(running)
    case "cancel":
      return close()
  }
})
