/**
 * Files of this machine as tar entries: with their modes, owners and times, and with the symbolic links by which they are reached.
 */
import { NodeStream } from "@effect/platform-node"
import { Data } from "effect"
import { Tar } from "effect/encoding"
import { createReadStream, lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync, type Stats } from "node:fs"
import * as path from "node:path"

export class HostFileUnreadable extends Data.TaggedError("HostFileUnreadable")<{
  readonly path: string
  readonly cause: unknown
}> {
  override get message(): string {
    return `cannot read ${this.path}: ${String(this.cause)}`
  }
}

export type HostEntry = Tar.Entry<HostFileUnreadable>

/** Files up to this size are read at once: a stream for each costs more than its bytes. */
const wholeFileBytes = 256 * 1024

const optionsOf = (stat: Stats): Tar.EntryOptions => ({
  mode: stat.mode & 0o7777,
  uid: stat.uid,
  gid: stat.gid,
  mtime: stat.mtime
})

const contentOf = (file: string) =>
  NodeStream.fromReadable<Uint8Array, HostFileUnreadable>({
    evaluate: () => createReadStream(file, { highWaterMark: wholeFileBytes }),
    onError: (cause) => new HostFileUnreadable({ path: file, cause })
  })

const entryOf = (hostPath: string, name: string, stat: Stats): HostEntry | undefined => {
  const options = optionsOf(stat)
  if (stat.isDirectory()) return Tar.directory(name, options)
  if (stat.isSymbolicLink()) return Tar.symlink(name, readlinkSync(hostPath), options)
  // Sockets and the like have no place in an image.
  if (!stat.isFile()) return undefined
  if (stat.size <= wholeFileBytes) return Tar.file(name, readFileSync(hostPath), options)
  return Tar.fileStream(name, stat.size, contentOf(hostPath), options)
}

/** A tree of this machine under another name in the image; `skip` leaves paths out. */
export const treeEntries = function* (
  hostPath: string,
  name: string,
  skip: (hostPath: string) => boolean = () => false
): Generator<HostEntry> {
  if (skip(hostPath)) return
  const stat = lstatSync(hostPath)
  const entry = entryOf(hostPath, name, stat)
  if (entry) yield entry
  if (!stat.isDirectory()) return
  for (const child of readdirSync(hostPath).toSorted()) {
    yield* treeEntries(path.join(hostPath, child), `${name}/${child}`, skip)
  }
}

/** Directories in front of a name that lies deeper, with the modes of a fresh system. */
export const parentEntries = function* (name: string): Generator<HostEntry> {
  const parts = name.split("/").slice(0, -1)
  for (let i = 1; i <= parts.length; i++) yield Tar.directory(parts.slice(0, i).join("/"), { mode: 0o755 })
}

/** Collects paths of this machine under their own names: each once, with its directories and every link on the way. */
export class HostPaths {
  readonly #seen = new Set<string>()
  readonly #entries: Array<HostEntry> = []

  get entries(): ReadonlyArray<HostEntry> {
    return this.#entries
  }

  add(hostPath: string): void {
    let at = "/"
    for (const part of path.resolve(hostPath).split("/").slice(1)) {
      at = path.join(at, part)
      const stat = lstatSync(at)
      this.#emit(at, stat)
      if (!stat.isSymbolicLink()) continue
      const target = path.resolve(path.dirname(at), readlinkSync(at))
      return this.add(path.join(target, path.relative(at, path.resolve(hostPath))))
    }
  }

  /** A shared library, and the links beside it by which programs ask for it. */
  addLibrary(file: string): void {
    this.add(file)
    const directory = path.dirname(file)
    for (const sibling of readdirSync(directory)) {
      const link = path.join(directory, sibling)
      if (lstatSync(link).isSymbolicLink() && resolved(link) === file) this.add(link)
    }
  }

  #emit(hostPath: string, stat: Stats): void {
    if (this.#seen.has(hostPath)) return
    this.#seen.add(hostPath)
    const entry = entryOf(hostPath, hostPath.slice(1), stat)
    if (entry) this.#entries.push(entry)
  }
}

const resolved = (link: string): string | undefined => {
  try {
    return realpathSync(link)
  } catch {
    return undefined
  }
}
