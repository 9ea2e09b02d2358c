/**
 * What the main thread and the threads that serve /dev/fuse say to each other. Only shared memory, numbers and texts: nothing is copied
 * that has a size.
 */
import type { OpaqueXattr } from "../../services/FuseDriver.ts"
import type { FuseStatistics } from "../../streams/codec/fuseReply.ts"

/** What a thread is started with. */
export interface FuseThreadStart {
  /** Which of the threads it is: its place in shared counters. */
  readonly index: number
  /** An eventfd: rung when there are messages. */
  readonly bell: number
  /** One word, not 0 once the thread must end without looking for messages. */
  readonly stopped: Int32Array
}

/** A layer's stream: its number, the descriptor of its file, the buffer of its span table. */
export interface LayerSourceMessage {
  readonly kind: "layer"
  readonly id: number
  readonly descriptor: number
  readonly table: SharedArrayBuffer
}

export interface BytesSourceMessage {
  readonly kind: "bytes"
  readonly bytes: Uint8Array<SharedArrayBuffer>
}

export type ContentMessage =
  | {
      readonly kind: "tree"
      readonly tree: SharedArrayBuffer
      readonly source: LayerSourceMessage
      readonly opaqueXattr: OpaqueXattr
      readonly statistics: FuseStatistics
    }
  | { readonly kind: "blobs" }

/** What every thread does and confirms, so that the main thread knows when all have. */
export type FuseChange =
  | {
      readonly type: "serve"
      readonly mount: number
      /** Of /dev/fuse. */
      readonly descriptor: number
      /** For each thread two numbers that it alone writes: requests, and those of them that waited. */
      readonly counters: Float64Array<SharedArrayBuffer>
      readonly content: ContentMessage
    }
  | { readonly type: "leave"; readonly mount: number }
  | {
      readonly type: "addFile"
      readonly mount: number
      readonly node: number
      readonly name: string
      readonly size: number
      readonly source: LayerSourceMessage | BytesSourceMessage
    }
  | { readonly type: "removeFile"; readonly mount: number; readonly node: number }

export type ToFuseWorker = { readonly type: "change"; readonly ask: number; readonly change: FuseChange } | ResumedRead

/** What becomes of a read that waited. */
export type ReadOutcome =
  | { readonly kind: "local" }
  /** What the disk had no room for. */
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "failed"; readonly errno: number }

export interface ResumedRead {
  readonly type: "resume"
  readonly mount: number
  readonly ticket: number
  readonly outcome: ReadOutcome
}

/** A read of bytes that are not local. */
export interface WaitingRead {
  readonly ticket: number
  readonly mount: number
  /** Number of the layer's source. */
  readonly source: number
  /** The request's number, as INTERRUPT names it. */
  readonly unique: string
  /** The thread that reads, 0 if unknown. */
  readonly reader: number
  readonly offset: number
  readonly length: number
}

export type FromFuseWorker =
  | { readonly type: "changed"; readonly ask: number }
  | { readonly type: "wait"; readonly read: WaitingRead }
  | { readonly type: "interrupt"; readonly mount: number; readonly unique: string }
  /** The answer to a request was a bug of ours; the request got EIO. */
  | { readonly type: "fault"; readonly mount: number; readonly opcode: number; readonly cause: unknown }
