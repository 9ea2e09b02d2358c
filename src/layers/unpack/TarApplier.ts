/**
 * Applies a tar, chunk by chunk, to a directory: the rules are containerd's (parallel-pull spec, 6.1), except that a layer's own files
 * survive its whiteouts in whatever order they come.
 *
 * Synchronous and free of Effect: it runs in the unpacking thread. Throws `EntryProblem` for what a layer or the machine does;
 * after that only `close` may be called.
 */
import type { WhiteoutForm } from "../../services/Unpacker.ts"
import type { ByteString } from "../../services/Ztoc.ts"
import { type TarEntry, type TarError, TarReader } from "../../streams/codec/tar.ts"
import {
  close,
  FileType,
  makeDirectory,
  makeLink,
  makeNode,
  makeSymlink,
  Open,
  openAt,
  setTimes,
  statusAt
} from "../native/fileSystem.ts"
import { type Attributes, attributesOf, clearXattrs, setOnLink, setOnName } from "./attributes.ts"
import { type EntryPlace, placeOf } from "./entryPlace.ts"
import { check, checked, EntryProblem, Errno } from "./EntryProblem.ts"
import { RegularFile } from "./RegularFile.ts"
import { clearEarlier, removeEarlier, removeTree } from "./removal.ts"
import { RootDirectory } from "./RootDirectory.ts"
import { TouchedNames } from "./TouchedNames.ts"
import { hideByDevice, markOpaque, replaceWhiteout, whiteoutOf } from "./whiteouts.ts"

const nothing = new Uint8Array(0)

const newFile = Open.writeOnly | Open.create | Open.exclusive | Open.noFollow
const existingDirectory = Open.readOnly | Open.directory | Open.noFollow

/** Old GNU sparse files and contiguous files hold data as regular ones do; `g` describes the archive. */
const sparseFlag = "S".charCodeAt(0)
const contiguousFlag = "7".charCodeAt(0)
const globalFlag = "g".charCodeAt(0)

/** As many as a ztoc may list. Not imported from there: the thread starts without Effect. */
const maxEntries = 5_000_000

/** The kernel's width of device numbers; as in containerd, bits beyond are lost. */
const majorMask = 0xfffn
const minorMask = 0xfffffn

