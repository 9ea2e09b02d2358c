/**
 * Keeps the layers that nobody has open below a quota, and some of the disk free: what was used longest ago goes first, from its end.
 */
import { Effect, Semaphore } from "effect"
import { type FileHandle, open, readdir, rm, stat, statfs } from "node:fs/promises"
import { join } from "node:path"
import { causeMessage } from "../../services/causeMessage.ts"
import { tryLock } from "../native/flock.ts"
import { punchHole } from "../native/punchHole.ts"
import { isHeld, spansName, streamName } from "./keptFile.ts"
import { currentBoot, type KeptLayer, keptLayerOf, KeptSpans } from "./keptSpans.ts"

export interface QuotaOptions {
  /** Bytes on disk of all layers that are kept, those in use included: these are never taken. */
  readonly bytes: number
  /** The share of the file system that stays free for others. */
  readonly freeShare: number
}

export interface SpanQuota {
  /** Looks at the quota where that may have something to take: at first, and when a layer was closed since. */
  readonly look: Effect.Effect<void>
  /** A layer was closed: its spans may be taken. */
  readonly closed: Effect.Effect<void>
  /** So much was written: now and then it is looked whether that was too much. */
  wrote(bytes: number): Effect.Effect<void>
  /** Gives room back until quota and free share hold, and at least so many bytes. */
  reclaim(atLeast: number): Effect.Effect<void>
}

/** What may be written before it is looked again. */
const lookEvery = 64 * 1024 * 1024

/** A unit of stat(2)'s count of blocks. */
const blockBytes = 512

interface Kept {
  readonly path: string
  readonly bytes: number
  readonly usedAt: Date
}

export const makeSpanQuota = Effect.fnUntraced(function* (directory: string, options: QuotaOptions) {
  const one = yield* Semaphore.make(1)
  let written = 0
  let mayTake = true
  const reclaim = (atLeast: number) =>
    Effect.tryPromise({ try: () => reclaimIn(directory, options, atLeast), catch: (cause) => cause }).pipe(
      Effect.uninterruptible,
      Effect.catch((cause) => Effect.logWarning(`cannot give room back in ${directory}: ${causeMessage(cause)}`)),
      one.withPermit
    )
  const quota: SpanQuota = {
    reclaim,
    closed: Effect.sync(() => {
      mayTake = true
    }),
    look: Effect.suspend(() => {
      if (!mayTake) return Effect.void
      mayTake = false
      return reclaim(0)
    }),
    wrote: (bytes) =>
      Effect.suspend(() => {
        written += bytes
        if (written < lookEvery) return Effect.void
        written = 0
        return reclaim(0)
      })
  }
  return quota
})

const reclaimIn = async (directory: string, { bytes, freeShare }: QuotaOptions, atLeast: number): Promise<void> => {
  const layers = await keptIn(directory)
  const used = layers.reduce((sum, layer) => sum + layer.bytes, 0)
  const { bsize, blocks, bavail } = await statfs(directory)
  let excess = Math.max(used - bytes, (blocks * freeShare - bavail) * bsize, atLeast)
  for (const layer of layers.toSorted((a, b) => a.usedAt.getTime() - b.usedAt.getTime())) {
    if (excess <= 0) return
    excess -= await evict(layer, excess)
  }
}

const keptIn = async (directory: string): Promise<ReadonlyArray<Kept>> => {
  const names = await readdir(directory)
  const found = await Promise.all(names.map((name) => keptAt(join(directory, name))))
  return found.filter((kept) => kept !== undefined)
}

/** Undefined for what was removed meanwhile, or is none of ours. */
const keptAt = async (path: string): Promise<Kept | undefined> => {
  try {
    const [stream, spans] = await Promise.all([stat(join(path, streamName)), stat(join(path, spansName))])
    return { path, bytes: stream.blocks * blockBytes, usedAt: spans.mtime }
  } catch {
    return undefined
  }
}

/** Takes bytes of a layer that nobody has open, or all of it; answers with how many. */
const evict = async (layer: Kept, wanted: number): Promise<number> => {
  const file = await open(join(layer.path, spansName), "r+").catch(() => undefined)
  if (file === undefined) return 0
  try {
    if (!tryLock(file.fd)) return 0
    // A removed file goes on for the mounts that read it; one with holes would give them zeros.
    const whole = layer.bytes <= wanted || (await isHeld(layer.path))
    const known = whole ? undefined : await keptLayerOf(file)
    const freed = known === undefined ? 0 : await evictEnd(layer, known, file, wanted)
    if (freed > 0) return freed
    await rm(layer.path, { recursive: true, force: true })
    return layer.bytes
  } finally {
    await file.close()
  }
}

/** 0 where the file system cannot give back a part of a file. */
const evictEnd = async (kept: Kept, layer: KeptLayer, file: FileHandle, wanted: number): Promise<number> => {
  const spans = await KeptSpans.open(file, layer, await currentBoot())
  let first = layer.starts.length - 1
  let freed = 0
  const evicted: Array<number> = []
  while (first > 0 && freed < wanted) {
    first--
    if (!spans.has(first)) continue
    evicted.push(first)
    freed += (layer.starts[first + 1] ?? 0) - (layer.starts[first] ?? 0)
  }
  // A bit whose bytes are gone would deliver zeros: bits go first.
  await spans.remove(evicted)
  await file.utimes(kept.usedAt, kept.usedAt)
  const stream = await open(join(kept.path, streamName), "r+")
  try {
    const start = layer.starts[first] ?? 0
    return punchHole(stream.fd, start, layer.size - start) === 0 ? freed : 0
  } finally {
    await stream.close()
  }
}
