/**
 * The thread that scans layers: inflate, hash and list in one plain synchronous loop, one build at a time. No Effect here: this is a
 * hot loop, and the thread must be cheap to start.
 */
import { parentPort } from "node:worker_threads"
import { isScanFailure, type LayerScan, type ScanFailure, type ScanOptions, startScan } from "./layerScan.ts"

export type ToZtocWorker =
  | { readonly type: "start"; readonly build: number; readonly options: ScanOptions }
  | { readonly type: "chunk"; readonly build: number; readonly bytes: Uint8Array }
  | { readonly type: "end"; readonly build: number }
  | { readonly type: "cancel"; readonly build: number }

export type FromZtocWorker =
  | { readonly type: "consumed"; readonly build: number; readonly uncompressedSize: number }
  | { readonly type: "failed"; readonly build: number; readonly failure: ScanFailure }
  | {
      readonly type: "built"
      readonly build: number
      readonly ztoc: Uint8Array<ArrayBuffer>
      readonly spans: number
      readonly entries: number
      readonly uncompressedSize: number
      readonly withoutXattrs: boolean
    }

const port = parentPort
if (!port) throw new Error("ztocWorker runs as a worker thread only")

let running: { readonly build: number; readonly scan: LayerScan } | undefined

const close = () => {
  running?.scan.close()
  running = undefined
}

const answer = (message: FromZtocWorker, transfer: ReadonlyArray<ArrayBuffer> = []) =>
  port.postMessage(message, transfer)

const finish = ({ build, scan }: { readonly build: number; readonly scan: LayerScan }) => {
  const result = scan.end()
  close()
  if (isScanFailure(result)) answer({ type: "failed", build, failure: result })
  else answer({ type: "built", build, ...result }, [result.ztoc.buffer])
}

const consume = ({ build, scan }: { readonly build: number; readonly scan: LayerScan }, bytes: Uint8Array) => {
  const failure = scan.push(bytes)
  if (failure === undefined) return answer({ type: "consumed", build, uncompressedSize: scan.uncompressedSize })
  close()
  answer({ type: "failed", build, failure })
}

port.on("message", (message: ToZtocWorker) => {
  if (message.type === "start") {
    close()
    running = { build: message.build, scan: startScan(message.options) }
    return
  }
  // What belongs to a build that ended or was cancelled meanwhile is of no interest.
  if (running?.build !== message.build) return
  switch (message.type) {
    case "chunk":
      return consume(running, message.bytes)
    case "end":
      return finish(running)
    case "cancel":
      return close()
  }
})
