/**
 * A configuration of hosts that cannot be used.
 */
import { Data } from "effect"

export class HostsUnusable extends Data.TaggedError("HostsUnusable")<{
  /** The file it is about, or where else it was given. */
  readonly file: string
  /** Which key is wrong, and what was expected. */
  readonly reason: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `the registry configuration in ${this.file} cannot be used: ${this.reason}`
  }
}
