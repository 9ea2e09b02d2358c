/**
 * The reads of one mount that wait for spans: a fiber for each, in the mount's scope.
 *
 * FUSE asks to interrupt a request as soon as its reader has any signal pending, and does not say which. Only for a reader that is
 * being killed is the read given up: programs do not expect reads of plain files to fail with EINTR, nor page faults to end in SIGBUS.
 */
import { Cause, Deferred, Effect, type Exit, FiberMap, Schedule, type Scope } from "effect"
import { readFileSync } from "node:fs"
import type { LayerSpans } from "../../services/SpanStore.ts"
import { Errno } from "../../streams/codec/fuse.ts"
import type { WaitingRead } from "./fuseMessages.ts"

export interface WaitingReads {
  /** Makes the bytes local, then answers: 0, or the errno that the read fails with. */
  wait(read: WaitingRead, spans: LayerSpans, answer: (errno: number) => void): void
  /** The kernel asks to give up a read, by the number of its request. */
  interrupt(unique: string): void
}

/** Interrupts that came before their read, from another thread. Most are for reads that were answered meanwhile; old ones are forgotten. */
const earlyInterrupts = 1024

/** How often it is looked whether a reader that has a signal is being killed. */
const lookForKill = Schedule.spaced("100 millis")

export const makeWaitingReads: Effect.Effect<WaitingReads, never, Scope.Scope> = Effect.gen(function* () {
  const fibers = yield* FiberMap.make<string, number, never>()
  const start = yield* FiberMap.runtime(fibers)()
  const interrupts = new Map<string, Deferred.Deferred<void>>()
  const early = new Set<string>()

  const wait: WaitingReads["wait"] = (read, spans, answer) => {
    const interrupted = Deferred.makeUnsafe<void>()
    if (early.delete(read.unique)) Deferred.doneUnsafe(interrupted, Effect.void)
    interrupts.set(read.unique, interrupted)
    const givenUp = Deferred.await(interrupted).pipe(Effect.andThen(untilKilled(read.reader)), Effect.as(Errno.EINTR))
    const fiber = start(read.unique, Effect.raceFirst(makeLocal(spans, read), givenUp))
    fiber.addObserver((exit) => {
      interrupts.delete(read.unique)
      answer(errnoOf(exit))
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

const makeLocal = (spans: LayerSpans, { offset, length }: WaitingRead): Effect.Effect<number> =>
  spans.ensure(offset, length).pipe(
    Effect.as(0),
    Effect.catch((error) => Effect.as(Effect.logWarning(error.message), Errno.EIO)),
    Effect.tapCause((cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logError("a read of a layer met a defect", cause)
    )
  )

/** A read whose fiber met a defect, or was interrupted with the mount, has no other error than this. */
const errnoOf = (exit: Exit.Exit<number>): number => (exit._tag === "Success" ? exit.value : Errno.EIO)

const untilKilled = (thread: number): Effect.Effect<void> =>
  Effect.sync(() => isBeingKilled(thread)).pipe(
    Effect.repeat({ schedule: lookForKill, until: (killed) => killed }),
    Effect.asVoid
  )

/** SIGKILL is bit 8; a process that ends for any other reason has it in each of its threads too (proc(5), status). */
const pendingSignals = /^S(?:ig|hd)Pnd:\s*([0-9a-f]+)$/gm
const killBit = 1n << 8n

const isBeingKilled = (thread: number): boolean => {
  try {
    const status = readFileSync(`/proc/${thread}/status`, "latin1")
    return [...status.matchAll(pendingSignals)].some(([, signals]) => (BigInt(`0x${signals ?? "0"}`) & killBit) !== 0n)
  } catch {
    // A thread of another process namespace, or one that has gone: it is not known to be killed.
    return false
  }
}
