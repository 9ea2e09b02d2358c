/**
 * The directory that a tar is applied to, seen from inside: every path is resolved as if it were `/`, and what is missing of a path is
 * made. Symbolic links are followed inside of it, as a container would follow them.
 *
 * Only the unpacking thread changes the tree. Directories that were opened are remembered (tars come directory by directory)
 * until something is removed that a path could have led through.
 */
import type { ByteString } from "../../services/Ztoc.ts"
import {
  chmodAt,
  chownAt,
  close,
  FileType,
  makeDirectory,
  Open,
  openAt,
  openInRoot,
  readLink,
  statusAt
} from "../native/fileSystem.ts"
import { check, checked, EntryProblem, Errno } from "./EntryProblem.ts"

const placeFlags = Open.path | Open.directory

/** Paths of the caller are relative to the working directory (AT_FDCWD). */
const workingDirectory = -100

/** Directories kept open; tars seldom have more than a few in turn. */
const rememberedDirectories = 64

/** As many as containerd follows in one path. */
const maxLinks = 255

/** The kernel asks to try again when something was renamed meanwhile. */
const resolveAttempts = 16

const missing: ReadonlySet<number> = new Set([Errno.notFound, Errno.notDirectory, Errno.loop])

export class RootDirectory {
  readonly #root: number
  readonly #opened = new Map<ByteString, number>()
  readonly #implied = new Set<ByteString>()
  #outdated = false
  readonly #replaceWhiteout: (directory: number, name: ByteString) => boolean

  /** `replaceWhiteout` makes a directory of a whiteout, if the name is one. */
  constructor(path: string, replaceWhiteout: (directory: number, name: ByteString) => boolean) {
    this.#replaceWhiteout = replaceWhiteout
    const bytes = Buffer.from(path).toString("latin1")
    this.#root = check(`open the directory ${path}`, openAt(workingDirectory, bytes, placeFlags))
  }

  /** Directories that no entry described but that had to be: made with 0755, and of nobody's wish. In tar order, resolved. */
  get implied(): ReadonlySet<ByteString> {
    return this.#implied
  }

  /** An entry describes this directory: it is not implied any more. */
  describe(path: ByteString): void {
    this.#implied.delete(path)
  }

  /** A descriptor of the directory at a clean path, made where it is missing. Good until the next but one is opened. */
  open(path: ByteString): number {
    return this.find(path) ?? this.#remember(path, this.#walk(path))
  }

  /** The same where it is there; nothing is made. */
  find(path: ByteString): number | undefined {
    if (this.#outdated) this.#forgetAll()
    const known = this.#opened.get(path)
    if (known !== undefined) {
      this.#opened.delete(path)
      this.#opened.set(path, known)
      return known
    }
    const descriptor = this.resolve(path, placeFlags)
    return descriptor < 0 ? undefined : this.#remember(path, descriptor)
  }

  /** Opens a clean path. Answers with the error where there is no such path; the caller closes what it gets. */
  resolve(path: ByteString, flags: number): number {
    for (let attempt = 1; ; attempt++) {
      const answer = openInRoot(this.#root, path === "" ? "." : path, flags)
      if (answer === -Errno.again && attempt < resolveAttempts) continue
      return missing.has(-answer) ? answer : check(`open the directory "${path}"`, answer)
    }
  }

  /** To be called once anything is removed that may be a directory or a link: paths may lead elsewhere from now on. */
  forget(): void {
    this.#outdated = true
  }

  close(): void {
    this.#forgetAll()
    close(this.#root)
  }

  #forgetAll(): void {
    for (const descriptor of this.#opened.values()) close(descriptor)
    this.#opened.clear()
    this.#outdated = false
  }

  #remember(path: ByteString, descriptor: number): number {
    for (const [oldest, unused] of this.#opened) {
      if (this.#opened.size < rememberedDirectories) break
      this.#opened.delete(oldest)
      close(unused)
    }
    this.#opened.set(path, descriptor)
    return descriptor
  }

  /** Step by step, for paths that are not there as they stand: through links to nowhere, and into what must be made. */
  #walk(path: ByteString): number {
    const pending = path.split("/").toReversed()
    const reached: Array<ByteString> = []
    let links = 0
    for (let step = pending.pop(); step !== undefined; step = pending.pop()) {
      if (step === "" || step === ".") continue
      if (step === "..") {
        reached.pop()
        continue
      }
      const target = this.#step(reached, step)
      if (target === undefined) {
        reached.push(step)
        continue
      }
      if (++links > maxLinks) throw new EntryProblem(`follow links in "${path}"`, "too many of them", Errno.loop)
      if (target.startsWith("/")) reached.length = 0
      pending.push(...target.split("/").toReversed())
    }
    return this.#openReached(reached)
  }

  /** Makes sure that a name is a directory, or answers with what it links to. */
  #step(reached: ReadonlyArray<ByteString>, name: ByteString): ByteString | undefined {
    const place = [...reached, name].join("/")
    const directory = this.#openReached(reached)
    try {
      const status = statusAt(directory, name)
      if (status === -Errno.notFound) {
        makeImplied(directory, name)
        this.#implied.add(place)
        return undefined
      }
      const { type } = checked(`look at "${place}"`, status)
      if (type === FileType.directory || this.#replaceWhiteout(directory, name)) return undefined
      if (type === FileType.symlink) return checked(`read the link "${place}"`, readLink(directory, name))
      throw new EntryProblem(`go through "${place}"`, "not a directory (ENOTDIR)", Errno.notDirectory)
    } finally {
      close(directory)
    }
  }

  #openReached(reached: ReadonlyArray<ByteString>): number {
    const path = reached.length === 0 ? "." : reached.join("/")
    return check(`open the directory "${path}"`, openInRoot(this.#root, path, placeFlags | Open.noFollow))
  }
}

/** A set-group-ID parent and the umask would have their way with it otherwise. */
export const makeImplied = (directory: number, name: ByteString): void => {
  check(`make the directory "${name}"`, makeDirectory(directory, name, 0o700))
  const root = process.geteuid?.() === 0
  if (root) check(`change the owner of "${name}"`, chownAt(directory, name, 0, 0))
  check(`change the mode of "${name}"`, chmodAt(directory, name, 0o755))
}
