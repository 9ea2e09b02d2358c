/**
 * The sparse file of a layer that is kept when the layer is closed, in a directory named after what the layer is read with. One
 * process has it at a time.
 */
import { Effect, Option, Schedule, type Scope } from "effect"
import { constants } from "node:fs"
import { type FileHandle, mkdir, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { causeMessage } from "../../services/causeMessage.ts"
import { SpanStoreFailed } from "../../services/SpanStore.ts"
import { tryLock } from "../native/flock.ts"
import { currentBoot, type KeptLayer, KeptSpans } from "./keptSpans.ts"
import { type SpanFile, spanFileOf } from "./SpanFile.ts"

/** Names in the directory of a layer. */
export const streamName = "stream"
export const spansName = "spans"
/** Files that mounts of the layer stand on. */
export const imageSuffix = ".erofs"
/** Files that say, with the number of the boot, that the kernel reads the stream by itself. */
const heldPrefix = "held-"

/** Whether a mount may read the stream of a layer, also one whose process has died. */
export const isHeld = async (directory: string): Promise<boolean> => {
  const boot = await currentBoot()
  for (const name of await readdir(directory)) {
    if (!name.startsWith(heldPrefix)) continue
    const marker = await readFile(join(directory, name)).catch(() => undefined)
    if (marker?.equals(boot)) return true
  }
  return false
}

/** What a loss of power takes with it at most. */
const flushInterval = "30 seconds"

/**
 * A lock that was just given up may still be held: by a child that some thread is starting, until it runs its own program. Who has a layer
 * open has it for longer.
 */
const lookAgain = Schedule.max([Schedule.spaced("20 millis"), Schedule.recurs(5)])

interface Opened {
  readonly spansFile: FileHandle
  readonly stream: FileHandle
  readonly kept: KeptSpans
}

/** Locks the file of bits; undefined while another process has it. What was removed meanwhile is made anew. */
const lockSpans = async (directory: string): Promise<FileHandle | undefined> => {
  const path = join(directory, spansName)
  for (;;) {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600)
    try {
      if (!tryLock(file.fd)) return void (await file.close())
      const [opened, named] = await Promise.all([file.stat(), stat(path).catch(() => undefined)])
      if (named?.ino === opened.ino) return file
      await file.close()
    } catch (error) {
      await file.close()
      throw error
    }
  }
}

/** Who made them has died, or they would not be unlocked. The kernel keeps those that are mounted still. */
const removeImages = async (directory: string): Promise<void> => {
  for (const name of await readdir(directory)) if (name.endsWith(imageSuffix)) await rm(join(directory, name))
}

const openBoth = async (directory: string, layer: KeptLayer): Promise<Opened | undefined> => {
  const spansFile = await lockSpans(directory)
  if (spansFile === undefined) return undefined
  let stream: FileHandle | undefined
  try {
    await removeImages(directory)
    const kept = await KeptSpans.open(spansFile, layer, await currentBoot())
    stream = await open(join(directory, streamName), constants.O_RDWR | constants.O_CREAT, 0o600)
    if ((await stream.stat()).size !== layer.size) {
      await kept.remove(Array.from({ length: layer.starts.length - 1 }, (_, span) => span))
      await stream.truncate(0)
      await stream.truncate(layer.size)
    }
    return { spansFile, stream, kept }
  } catch (error) {
    await stream?.close()
    await spansFile.close()
    throw error
  }
}

/** When a layer was used last is the time of its file of bits. What holds nothing is not kept. */
const closeBoth = async ({ spansFile, stream, kept }: Opened, directory: string): Promise<void> => {
  try {
    await kept.flush(stream)
    const now = new Date()
    await spansFile.utimes(now, now)
    if (kept.isEmpty) await rm(directory, { recursive: true, force: true })
  } finally {
    await stream.close()
    await spansFile.close()
  }
}

/** The file of a layer with all its spans from earlier, until the scope ends; none while another process has it. */
export const openKeptFile = Effect.fnUntraced(function* (
  directory: string,
  digest: string,
  layer: KeptLayer
): Effect.fn.Return<Option.Option<SpanFile>, SpanStoreFailed, Scope.Scope> {
  const failed = (cause: unknown) =>
    new SpanStoreFailed({ layer: digest, path: directory, reason: causeMessage(cause), cause })
  const warn = (what: string) => (cause: unknown) =>
    Effect.logWarning(`${what} ${directory}: ${causeMessage(cause)}`).pipe(Effect.annotateLogs({ layer: digest }))
  const opened = yield* Effect.acquireRelease(
    Effect.tryPromise({ try: () => openBoth(directory, layer), catch: failed }).pipe(
      Effect.repeat({ until: (both) => both !== undefined, schedule: lookAgain })
    ),
    (both) =>
      both === undefined
        ? Effect.void
        : Effect.tryPromise({ try: () => closeBoth(both, directory), catch: (cause) => cause }).pipe(
            Effect.catch(warn("cannot close"))
          )
  )
  if (opened === undefined) return Option.none()
  const { stream, kept } = opened
  yield* Effect.tryPromise({ try: () => kept.flush(stream), catch: (cause) => cause }).pipe(
    Effect.uninterruptible,
    Effect.catch(warn("cannot flush")),
    Effect.repeat(Schedule.spaced(flushInterval)),
    Effect.forkScoped
  )
  let holds = 0
  const hold = Effect.acquireRelease(
    Effect.suspend(() => {
      const marker = join(directory, `${heldPrefix}${process.pid}-${++holds}`)
      const write = async () => {
        await writeFile(marker, await currentBoot(), { mode: 0o600 })
        return marker
      }
      return Effect.tryPromise({ try: write, catch: failed })
    }),
    (marker) => Effect.promise(() => rm(marker, { force: true }))
  )
  return Option.some({
    ...spanFileOf(join(directory, streamName), stream),
    hold,
    isKept: (span) => kept.has(span),
    keep: (span) =>
      Effect.tryPromise({ try: () => kept.add(span), catch: (cause) => cause }).pipe(Effect.uninterruptible)
  })
})
