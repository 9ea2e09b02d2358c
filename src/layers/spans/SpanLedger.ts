/**
 * Who waits for which spans of a layer, and what is being fetched. Owned by the layer's actor: every method is one synchronous
 * step, and nobody else calls them.
 *
 * Reads come before large fills, and both before what is read ahead.
 */
import type { Deferred } from "effect"
import type { SpanTable, SpanUnavailable } from "../../services/SpanStore.ts"
import type { Span } from "../../services/Ztoc.ts"
import { joinNeighbours } from "../../streams/spanPlan.ts"
import { isPresent, markPresent } from "../../streams/spanTable.ts"

/** Somebody who waits until the spans `first` to `last` are local. */
export interface Waiter {
  readonly first: number
  readonly last: number
  /** Nobody reads: it gives way to those who do. */
  readonly background: boolean
  readonly reply: Deferred.Deferred<void, SpanUnavailable>
}

/** A fetch of the spans `first` to `last`. */
export interface SpanRequest {
  readonly first: number
  readonly last: number
  /** Some of it is read ahead: it goes on although nobody waits. */
  readonly ahead: boolean
}

export interface LedgerLimits {
  readonly requests: number
  /** Compressed bytes of a request, unless one span is larger. A range that is larger is a fill. */
  readonly requestBytes: number
}

interface Waiting {
  readonly waiter: Waiter
  readonly fill: boolean
  /** No span before this one has to be started. */
  cursor: number
  missing: number
}

/** Ranges to be read ahead that are remembered; older ones are dropped. */
const maxAhead = 8

export class SpanLedger {
  private readonly table: SpanTable
  private readonly spans: ReadonlyArray<Span>
  private readonly limits: LedgerLimits
  private readonly waiting = new Map<Waiter, Waiting>()
  private readonly inFlight = new Map<number, SpanRequest>()
  private readonly running = new Set<SpanRequest>()
  private ahead: ReadonlyArray<{ readonly first: number; readonly end: number }> = []

  constructor(table: SpanTable, spans: ReadonlyArray<Span>, limits: LedgerLimits) {
    this.table = table
    this.spans = spans
    this.limits = limits
  }

  /** Whether the waiter has to wait. */
  add(waiter: Waiter): boolean {
    const { first, last, background } = waiter
    let missing = 0
    for (let span = first; span <= last; span++) if (!isPresent(this.table, span)) missing++
    if (missing === 0) return false
    const bytes = (this.spans[last]?.compressedEnd ?? 0) - (this.spans[first]?.compressedStart ?? 0)
    const fill = background || (last > first && bytes > this.limits.requestBytes)
    this.waiting.set(waiter, { waiter, fill, cursor: first, missing })
    return true
  }

  /** Forgets a waiter that was answered or went away; returns the requests that nobody needs any more. */
  remove(waiter: Waiter): ReadonlyArray<SpanRequest> {
    this.waiting.delete(waiter)
    return [...this.running].filter(
      (request) => !request.ahead && this.isOpen(request) && this.awaiting(request).length === 0
    )
  }

  /** Remembers the spans from `first` to before `end` for idle slots. */
  readAhead(first: number, end: number): void {
    if (first < end) this.ahead = [...this.ahead.slice(1 - maxAhead), { first, end }]
  }

  /** The next request to start, if there is one and a slot for it. */
  next(): SpanRequest | undefined {
    if (this.running.size >= this.limits.requests) return undefined
    const read = this.nextWanted(false)
    if (read >= 0) return this.start(read)
    // One slot is kept for the next read.
    if (this.running.size > 0 && this.running.size >= this.limits.requests - 1) return undefined
    const fill = this.nextWanted(true)
    if (fill >= 0) return this.start(fill)
    const ahead = this.nextAhead()
    return ahead < 0 ? undefined : this.start(ahead)
  }

  /** A request to give up for a read that finds no slot: one that only reads ahead. */
  obstacle(): SpanRequest | undefined {
    if (this.running.size < this.limits.requests || this.nextWanted(false) < 0) return undefined
    return [...this.running].findLast((request) => this.isOpen(request) && this.awaiting(request).length === 0)
  }

  /** Those who wait for spans that a request has yet to bring. */
  awaiting(request: SpanRequest): ReadonlyArray<Waiter> {
    return [...this.waiting.keys()].filter(({ first, last }) =>
      this.isOpen(request, Math.max(first, request.first), Math.min(last, request.last))
    )
  }

  /** Ends a request: what it has not brought is free for another one at once. */
  cancel(request: SpanRequest): void {
    this.running.delete(request)
    for (let span = request.first; span <= request.last; span++) {
      if (this.release(span, request)) this.forgetAhead(span)
    }
  }

  /** Marks a span whose bytes are in the file; returns the waiters that have all they waited for. */
  landed(span: number, request: SpanRequest): ReadonlyArray<Waiter> {
    this.release(span, request)
    if (isPresent(this.table, span)) return []
    markPresent(this.table, span)
    const satisfied: Array<Waiter> = []
    for (const waiting of this.waitingFor(span)) if (--waiting.missing === 0) satisfied.push(waiting.waiter)
    return satisfied
  }

  /** Sets a span back that could not be had; returns those who waited for it. */
  failed(span: number, request: SpanRequest): ReadonlyArray<Waiter> {
    this.release(span, request)
    this.forgetAhead(span)
    if (isPresent(this.table, span)) return []
    return this.waitingFor(span).map(({ waiter }) => waiter)
  }

  private release(span: number, request: SpanRequest): boolean {
    return this.inFlight.get(span) === request && this.inFlight.delete(span)
  }

  /** What could not be had is not tried again and again for nobody. */
  private forgetAhead(span: number): void {
    this.ahead = this.ahead.filter(({ first, end }) => span < first || span >= end)
  }

  private waitingFor(span: number): ReadonlyArray<Waiting> {
    return [...this.waiting.values()].filter(({ waiter }) => waiter.first <= span && span <= waiter.last)
  }

  private isOpen(request: SpanRequest, first = request.first, last = request.last): boolean {
    for (let span = first; span <= last; span++) if (this.inFlight.get(span) === request) return true
    return false
  }

  private isFree(span: number): boolean {
    return !isPresent(this.table, span) && !this.inFlight.has(span)
  }

  private isWanted(span: number): boolean {
    for (const { first, last } of this.waiting.keys()) if (first <= span && span <= last) return true
    return false
  }

  private nextWanted(fill: boolean): number {
    for (const waiting of this.waiting.values()) {
      if (waiting.fill !== fill) continue
      while (waiting.cursor <= waiting.waiter.last && !this.isFree(waiting.cursor)) waiting.cursor++
      if (waiting.cursor <= waiting.waiter.last) return waiting.cursor
    }
    return -1
  }

  private nextAhead(): number {
    for (let range = this.ahead[0]; range !== undefined; range = this.ahead[0]) {
      for (let span = range.first; span < range.end; span++) if (this.isFree(span)) return span
      this.ahead = this.ahead.slice(1)
    }
    return -1
  }

  private start(first: number): SpanRequest {
    let ahead = false
    const takes = (span: number) => {
      if (!this.isFree(span)) return false
      if (this.isWanted(span)) return true
      const isAhead = this.ahead.some((range) => range.first <= span && span < range.end)
      ahead ||= isAhead
      return isAhead
    }
    takes(first)
    const last = joinNeighbours(this.spans, first, this.limits.requestBytes, takes)
    const request = { first, last, ahead }
    for (let span = first; span <= last; span++) this.inFlight.set(span, request)
    this.running.add(request)
    return request
  }
}
