/**
 * The reads of one mount that wait for spans: a fiber for each, in the mount's scope.
 *
 * FUSE asks to interrupt a request as soon as its reader has any signal pending, and does not say which. Only for a reader that is
 * being killed is the read given up: programs do not expect reads of plain files to fail with EINTR, nor page faults to end in SIGBUS.
 */
import { Cause, Deferred, Effect, type Exit, FiberMap, Schedule, type Scope } from "effect"
import type { LayerSpans } from "../../services/SpanStore.ts"
import { Errno } from "../../streams/codec/fuse.ts"
import type { ReadOutcome, WaitingRead } from "./fuseMessages.ts"

export interface WaitingReads {
  /** Makes the bytes local, or has them supplied, then answers. */
  wait(read: WaitingRead, spans: LayerSpans, answer: (outcome: ReadOutcome) => void): void
  /** The kernel asks to give up a read, by the number of its request. */
  interrupt(unique: string): void
}

/** Interrupts that came before their read, from another thread. Most are for reads that were answered meanwhile; old ones are forgotten. */
const earlyInterrupts = 1024

/** How often it is looked whether a reader that has a signal is being killed. */
const lookForKill = Schedule.spaced("100 millis")

export const makeWaitingReads = Effect.fnUntraced(function* (
  isBeingKilled: (thread: number) => boolean
): Effect.fn.Return<WaitingReads, never, Scope.Scope> {
  const fibers = yield* FiberMap.make<string, ReadOutcome, never>()
  const start = yield* FiberMap.runtime(fibers)()
  const interrupts = new Map<string, Deferred.Deferred<void>>()
  const early = new Set<string>()

  const wait: WaitingReads["wait"] = (read, spans, answer) => {
    const interrupted = Deferred.makeUnsafe<void>()
    if (early.delete(read.unique)) Deferred.doneUnsafe(interrupted, Effect.void)
    interrupts.set(read.unique, interrupted)
    const givenUp = Deferred.await(interrupted).pipe(
      Effect.andThen(untilKilled(read.reader, isBeingKilled)),
      Effect.as(failedWith(Errno.EINTR))
    )
    const fiber = start(read.unique, Effect.raceFirst(supply(spans, read), givenUp))
    fiber.addObserver((exit) => {
      interrupts.delete(read.unique)
      answer(outcomeOf(exit))
    })
  }

  const interrupt = (unique: string) => {
    const waiting = interrupts.get(unique)
    if (waiting !== undefined) return void Deferred.doneUnsafe(waiting, Effect.void)
    early.add(unique)
    const [oldest] = early
    if (early.size > earlyInterrupts && oldest !== undefined) early.delete(oldest)
  }

  return { wait, interrupt }
})

const failedWith = (errno: number): ReadOutcome => ({ kind: "failed", errno })

const supply = (spans: LayerSpans, { offset, length }: WaitingRead): Effect.Effect<ReadOutcome> =>
  spans.supply(offset, length).pipe(
    Effect.map((bytes): ReadOutcome => (bytes === undefined ? { kind: "local" } : { kind: "bytes", bytes })),
    Effect.catch((error) => Effect.as(Effect.logWarning(error.message), failedWith(Errno.EIO))),
    Effect.tapCause((cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logError("a read of a layer met a defect", cause)
    )
  )

/** A read whose fiber met a defect, or was interrupted with the mount, has no other error than this. */
const outcomeOf = (exit: Exit.Exit<ReadOutcome>): ReadOutcome =>
  exit._tag === "Success" ? exit.value : failedWith(Errno.EIO)

const untilKilled = (reader: number, isBeingKilled: (thread: number) => boolean): Effect.Effect<void> =>
  Effect.sync(() => isBeingKilled(reader)).pipe(
    Effect.repeat({ schedule: lookForKill, until: (killed) => killed }),
    Effect.asVoid
  )
