/**
 * The thread that applies tars, one after the other, in one plain synchronous loop. No Effect here: this is a hot loop, and the
 * thread must be cheap to start.
 */
import { parentPort } from "node:worker_threads"
import type { WhiteoutForm } from "../../services/Unpacker.ts"
import type { ByteString } from "../../services/Ztoc.ts"
import { EntryProblem } from "./EntryProblem.ts"
import { TarApplier } from "./TarApplier.ts"

export type ToUnpackWorker =
  | { readonly type: "start"; readonly job: number; readonly directory: string; readonly form: WhiteoutForm }
  /** The buffer changes hands; it comes back with `consumed`. */
  | { readonly type: "chunk"; readonly job: number; readonly buffer: ArrayBuffer; readonly length: number }
  | { readonly type: "end"; readonly job: number }
  | { readonly type: "stop"; readonly job: number }

export interface UnpackProblem {
  readonly entry: ByteString
  readonly operation: string
  readonly reason: string
  readonly errno: number | undefined
}

export type FromUnpackWorker =
  | { readonly type: "consumed"; readonly job: number; readonly buffer: ArrayBuffer }
  | { readonly type: "failed"; readonly job: number; readonly problem: UnpackProblem }
  | {
      readonly type: "unpacked"
      readonly job: number
      readonly entries: number
      readonly impliedDirectories: ReadonlyArray<ByteString>
    }
  /** Nothing is open any more, and nothing will be written. */
  | { readonly type: "stopped"; readonly job: number }

const port = parentPort
if (!port) throw new Error("unpackWorker runs as a worker thread only")

let running: { readonly job: number; readonly applier: TarApplier } | undefined

const answer = (message: FromUnpackWorker, transfer: ReadonlyArray<ArrayBuffer> = []) =>
  port.postMessage(message, transfer)

const close = () => {
  running?.applier.close()
  running = undefined
}

/** A problem of the layer or the machine is an answer; a bug ends the thread, but leaves nothing open either. */
const attempt = (job: number, step: () => void) => {
  try {
    step()
  } catch (error) {
    const entry = running?.applier.entry ?? ""
    close()
    if (!(error instanceof EntryProblem)) throw error
    const { operation, message, errno } = error
    answer({ type: "failed", job, problem: { entry, operation, reason: message, errno } })
  }
}

const receive = (message: ToUnpackWorker) => {
  const { job } = message
  if (message.type === "start") {
    running = { job, applier: new TarApplier(message.directory, message.form) }
    return
  }
  const applier = running?.job === job ? running.applier : undefined
  switch (message.type) {
    case "chunk":
      applier?.push(new Uint8Array(message.buffer, 0, message.length))
      return answer({ type: "consumed", job, buffer: message.buffer }, [message.buffer])
    case "end": {
      if (!applier) return
      applier.end()
      const { entries, impliedDirectories } = applier
      close()
      return answer({ type: "unpacked", job, entries, impliedDirectories })
    }
    case "stop":
      close()
      return answer({ type: "stopped", job })
  }
}

port.on("message", (message: ToUnpackWorker) => attempt(message.job, () => receive(message)))
