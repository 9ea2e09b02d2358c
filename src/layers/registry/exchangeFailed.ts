/**
 * What a request, or the way to it, failed with.
 */
import { Data } from "effect"

/** A request failed. `transient`: repeating it may help. Reasons hold no credential and no query of a URL. */
export class ExchangeFailed extends Data.TaggedError("ExchangeFailed")<{
  readonly reason: string
  readonly transient: boolean
  readonly status?: number
  readonly retryAfterMillis?: number
  readonly cause?: unknown
}> {
  override get message(): string {
    return this.reason
  }
}

export const isExchangeFailed = (error: unknown): error is ExchangeFailed => error instanceof ExchangeFailed
