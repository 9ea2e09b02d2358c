/**
 * Why a standalone conversion could not take its input or give its output, in the words of the reference (CLI spec, section 6).
 */
import { Schema } from "effect"

export class StandaloneFailed extends Schema.TaggedError<StandaloneFailed>()("StandaloneFailed", {
  /** What was attempted, and on what. */
  attempted: Schema.String,
  reason: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return this.attempted === "" ? this.reason : `${this.attempted}: ${this.reason}`
  }
}
