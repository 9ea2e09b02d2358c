/**
 * How calls to containerd fail. Its stores turn these into their own errors and keep them as the cause.
 */
import { Schema } from "effect"

/** There is nobody at the socket, or nobody we may talk to. The reason is worded as the reference's. */
export class ContainerdUnreachable extends Schema.TaggedError<ContainerdUnreachable>()("ContainerdUnreachable", {
  /** The path of the socket. */
  address: Schema.String,
  reason: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `${this.reason}. Is containerd running, and is ${this.address} its socket? Start it, or give another --address`
  }
}

/** containerd answered a call with an error, or did not answer. */
export class ContainerdCallFailed extends Schema.TaggedError<ContainerdCallFailed>()("ContainerdCallFailed", {
  /** `/service/method`. */
  method: Schema.String,
  /** The name of gRPC's status code. */
  code: Schema.String,
  /** What the server says. */
  details: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `${this.code}: ${this.details}`
  }
}

export type ContainerdError = ContainerdUnreachable | ContainerdCallFailed

/** Whether a call failed with this status code. */
export const hasCode = (error: ContainerdError, code: string): boolean =>
  error._tag === "ContainerdCallFailed" && error.code === code
