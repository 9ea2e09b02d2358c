/**
 * The actor of one open layer: the only fiber that starts fetches, marks spans present and answers those who wait.
 *
 * It ends with its scope: fetches are interrupted, whoever still waits is told that the layer is closed.
 */
import { Cause, Deferred, Effect, Exit, Fiber, FiberSet, Queue, type Scope } from "effect"
import type { SpanTable, SpanUnavailable } from "../../services/SpanStore.ts"
import type { Span } from "../../services/Ztoc.ts"
import { ReadAhead } from "../../streams/spanPlan.ts"
import { areLocal } from "../../streams/spanTable.ts"
import type { Demand } from "./Demand.ts"
import { type LedgerLimits, SpanLedger, type SpanRequest, type Waiter } from "./SpanLedger.ts"

/** Where a fetch says what became of its spans, one by one. */
export interface SpanReport {
  landed(span: number): Effect.Effect<void>
  failed(span: number, error: SpanUnavailable): Effect.Effect<void>
}

export interface LayerActorOptions<R> {
  readonly table: SpanTable
  readonly spans: ReadonlyArray<Span>
  readonly limits: LedgerLimits
  /** Compressed bytes read ahead for one sequential reader at most. */
  readonly readAheadBytes: number
  /** Where it is told that somebody waits. */
  readonly demand: Demand
  /** What is said to those who wait when the layer is closed. */
  closed(span: number): SpanUnavailable
  /** Fetches the spans of a request and reports each of them. */
  fetch(request: SpanRequest, report: SpanReport): Effect.Effect<void, never, R>
}

export interface LayerActor {
  /** Succeeds once the spans `first` to `last` are local. */
  ensure(first: number, last: number): Effect.Effect<void, SpanUnavailable>
  /** The same for nobody who reads. */
  fill(first: number, last: number): Effect.Effect<void, SpanUnavailable>
  /** The last span that a reader waited for; -1 at first. */
  wantedLast(): number
}

type Message =
  | { readonly _tag: "Wanted"; readonly waiter: Waiter }
  | { readonly _tag: "Abandoned"; readonly waiter: Waiter }
  | { readonly _tag: "Touched"; readonly span: number }
  | { readonly _tag: "Landed"; readonly span: number; readonly request: SpanRequest }
  | { readonly _tag: "Failed"; readonly span: number; readonly request: SpanRequest; readonly error: SpanUnavailable }
  | { readonly _tag: "Ended"; readonly request: SpanRequest; readonly exit: Exit.Exit<void> }

/** Messages that wait; more senders wait for room. */
const mailboxCapacity = 256

const isCrash = <A, E>(exit: Exit.Exit<A, E>): exit is Exit.Failure<A, E> =>
  Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)

