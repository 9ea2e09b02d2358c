/**
 * Waits until somebody listens at a Unix socket. gRPC's own connecting tells neither why it fails nor that waiting is in vain.
 */
import { Duration, Effect, Schedule } from "effect"
import { connect } from "node:net"
import { causeMessage } from "../../services/causeMessage.ts"
import { errorCode } from "../layout/layoutFailure.ts"
import { ContainerdUnreachable } from "./containerdErrors.ts"

/** How long the reference waits where nobody set a limit. */
export const defaultDialLimit = Duration.seconds(10)

/** Connects once, and closes the connection again. */
const knock = (address: string) =>
  Effect.callback<void, Error>((resume) => {
    const socket = connect(address)
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.void)
    })
    socket.on("error", (error) => resume(Effect.fail(error)))
    return Effect.sync(() => socket.destroy())
  })

/** A daemon that is just starting has no socket yet, or one that nobody serves yet. */
const mayCome = (error: Error): boolean => ["ENOENT", "ECONNREFUSED", "EAGAIN"].includes(errorCode(error) ?? "")

const tooLate = (address: string, limit: Duration.Duration | undefined) =>
  new ContainerdUnreachable({
    address,
    reason:
      limit === undefined
        ? `connection error: desc = "transport: Error while dialing: dial unix://${address}: timeout"`
        : "context deadline exceeded while waiting for connections to become ready: context deadline exceeded"
  })

const refused = (address: string, cause: Error) => {
  const why = errorCode(cause) === "EACCES" ? "permission denied" : causeMessage(cause)
  const reason = `connection error: desc = "transport: Error while dialing: dial unix ${address}: connect: ${why}"`
  return new ContainerdUnreachable({ address, reason, cause })
}

/** Fails after `limit`, or after ten seconds without one; at once where waiting cannot help. */
export const dial = (
  address: string,
  limit: Duration.Duration | undefined
): Effect.Effect<void, ContainerdUnreachable> =>
  knock(address).pipe(
    Effect.retry({ schedule: Schedule.spaced("100 millis"), while: mayCome }),
    Effect.mapError((cause) => refused(address, cause)),
    Effect.timeoutOrElse({
      duration: limit ?? defaultDialLimit,
      orElse: () => Effect.fail(tooLate(address, limit))
    })
  )
