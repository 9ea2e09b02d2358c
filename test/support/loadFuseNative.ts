/**
 * Builds the fuse-native driver and prints why it cannot be used, or `usable`. May be run as a worker thread too.
 */
import { Effect } from "effect"
import * as FuseDriverNative from "../../src/layers/FuseDriverNative.ts"
import { FuseDriver } from "../../src/services/FuseDriver.ts"

const said = await Effect.runPromise(
  Effect.as(FuseDriver, "usable").pipe(
    Effect.provide(FuseDriverNative.layer),
    Effect.catchTag("FuseDriverUnavailable", ({ message }) => Effect.succeed(message))
  )
)
process.stdout.write(said)
