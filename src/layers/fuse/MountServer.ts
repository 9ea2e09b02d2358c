/**
 * Serves the requests of one mount in one thread: reads a request, answers it, or parks it until its bytes are local.
 */
import { Errno, isSilent, Opcode } from "../../streams/codec/fuse.ts"
import { answerInit } from "../../streams/codec/fuseInit.ts"
import type { FuseReply } from "../../streams/codec/fuseReply.ts"
import type { FuseRequest } from "../../streams/codec/fuseRequest.ts"
import { isLocal } from "../../streams/spanTable.ts"
import { read, readAt, write } from "../native/descriptors.ts"
import type { FromFuseWorker, ReadOutcome } from "./fuseMessages.ts"
import type { FileContent, LayerSource, ServedFiles } from "./ServedFiles.ts"

/** What one thread has once, for all its mounts. */
export interface ThreadParts {
  readonly request: FuseRequest
  readonly reply: FuseReply
  readonly send: (message: FromFuseWorker) => void
  /** A number for a read that waits. */
  readonly nextTicket: () => number
}

interface Counters {
  readonly numbers: Float64Array
  /** Where the thread's two numbers are. */
  readonly at: number
}

/** A read that waits; the kernel holds a thread, or a place of its bounded read-ahead, for each. */
interface ParkedRead {
  readonly uniqueLow: number
  readonly uniqueHigh: number
  readonly source: LayerSource
  readonly offset: number
  readonly length: number
}

/** The answer of a request that will be answered later. */
const parked = Number.NEGATIVE_INFINITY

/** What read(2) says where there is nothing to read now: nothing waits, a signal came, the request was taken back. */
const nothing: ReadonlySet<number> = new Set([-Errno.EAGAIN, -Errno.EINTR, -Errno.ENOENT])

/** What write(2) says where nobody waits for the reply any more: the request was taken back, the mount is gone. */
const unwanted: ReadonlySet<number> = new Set([-Errno.ENOENT, -Errno.ENODEV])

export class MountServer {
  readonly #mount: number
  readonly #descriptor: number
  readonly #counters: Counters
  readonly #thread: ThreadParts
  readonly #parked = new Map<number, ParkedRead>()
  readonly files: ServedFiles

  constructor(mount: number, descriptor: number, files: ServedFiles, counters: Counters, thread: ThreadParts) {
    this.#mount = mount
    this.#descriptor = descriptor
    this.files = files
    this.#counters = counters
    this.#thread = thread
  }

  /** Answers the next request, if there is one. False once the file system is unmounted. */
  serve(): boolean {
    const { request } = this.#thread
    const length = read(this.#descriptor, request.bytes, request.bytes.length)
    if (length === -Errno.ENODEV) return false
    if (nothing.has(length)) return true
    if (length < 0) throw new Error(`reading /dev/fuse failed with errno ${-length}`)
    this.#count(0)
    if (!request.accept(length)) this.#refuse(length)
    else if (isSilent(request.opcode)) this.#note()
    else this.#answer()
    return true
  }

  /** Answers a parked read. */
  resume(ticket: number, outcome: ReadOutcome): void {
    const waiting = this.#parked.get(ticket)
    if (waiting === undefined) return
    this.#parked.delete(ticket)
    this.#finish(waiting.uniqueLow, waiting.uniqueHigh, this.#outcomeOf(waiting, outcome), Opcode.read)
  }

  #outcomeOf({ source, offset, length }: ParkedRead, outcome: ReadOutcome): number {
    switch (outcome.kind) {
      case "local":
        return this.#fromLayer(source, offset, length)
      case "bytes":
        if (outcome.bytes.length !== length) return -Errno.EIO
        this.#thread.reply.body.set(outcome.bytes)
        return length
      case "failed":
        return -outcome.errno
    }
  }

  /** Answers with EIO whatever still waits, for one source or at all. */
  abandon(of?: FileContent["source"]): void {
    for (const [ticket, { source }] of this.#parked)
      if (of === undefined || of === source) this.resume(ticket, { kind: "failed", errno: Errno.EIO })
  }

  #count(which: 0 | 1): void {
    const { numbers, at } = this.#counters
    numbers[at + which] = (numbers[at + which] ?? 0) + 1
  }

  #note(): void {
    const { request, send } = this.#thread
    if (request.opcode !== Opcode.interrupt) return
    send({ type: "interrupt", mount: this.#mount, unique: `${request.uint32(4)}:${request.uint32(0)}` })
  }

  #refuse(length: number): void {
    const { request } = this.#thread
    this.#fault(request.opcode, new Error(`a request of ${length} bytes is too short for its opcode`))
    if (!isSilent(request.opcode)) this.#finish(request.uniqueLow, request.uniqueHigh, -Errno.EINVAL, request.opcode)
  }

  #answer(): void {
    const { request } = this.#thread
    const { uniqueLow, uniqueHigh, opcode } = request
    let result: number
    try {
      result = this.#resultOf(opcode)
    } catch (cause) {
      // One request must not take down all mounts of the process; what went wrong is reported.
      this.#fault(opcode, cause)
      result = -Errno.EIO
    }
    if (result !== parked) this.#finish(uniqueLow, uniqueHigh, result, opcode)
  }

  #resultOf(opcode: number): number {
    const { request, reply } = this.#thread
    if (opcode === Opcode.read) return this.#read()
    if (opcode === Opcode.init) return answerInit(request, reply, this.files.features)
    if (opcode === Opcode.destroy) return 0
    return this.files.answer(request, reply)
  }

  #read(): number {
    const { request, reply } = this.#thread
    const content = this.files.contentOf(request.node)
    if (content === undefined) return -Errno.EIO
    const offset = request.uint64(8)
    const length = Math.min(request.uint32(16), reply.body.length, Math.max(content.size - offset, 0))
    if (length === 0) return 0
    const { source } = content
    const start = content.start + offset
    if (source.kind === "bytes") {
      reply.body.set(source.bytes.subarray(start, start + length))
      return length
    }
    return isLocal(source.table, start, length)
      ? this.#fromLayer(source, start, length)
      : this.#park(source, start, length)
  }

  #fromLayer(source: LayerSource, offset: number, length: number): number {
    const got = readAt(source.descriptor, this.#thread.reply.body, length, offset)
    return got === length ? got : -Errno.EIO
  }

  #park(source: LayerSource, offset: number, length: number): number {
    const { request, send, nextTicket } = this.#thread
    const { uniqueLow, uniqueHigh, thread } = request
    const ticket = nextTicket()
    this.#count(1)
    this.#parked.set(ticket, { uniqueLow, uniqueHigh, source, offset, length })
    const unique = `${uniqueHigh}:${uniqueLow}`
    const read = { ticket, mount: this.#mount, source: source.id, unique, reader: thread, offset, length }
    send({ type: "wait", read })
    return parked
  }

  #finish(uniqueLow: number, uniqueHigh: number, result: number, opcode: number): void {
    const { reply } = this.#thread
    const written = write(this.#descriptor, reply.bytes, reply.finish(uniqueLow, uniqueHigh, result))
    if (written >= 0 || unwanted.has(written)) return
    this.#fault(opcode, new Error(`the kernel refused a reply of ${result} with errno ${-written}`))
    if (result >= 0) write(this.#descriptor, reply.bytes, reply.finish(uniqueLow, uniqueHigh, -Errno.EIO))
  }

  #fault(opcode: number, cause: unknown): void {
    this.#thread.send({ type: "fault", mount: this.#mount, opcode, cause })
  }
}
