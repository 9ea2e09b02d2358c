/**
 * A configuration of hosts that cannot be used.
 */
import { Schema } from "effect"

export class HostsUnusable extends Schema.TaggedError<HostsUnusable>()("HostsUnusable", {
  /** The file it is about, or where else it was given. */
  file: Schema.String,
  /** Which key is wrong, and what was expected. */
  reason: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `the registry configuration in ${this.file} cannot be used: ${this.reason}`
  }
}