export const makeLayerActor = Effect.fnUntraced(function* <R>(
  options: LayerActorOptions<R>
): Effect.fn.Return<LayerActor, never, R | Scope.Scope> {
  const { table, spans } = options
  const mailbox = yield* Queue.bounded<Message>(mailboxCapacity)
  const ledger = new SpanLedger(table, spans, options.limits)
  const readAhead = new ReadAhead(spans, options.readAheadBytes)
  const fibers = new Map<SpanRequest, Fiber.Fiber<void>>()
  const pending = new Set<Waiter>()
  let wantedLast = -1
  const fork = yield* FiberSet.makeRuntime<R, void, never>()

  const send = (message: Message) => Effect.asVoid(Queue.offer(mailbox, message))

  const answer = (waiter: Waiter, exit: Exit.Exit<void, SpanUnavailable>) => {
    Deferred.doneUnsafe(waiter.reply, exit)
    for (const request of ledger.remove(waiter)) interrupt(request)
  }
  const interrupt = (request: SpanRequest) => {
    ledger.cancel(request)
    fibers.get(request)?.interruptUnsafe()
  }

  const start = (request: SpanRequest) => {
    const report: SpanReport = {
      landed: (span) => send({ _tag: "Landed", span, request }),
      failed: (span, error) => send({ _tag: "Failed", span, request, error })
    }
    const job = options
      .fetch(request, report)
      .pipe(
        Effect.onExit((exit) =>
          Effect.andThen(
            isCrash(exit) ? Effect.logError("fetch of spans crashed", exit.cause) : Effect.void,
            send({ _tag: "Ended", request, exit })
          )
        )
      )
    fibers.set(request, fork(job))
  }
  const startAll = () => {
    const obstacle = ledger.obstacle()
    if (obstacle !== undefined) interrupt(obstacle)
    for (let request = ledger.next(); request !== undefined; request = ledger.next()) start(request)
  }

  const receive = (message: Message): void => {
    switch (message._tag) {
      case "Wanted": {
        const { waiter } = message
        if (!waiter.background) {
          wantedLast = waiter.last
          ledger.readAhead(waiter.last + 1, readAhead.wanted(waiter.first, waiter.last))
        }
        if (!ledger.add(waiter)) Deferred.doneUnsafe(waiter.reply, Exit.void)
        return
      }
      case "Abandoned":
        for (const request of ledger.remove(message.waiter)) interrupt(request)
        return
      case "Touched":
        return ledger.readAhead(message.span + 1, readAhead.wanted(message.span, message.span))
      case "Landed":
        for (const waiter of ledger.landed(message.span, message.request)) answer(waiter, Exit.void)
        return
      case "Failed":
        for (const waiter of ledger.failed(message.span, message.request)) answer(waiter, Exit.fail(message.error))
        return
      case "Ended":
        return ended(message.request, message.exit)
    }
  }
  const ended = (request: SpanRequest, exit: Exit.Exit<void>) => {
    fibers.delete(request)
    const left = ledger.awaiting(request)
    ledger.cancel(request)
    // A bug in a fetch is a bug for those who wait for it, not an error they could act on.
    const bug = isCrash(exit) ? exit : Exit.die(new Error("a fetch ended without a word about its spans"))
    for (const waiter of left) answer(waiter, bug)
  }

  const close = (exitOf: (waiter: Waiter) => Exit.Exit<void, SpanUnavailable>) =>
    Effect.sync(() => {
      Queue.shutdownUnsafe(mailbox)
      for (const waiter of pending) Deferred.doneUnsafe(waiter.reply, exitOf(waiter))
    })
  yield* Effect.addFinalizer(() => close(({ first }) => Exit.fail(options.closed(first))))
  yield* Queue.take(mailbox).pipe(
    Effect.map(receive),
    Effect.map(startAll),
    Effect.forever,
    Effect.onError((cause) => (Cause.hasInterruptsOnly(cause) ? Effect.void : close(() => Exit.failCause(cause)))),
    Effect.forkScoped
  )

  const ensureMissing = Effect.fn("SpanStore.ensure")((first: number, last: number, background: boolean) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const waiter: Waiter = { first, last, background, reply: Deferred.makeUnsafe() }
        pending.add(waiter)
        if (!background) options.demand.begin()
        return waiter
      }),
      (waiter) =>
        Effect.flatMap(Queue.offer(mailbox, { _tag: "Wanted", waiter }), (accepted) =>
          accepted ? Deferred.await(waiter.reply) : Effect.fail(options.closed(first))
        ),
      (waiter, exit) => {
        pending.delete(waiter)
        if (!background) options.demand.end()
        return Exit.hasInterrupts(exit) ? send({ _tag: "Abandoned", waiter }) : Effect.void
      }
    )
  )
  const touch = (span: number) => {
    if (readAhead.isHalfThrough(span)) Queue.offerUnsafe(mailbox, { _tag: "Touched", span })
  }
  return {
    wantedLast: () => wantedLast,
    fill: (first, last) => ensureMissing(first, last, true),
    ensure: (first, last) =>
      Effect.suspend(() => {
        if (!areLocal(table, first, last)) return ensureMissing(first, last, false)
        touch(last)
        return Effect.void
      })
  }
})
