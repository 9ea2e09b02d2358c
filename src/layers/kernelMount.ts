/**
 * Mounting and unmounting as effects: errors say what the kernel said, and a mount ends with its scope.
 */
import { Effect, Schedule, type Scope } from "effect"
import { getSystemErrorMap } from "node:util"
import { MountFailed } from "../services/FuseDriver.ts"
import * as native from "./native/mount.ts"

type MountType = MountFailed["type"]

/** The name and meaning of an errno. */
export const describeErrno = (errno: number): string => {
  const [name, meaning] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, "unknown error"]
  return `${meaning} (${name})`
}

export const mountFailed = (type: MountType, mountPoint: string, errno: number, detail = ""): MountFailed =>
  new MountFailed({
    type,
    mountPoint,
    errno,
    reason: detail === "" ? describeErrno(errno) : `${describeErrno(errno)}; ${detail}`
  })

const call = (start: (answer: (result: number) => void) => void): Effect.Effect<number> =>
  Effect.callback<number>((resume) => start((result) => resume(Effect.succeed(result))))

export interface MountCall {
  readonly type: MountType
  readonly fileSystem: string
  readonly source: string
  readonly mountPoint: string
  readonly flags: number
  /** Less than a page. */
  readonly data: string
}

/** mount(2). The mount ends with the scope. */
export const mountScoped = (options: MountCall): Effect.Effect<void, MountFailed, Scope.Scope> => {
  const { type, fileSystem, source, mountPoint, flags, data } = options
  const mount = Effect.flatMap(
    call((answer) => native.mount({ source, target: mountPoint, type: fileSystem, flags, data }, answer)),
    (result) => (result < 0 ? Effect.fail(mountFailed(type, mountPoint, -result)) : Effect.void)
  )
  return Effect.acquireRelease(mount, () => unmount(mountPoint))
}

export interface ConfiguredMount {
  readonly type: MountType
  readonly fileSystem: string
  readonly mountPoint: string
  /** Flags without a value, and texts of any length and form, in order. */
  readonly settings: ReadonlyArray<string | readonly [key: string, value: string]>
  readonly flags: number
}

/** A mount configured step by step (fsopen(2) and its family): values need no quoting, errors come with words. Ends with the scope. */
export const configureMountScoped = (options: ConfiguredMount): Effect.Effect<void, MountFailed, Scope.Scope> =>
  Effect.acquireRelease(Effect.scoped(configureMount(options)), () => unmount(options.mountPoint))

const configureMount = Effect.fnUntraced(function* (options: ConfiguredMount) {
  const { type, fileSystem, mountPoint, settings, flags } = options
  const context = yield* openScoped(() => native.openContext(fileSystem), options)
  const orFail = (result: number) =>
    result < 0
      ? Effect.fail(mountFailed(type, mountPoint, -result, native.takeMessages(context).join("; ")))
      : Effect.void
  for (const setting of settings) {
    yield* orFail(
      typeof setting === "string" ? native.setFlag(context, setting) : native.setText(context, setting[0], setting[1])
    )
  }
  yield* Effect.flatMap(
    call((answer) => native.createSuperblock(context, answer)),
    orFail
  )
  const mount = yield* openScoped(() => native.openMount(context, flags), options)
  yield* orFail(native.placeMount(mount, mountPoint))
})

const openScoped = (open: () => number, { type, mountPoint }: ConfiguredMount) =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const descriptor = open()
      return descriptor < 0 ? Effect.fail(mountFailed(type, mountPoint, -descriptor)) : Effect.succeed(descriptor)
    }),
    (descriptor) => Effect.sync(() => native.closeDescriptor(descriptor))
  )

const EBUSY = 16
const EINVAL = 22
const ENOENT = 2

/** A process that is just ending holds its files a little longer. */
const busyRetry = Schedule.spaced("20 millis").pipe(Schedule.upTo({ times: 5 }))

/** Unmounts; what stays busy is taken out of the name space at once, and ends with its last user. What is not mounted is left. */
export const unmount = (mountPoint: string): Effect.Effect<void> =>
  call((answer) => native.unmount(mountPoint, native.UnmountFlag.noFollow, answer)).pipe(
    Effect.repeat({ schedule: busyRetry, while: (result) => result === -EBUSY }),
    Effect.flatMap((result) =>
      result === -EBUSY
        ? call((answer) => native.unmount(mountPoint, native.UnmountFlag.noFollow | native.UnmountFlag.detach, answer))
        : Effect.succeed(result)
    ),
    Effect.flatMap((result) =>
      result === 0 || result === -EINVAL || result === -ENOENT
        ? Effect.void
        : Effect.logWarning(`cannot unmount ${mountPoint}: ${describeErrno(-result)}`)
    ),
    Effect.uninterruptible
  )
