/**
 * Overlays by mount(2); where its options do not fit a page, by fsopen(2), which takes the lower directories one by one (Linux 6.8).
 */
import { Effect, Layer } from "effect"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { MountFailed } from "../services/FuseDriver.ts"
import { OverlayMounter, type OverlayOptions } from "../services/OverlayMounter.ts"
import { configureMountScoped, mountScoped } from "./kernelMount.ts"
import { MountFlag } from "./native/mount.ts"

/** The kernel's own (OVL_MAX_STACK). */
const maxLowerDirs = 500
/** A page, less the byte that ends the text. */
const maxDataBytes = 4095

const source = "overlay"

export const layer: Layer.Layer<OverlayMounter> = Layer.succeed(
  OverlayMounter,
  OverlayMounter.of({
    mount: Effect.fn("OverlayMounter.mount")(function* (options) {
      yield* Effect.annotateCurrentSpan({ mountPoint: options.mountPoint, lowerDirs: options.lowerDirs.length })
      const refused = refusalOf(options)
      if (refused !== undefined) return yield* failed(options, refused)
      // Without an upper directory the kernel insists on two lower ones.
      const alone = options.lowerDirs.length === 1 && options.upperDir === undefined
      const lowerDirs = alone ? [...options.lowerDirs, yield* emptyDirectory(options)] : options.lowerDirs
      const overlay = { ...options, lowerDirs }
      const data = mountData(overlay)
      yield* Buffer.byteLength(data) <= maxDataBytes ? mountAtOnce(overlay, data) : mountStepwise(overlay)
    })
  })
)

const failed = ({ mountPoint }: OverlayOptions, reason: string, cause?: unknown) =>
  new MountFailed({ type: "overlay", mountPoint, reason, ...(cause === undefined ? {} : { cause }) })

const refusalOf = ({ lowerDirs, upperDir, workDir }: OverlayOptions): string | undefined => {
  if (lowerDirs.length === 0) return "it has no lower directory"
  if (lowerDirs.length > maxLowerDirs) {
    return `it has ${lowerDirs.length} lower directories, and overlayfs takes ${maxLowerDirs}`
  }
  return (upperDir === undefined) === (workDir === undefined)
    ? undefined
    : "an upper and a work directory must be given together"
}

const emptyDirectory = (options: OverlayOptions) =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: () => fs.mkdtemp(path.join(tmpdir(), "soci-empty-")),
      catch: (cause) => failed(options, `an empty directory cannot be made: ${String(cause)}`, cause)
    }),
    (directory) => Effect.ignore(Effect.tryPromise(() => fs.rmdir(directory)))
  )

/** Colons separate lower directories, commas options; a backslash makes either plain. */
const quoted = (directory: string) => directory.replaceAll(/[\\:,]/g, String.raw`\$&`)

const mountData = ({ lowerDirs, upperDir, workDir, options = [] }: OverlayOptions): string =>
  [
    `lowerdir=${lowerDirs.map(quoted).join(":")}`,
    ...(upperDir === undefined ? [] : [`upperdir=${quoted(upperDir)}`]),
    ...(workDir === undefined ? [] : [`workdir=${quoted(workDir)}`]),
    "index=off",
    ...options
  ].join(",")

const flagsOf = ({ upperDir }: OverlayOptions) => (upperDir === undefined ? MountFlag.readOnly : 0)

const mountAtOnce = (options: OverlayOptions, data: string) =>
  mountScoped({
    type: "overlay",
    fileSystem: "overlay",
    source,
    mountPoint: options.mountPoint,
    flags: flagsOf(options),
    data
  })

const mountStepwise = (overlay: OverlayOptions) => {
  const { lowerDirs, upperDir, workDir, options = [], mountPoint } = overlay
  const given = options.map((option) => {
    const equals = option.indexOf("=")
    return equals < 0 ? option : ([option.slice(0, equals), option.slice(equals + 1)] as const)
  })
  return configureMountScoped({
    type: "overlay",
    fileSystem: "overlay",
    mountPoint,
    flags: flagsOf(overlay),
    settings: [
      ["source", source],
      ...lowerDirs.map((directory) => ["lowerdir+", directory] as const),
      ...(upperDir === undefined ? [] : [["upperdir", upperDir] as const]),
      ...(workDir === undefined ? [] : [["workdir", workDir] as const]),
      ["index", "off"],
      ...given
    ]
  })
}