export class TarApplier {
  readonly #form: WhiteoutForm
  readonly #root: RootDirectory
  readonly #reader = new TarReader({
    onEntry: (entry) => this.#apply(entry),
    onData: (bytes) => this.#file?.write(bytes)
  })
  readonly #touched: TouchedNames | undefined
  /** In the order of the last change; set when nothing is made any more. */
  readonly #directoryTimes = new Map<ByteString, Uint8Array>()
  #entries = 0
  #file: RegularFile | undefined
  #entry: ByteString = ""

  constructor(directory: string, form: WhiteoutForm) {
    this.#form = form
    this.#touched = form === "apply" ? new TouchedNames() : undefined
    this.#root = new RootDirectory(directory, (parent, name) => replaceWhiteout(parent, name, form))
  }

  /** The entry that is being applied, or was last. */
  get entry(): ByteString {
    return this.#entry
  }

  get entries(): number {
    return this.#entries
  }

  get impliedDirectories(): ReadonlyArray<ByteString> {
    return [...this.#root.implied]
  }

  push(bytes: Uint8Array): void {
    this.#checkTar(this.#reader.push(bytes))
  }

  /** The stream has ended: completes the last file and sets the times of directories. */
  end(): void {
    // The reader still looks at the last chunk, which was only lent to it.
    this.#checkTar(this.#reader.push(nothing))
    this.#checkTar(this.#reader.end())
    this.#finishFile()
    for (const [path, times] of this.#directoryTimes) this.#setDirectoryTimes(path, times)
  }

  close(): void {
    this.#file?.close()
    this.#file = undefined
    this.#root.close()
  }

  #checkTar(error: TarError | undefined): void {
    if (error) throw new EntryProblem("read the tar", `${error.message} at byte ${error.offset}`)
  }

  #finishFile(): void {
    this.#file?.finish()
    this.#file = undefined
  }

  #apply(entry: TarEntry): void {
    this.#finishFile()
    this.#entry = entry.name
    if (entry.typeflag === globalFlag) return
    if (++this.#entries > maxEntries) {
      throw new EntryProblem("count entries", `more than ${maxEntries} of them`)
    }
    const place = placeOf(entry.name)
    if (place.base === "") return this.#applyRoot(entry)
    const directory = this.#openParent(place.parent)
    const whiteout = whiteoutOf(place.base)
    const attributes = attributesOf(entry, this.#form)
    if (whiteout === undefined) {
      this.#create(directory, place, entry, attributes)
      this.#touched?.add(directory, place.base)
    } else if (this.#touched === undefined) {
      if (whiteout.type === "opaque") markOpaque(directory, ".", this.#form)
      else hideByDevice(directory, whiteout.name, attributes, this.#form)
    } else {
      if (whiteout.type === "opaque") clearEarlier(directory, this.#touched)
      else removeEarlier(directory, whiteout.name, this.#touched)
      this.#root.forget()
    }
  }

  /** The root of an overlay's lower directory is the snapshotter's, as in containerd; a root file system's own root is the layer's. */
  #applyRoot(entry: TarEntry): void {
    if (this.#form !== "apply" || entry.type !== "dir") return
    const attributes = attributesOf(entry, this.#form)
    setOnName(this.#root.open(""), ".", "directory", attributes)
    this.#directoryTimes.set("", attributes.times)
  }

  /** A directory that this layer does not describe keeps its times, whatever is made in it. */
  #openParent(path: ByteString): number {
    const directory = this.#root.open(path)
    if (this.#touched && !this.#directoryTimes.has(path)) {
      this.#directoryTimes.set(path, checked(`look at "${path}"`, statusAt(directory, "")).times)
    }
    return directory
  }

  #create(directory: number, place: EntryPlace, entry: TarEntry, attributes: Attributes): void {
    switch (entry.type) {
      case "reg":
        return this.#createFile(directory, place.base, entry, attributes)
      case "dir":
        return this.#createDirectory(directory, place, attributes)
      case "symlink":
        this.#replace(directory, place.base, "make the symbolic link", () =>
          makeSymlink(directory, place.base, entry.linkname)
        )
        return setOnName(directory, place.base, "symlink", attributes)
      case "hardlink":
        return this.#createLink(place, entry, attributes)
      case "char":
      case "block":
      case "fifo":
        return this.#createNode(directory, place.base, entry, attributes)
      case undefined:
        if (entry.typeflag === sparseFlag || entry.typeflag === contiguousFlag) {
          return this.#createFile(directory, place.base, entry, attributes)
        }
        throw new EntryProblem("read the header", `unknown type ${JSON.stringify(String.fromCharCode(entry.typeflag))}`)
    }
  }

  /** Makes a name that may be taken; whatever has it goes first. */
  #replace(directory: number, name: ByteString, operation: string, create: () => number): number {
    const answer = create()
    if (answer !== -Errno.exists) return check(operation, answer)
    removeTree(directory, name, this.#touched)
    this.#root.forget()
    return check(operation, create())
  }

  #createFile(directory: number, name: ByteString, entry: TarEntry, attributes: Attributes): void {
    const create = () => openAt(directory, name, newFile, 0o600)
    this.#file = new RegularFile(this.#replace(directory, name, "create the file", create), entry, attributes)
  }

  #createDirectory(directory: number, { path, base }: EntryPlace, attributes: Attributes): void {
    const answer = makeDirectory(directory, base, 0o700)
    if (answer === -Errno.exists) this.#keepOrReplace(directory, base)
    else check("make the directory", answer)
    setOnName(directory, base, "directory", attributes)
    this.#root.describe(path)
    this.#directoryTimes.delete(path)
    this.#directoryTimes.set(path, attributes.times)
  }

  #keepOrReplace(directory: number, name: ByteString): void {
    const { type } = checked("look at it", statusAt(directory, name))
    if (type === FileType.directory) {
      // An earlier layer's attributes end with it; what this one said twice adds up.
      if (this.#touched && !this.#touched.in(directory).has(name)) clearXattrs(directory, name)
      return
    }
    if (replaceWhiteout(directory, name, this.#form)) return
    this.#replace(directory, name, "make the directory", () => makeDirectory(directory, name, 0o700))
  }

  #createLink({ parent, base }: EntryPlace, entry: TarEntry, attributes: Attributes): void {
    const target = placeOf(entry.linkname)
    const operation = `link to "${entry.linkname}"`
    const from = this.#root.find(target.parent) ?? check(operation, -Errno.notFound)
    const directory = this.#root.open(parent)
    this.#replace(directory, base, operation, () => makeLink(from, target.base, directory, base))
    const { type } = checked("look at it", statusAt(directory, base))
    setOnLink(directory, base, type === FileType.symlink, attributes)
  }

  #createNode(directory: number, name: ByteString, entry: TarEntry, attributes: Attributes): void {
    const type = entry.type === "fifo" ? FileType.fifo : entry.type === "block" ? FileType.block : FileType.character
    const major = Number(entry.devmajor & majorMask)
    const minor = Number(entry.devminor & minorMask)
    const create = () => makeNode(directory, name, type | 0o600, major, minor)
    this.#replace(directory, name, `make the ${entry.type === "fifo" ? "fifo" : "device"}`, create)
    setOnName(directory, name, "special", attributes)
  }

  /** Something else may stand there by now, or nothing. */
  #setDirectoryTimes(path: ByteString, times: Uint8Array): void {
    this.#entry = path
    const directory = this.#root.resolve(path, existingDirectory)
    if (directory < 0) return
    try {
      check("set the times", setTimes(directory, times))
    } finally {
      close(directory)
    }
  }
}
