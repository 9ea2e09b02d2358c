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
  | { readonly type: "start"; readonly build: number; readonly options: ScanOptions }
  | { readonly type: "chunk"; readonly build: number; readonly buffer: ArrayBuffer; readonly length: number }
  | { readonly type: "end"; readonly build: number }
  | { readonly type: "cancel"; readonly build: number }

export type FromZtocWorker =
  | {
      readonly type: "consumed"
      readonly build: number
      readonly uncompressedSize: number
      /** An earlier chunk's, to be filled again. */
      readonly buffer: ArrayBuffer | undefined
    }
  | { readonly type: "failed"; readonly build: number; readonly failure: ScanFailure }
  | ({ readonly type: "built"; readonly build: number } & ScannedLayer)

const port = parentPort
if (!port) throw new Error("ztocWorker runs as a worker thread only")

interface Running {
  readonly build: number
  readonly scan: LayerScan
  /** The latest chunk's: the scan may look back at it until it has the next one. */
  held: ArrayBuffer | undefined
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

const consume = (run: Running, buffer: ArrayBuffer, length: number) => {
  const { build, scan, held } = run
  const failure = scan.push(new Uint8Array(buffer, 0, length))
  if (failure === undefined) {
    run.held = buffer
    const { uncompressedSize } = scan
    return answer({ type: "consumed", build, uncompressedSize, buffer: held }, held ? [held] : [])
  }
  close()
  answer({ type: "failed", build, failure })
}

port.on("message", (message: ToZtocWorker) => {
  if (message.type === "start") {
    close()
    running = { build: message.build, scan: startScan(message.options), held: undefined }
    return
  }
  // What belongs to a build that ended or was cancelled meanwhile is of no interest.
  if (running?.build !== message.build) return
  switch (message.type) {
    case "chunk":
      return consume(running, message.buffer, message.length)
    case "end":
      return finish(running)
    case "cancel":
      return close()
  }
})
