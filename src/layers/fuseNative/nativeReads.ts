/**
 * The reads of one mount by libfuse. A hit is a pread on the main thread: it needs no other thread, all of which may be waiting for us.
 * For a read of bytes that are not local a thread of libfuse sleeps until a fiber of the mount has them.
 */
import { Effect, type Scope } from "effect"
import { Errno } from "../../streams/codec/fuse.ts"
import { isLocal } from "../../streams/spanTable.ts"
import type { ReadOutcome } from "../fuse/fuseMessages.ts"
import { makeWaitingReads } from "../fuse/WaitingReads.ts"
import { readAt } from "../native/descriptors.ts"
import type { NativeRead } from "../native/fuseNative.ts"
import type { NativeFiles, NativeSource } from "./NativeFiles.ts"

type Answer = (result: number) => void
type LayerSource = Extract<NativeSource, { readonly kind: "layer" }>

interface ParkedRead {
  readonly source: LayerSource
  readonly offset: number
  readonly into: Uint8Array
  readonly answer: Answer
}

export interface NativeReads {
  read(read: NativeRead, answer: Answer): void
  /** Answers with EIO whatever waits for one source, or at all. */
  abandon(of?: NativeSource): void
  readonly waited: () => number
}

/** libfuse 2 tells nobody who reads, nor that a reader is being killed: none is let go before its bytes are there. */
const nobodyIsKilled = () => false

const fromFile = ({ descriptor }: LayerSource, offset: number, into: Uint8Array): number => {
  const got = readAt(descriptor, into, into.length, offset)
  return got === into.length ? got : -Errno.EIO
}

const resultOf = ({ source, offset, into }: ParkedRead, outcome: ReadOutcome): number => {
  switch (outcome.kind) {
    case "local":
      return fromFile(source, offset, into)
    case "bytes":
      if (outcome.bytes.length !== into.length) return -Errno.EIO
      into.set(outcome.bytes)
      return into.length
    case "failed":
      return -outcome.errno
  }
}

export const makeNativeReads = Effect.fnUntraced(function* (
  files: NativeFiles
): Effect.fn.Return<NativeReads, never, Scope.Scope> {
  const waiting = yield* makeWaitingReads(nobodyIsKilled)
  const parked = new Map<number, ParkedRead>()
  let tickets = 0

  /** Once only, and never into memory that libfuse has back. */
  const finish = (ticket: number, outcome: ReadOutcome) => {
    const read = parked.get(ticket)
    if (read !== undefined && parked.delete(ticket)) read.answer(resultOf(read, outcome))
  }

  const park = (read: ParkedRead) => {
    const ticket = ++tickets
    const { source, offset, into } = read
    parked.set(ticket, read)
    const wanted = { ticket, mount: 0, source: 0, unique: String(ticket), reader: 0, offset, length: into.length }
    waiting.wait(wanted, source.spans, (outcome) => finish(ticket, outcome))
  }

  return {
    read: ({ path, handle, offset, into: room }, answer) => {
      const content = files.content(path, handle)
      if (typeof content === "number") return answer(content)
      const length = Math.min(room.length, Math.max(content.size - offset, 0))
      if (length === 0) return answer(0)
      const { source } = content
      const start = content.start + offset
      const into = room.subarray(0, length)
      if (source.kind === "bytes") {
        into.set(source.bytes.subarray(start, start + length))
        return answer(length)
      }
      if (isLocal(source.spans.table, start, length)) return answer(fromFile(source, start, into))
      park({ source, offset: start, into, answer })
    },
    abandon: (of) => {
      for (const [ticket, { source }] of parked) {
        if (of === undefined || of === source) finish(ticket, { kind: "failed", errno: Errno.EIO })
      }
    },
    waited: () => tickets
  }
})
