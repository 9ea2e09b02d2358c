/**
 * What killed processes of ours left below the root directory: their working directories, with mounts that nobody serves. Each is named after its process.
 *
 * A directory counts as stale only if there is no such process, and if none of its FUSE mounts answers. Nothing outside of it is ever unmounted
 * or removed: where an overlay elsewhere stands on it, that has to be unmounted first, by whoever mounted it.
 */
import { Duration, Effect } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { unmount } from "../../layers/kernelMount.ts"
import { causeMessage } from "../../services/causeMessage.ts"
import { broken, type Finding, found, type Subject } from "./Finding.ts"
import { type MountEntry, mountTable } from "./mountTable.ts"

const stale: Subject = { subject: "stale mounts", needed: false }

export interface StaleDirectory {
  readonly directory: string
  /** Mounts in it, the innermost first. */
  readonly mounts: ReadonlyArray<string>
  /** Mount points elsewhere that stand on it. */
  readonly dependents: ReadonlyArray<string>
}

/** Directories of `soci mount` and `soci run` are called after their process. */
const ownName = /^([1-9][0-9]*)-[A-Za-z0-9]{6}$/

const isRunning = (pid: string) =>
  Effect.promise(() =>
    fs.access(`/proc/${pid}`).then(
      () => true,
      () => false
    )
  )

const isBelow = (file: string, directory: string): boolean => file.startsWith(`${directory}/`)

const serverGone = new Set(["ENOTCONN", "ECONNABORTED"])

/** A mount whose server is gone says so at once; one that answers, or hangs, has a server. */
const isDead = ({ mountPoint, fileSystem }: MountEntry) =>
  fileSystem.startsWith("fuse")
    ? Effect.tryPromise({ try: () => fs.readdir(mountPoint), catch: (cause) => cause }).pipe(
        Effect.as(false),
        Effect.catch((cause) =>
          Effect.succeed(cause instanceof Error && "code" in cause && serverGone.has(String(cause.code)))
        ),
        Effect.timeoutOrElse({ duration: Duration.seconds(2), orElse: () => Effect.succeed(false) })
      )
    : Effect.succeed(true)

const candidatesIn = (parent: string) =>
  Effect.tryPromise(() => fs.readdir(parent, { withFileTypes: true })).pipe(
    Effect.map((entries) =>
      entries.flatMap((entry) => {
        const pid = ownName.exec(entry.name)?.[1]
        return entry.isDirectory() && pid !== undefined ? [{ pid, directory: path.join(parent, entry.name) }] : []
      })
    ),
    Effect.orElseSucceed(() => [])
  )

/** Working directories of ours whose process is gone. */
export const findStale = Effect.fnUntraced(function* (root: string) {
  const parent = yield* Effect.promise(() => fs.realpath(path.join(root, "mount")).catch(() => ""))
  if (parent === "") return []
  const mounts = yield* mountTable
  const directories: Array<StaleDirectory> = []
  for (const { pid, directory } of yield* candidatesIn(parent)) {
    if (yield* isRunning(pid)) continue
    const inside = mounts.filter(({ mountPoint }) => isBelow(mountPoint, directory))
    const dead = yield* Effect.forEach(inside, isDead)
    if (dead.includes(false)) continue
    const dependents = mounts.filter(
      ({ mountPoint, options }) => !isBelow(mountPoint, directory) && options.includes(`${directory}/`)
    )
    directories.push({
      directory,
      mounts: inside.map(({ mountPoint }) => mountPoint).toReversed(),
      dependents: dependents.map(({ mountPoint }) => mountPoint)
    })
  }
  return directories
})

const asFinding = ({ directory, mounts, dependents }: StaleDirectory): Finding => {
  const detail = `${directory} was left by a killed process, with ${mounts.length} mounts`
  return dependents.length > 0
    ? broken(
        stale,
        `${detail}; ${dependents.join(" and ")} stands on it`,
        `umount ${dependents.join(" ")}, then soci doctor --fix`
      )
    : broken(stale, detail, "soci doctor --fix unmounts and removes it")
}

export const staleFindings = (root: string): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.map(findStale(root), (directories) =>
    directories.length === 0 ? [found(stale, `none below ${root}`)] : directories.map(asFinding)
  )

/** Only what holds no mount is removed: a mount that could not be taken away keeps everything where it is. */
const removeDirectory = Effect.fnUntraced(function* (directory: string) {
  const left = (yield* mountTable).filter(({ mountPoint }) => isBelow(mountPoint, directory))
  if (left.length > 0) {
    return broken(
      stale,
      `${directory} is still mounted at ${left.map(({ mountPoint }) => mountPoint).join(", ")}`,
      "end what uses it"
    )
  }
  return yield* Effect.tryPromise({
    try: () => fs.rm(directory, { recursive: true, force: true }),
    catch: (cause) => cause
  }).pipe(
    Effect.as(found(stale, `removed ${directory}`)),
    Effect.catch((cause) => Effect.succeed(broken(stale, `cannot remove ${directory}: ${causeMessage(cause)}`, "")))
  )
})

/** Unmounts and removes what `findStale` finds; each step is told to `tell` before it is done. */
export const removeStale = Effect.fnUntraced(function* (root: string, tell: (line: string) => Effect.Effect<void>) {
  const findings: Array<Finding> = []
  for (const directory of yield* findStale(root)) {
    if (directory.dependents.length > 0) {
      findings.push(asFinding(directory))
      continue
    }
    for (const mountPoint of directory.mounts) {
      yield* tell(`unmounting ${mountPoint}`)
      yield* unmount(mountPoint)
    }
    yield* tell(`removing ${directory.directory}`)
    findings.push(yield* removeDirectory(directory.directory))
  }
  return findings.length === 0 ? [found(stale, `none below ${root}`)] : findings
})
