/**
 * Mounts layers as EROFS where kernel and layer allow it, else as FUSE trees. Whether the kernel does is found out once, when the first
 * layer is to be mounted so.
 */
import { Effect, Fiber, Layer, Scope } from "effect"
import { FuseDriver, type MountFailed } from "../services/FuseDriver.ts"
import { ErofsUnavailable, LayerMounter, type LayerMount } from "../services/LayerMounter.ts"
import type { NotExpressible } from "../streams/codec/erofs.ts"
import { startErofsHost } from "./erofs/ErofsHost.ts"
import { ownScope } from "./ownScope.ts"

export interface LayerMounterOptions {
  /** Made with mode 0700 where it is missing. Mounts that EROFS stands on have a directory of their own in it, removed at the end. */
  readonly runDirectory: string
}

export const layer = (options: LayerMounterOptions): Layer.Layer<LayerMounter, never, FuseDriver> =>
  Layer.effect(
    LayerMounter,
    Effect.gen(function* () {
      const driver = yield* FuseDriver
      const scope = yield* Effect.scope
      // A fiber of its own: a caller that is interrupted takes nothing away from others who wait.
      const starting = yield* Effect.cached(
        startErofsHost(options.runDirectory).pipe(
          Effect.tapError((error) => Effect.logWarning(error.message)),
          ownScope,
          Effect.provideService(FuseDriver, driver),
          Scope.provide(scope),
          Effect.forkIn(scope)
        )
      )
      const host = Effect.flatMap(starting, Fiber.join)

      const mountErofs = (mount: MountOptions) => ownScope(Effect.flatMap(host, (started) => started.mount(mount)))

      const mountFuse = ({ layer, mountPoint, opaqueXattr }: MountOptions) =>
        driver.mountTree({ mountPoint, source: "soci", layer, opaqueXattr })

      const mount = Effect.fn("LayerMounter.mount")(function* (
        mount: MountOptions
      ): Effect.fn.Return<LayerMount, MountFailed | ErofsUnavailable, Scope.Scope> {
        const { mountPoint, mode, layer } = mount
        yield* Effect.annotateCurrentSpan({ mountPoint, mode, layer: layer.spans.layer })
        if (mode === "fuse") {
          yield* mountFuse(mount)
          return { mountPoint, mode: "fuse", fallbackReason: undefined }
        }
        const refused = yield* mountErofs(mount).pipe(
          Effect.as(undefined),
          Effect.catch((error) => Effect.succeed(error))
        )
        if (refused === undefined) return { mountPoint, mode: "erofs", fallbackReason: undefined }
        if (mode === "erofs") {
          return yield* refused._tag === "NotExpressible"
            ? new ErofsUnavailable({ reason: reasonOf(refused) })
            : refused
        }
        yield* Effect.logInfo(`layer ${layer.spans.layer} is mounted by FUSE: ${reasonOf(refused)}`)
        yield* mountFuse(mount)
        return { mountPoint, mode: "fuse", fallbackReason: reasonOf(refused) }
      })
      return LayerMounter.of({ mount })
    })
  )

type MountOptions = Parameters<LayerMounter["Service"]["mount"]>[0]

type Refusal = MountFailed | ErofsUnavailable | NotExpressible

const reasonOf = (refusal: Refusal): string => {
  if (refusal._tag !== "NotExpressible") return refusal.message
  return `${refusal.path === "" ? "the layer" : `"${refusal.path}"`} cannot be held by EROFS: ${refusal.reason}`
}
