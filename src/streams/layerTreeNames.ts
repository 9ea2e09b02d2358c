/**
 * The names of a layer while its tree grows, entry by entry, as an unpacker would see them on disk.
 *
 * Names are kept by their whole path, without a leading slash (the root's is empty). A path is there only if its parent is
 * there and is a directory: one look-up finds the parent of most entries. Whatever costs more than that is charged to a budget, since
 * a hostile layer can make each entry walk through hundreds of links.
 */
import { ZtocLimits } from "../services/ZtocLimits.ts"

/** What a name stands for; hard links share one. Numbers of entries are -1 where there is none. */
export interface Inode {
  readonly kind: "directory" | "symlink" | "whiteout" | "pending" | "other"
  /** The entry that gives type and data. */
  readonly data: number
  /** The entry that gives owner, permissions and time: the last one under any of the names. */
  attributes: number
  /** Entries before that one, whose xattrs are still there unless a later one has the same key. */
  earlier: Array<number> | undefined
  /** Of a symlink. */
  readonly target: string
  opaque: boolean
  /** Given when the tree is laid out. */
  number: number
  links: number
}

export interface Name {
  readonly path: string
  readonly parent: Name | undefined
  inode: Inode
  firstChild: Name | undefined
  next: Name | undefined
  previous: Name | undefined
}

/** Why something cannot be. */
export interface Refusal {
  readonly reason: string
}

export const maxNameBytes = 255
const maxLinks = 255
/** Characters compared and copied beside the one look-up of each entry: a layer's, and each entry's share. */
const workPerLayer = 2 ** 25
const workPerEntry = 256

export const isRefusal = (value: object): value is Refusal => "reason" in value

export const makeInode = (kind: Inode["kind"], data: number, target = ""): Inode => ({
  kind,
  data,
  attributes: data,
  earlier: undefined,
  target,
  opaque: false,
  number: -1,
  links: 0
})

export class GrowingNames {
  readonly root: Name = {
    path: "",
    parent: undefined,
    inode: makeInode("directory", -1),
    firstChild: undefined,
    next: undefined,
    previous: undefined
  }
  private readonly names = new Map<string, Name>([["", this.root]])
  private budget: number
  /** Where a path through links led, as long as no link has come or gone: entries of one directory follow each other. */
  private latest: { readonly path: string; readonly directory: Name } | undefined

  constructor(entries: number) {
    this.budget = workPerLayer + entries * workPerEntry
  }

  get(path: string): Name | undefined {
    return this.names.get(path)
  }

  /** Puts a name into a directory; what had it before goes, with all below. */
  put(parent: Name, path: string, inode: Inode): Name | Refusal {
    const base = path.length - (parent.path === "" ? 0 : parent.path.length + 1)
    if (base > maxNameBytes) return { reason: `a name of ${base} bytes; at most ${maxNameBytes} are possible` }
    const existing = this.names.get(path)
    if (existing !== undefined) this.remove(existing)
    if (existing !== undefined || inode.kind === "symlink" || inode.kind === "pending") this.latest = undefined
    if (this.names.size > ZtocLimits.entries) return { reason: `more than ${ZtocLimits.entries} names` }
    const next = parent.firstChild
    const name: Name = { path, parent, inode, firstChild: undefined, next, previous: undefined }
    if (next !== undefined) next.previous = name
    parent.firstChild = name
    this.names.set(path, name)
    return name
  }

  private remove(name: Name): void {
    if (name.next !== undefined) name.next.previous = name.previous
    if (name.previous !== undefined) name.previous.next = name.next
    else if (name.parent !== undefined) name.parent.firstChild = name.next
    const doomed = [name]
    for (let one = doomed.pop(); one !== undefined; one = doomed.pop()) {
      this.names.delete(one.path)
      for (let child = one.firstChild; child !== undefined; child = child.next) doomed.push(child)
    }
  }

  /** The directory at a path, links followed; it and its parents are made where they are missing. */
  directory(path: string): Name | Refusal {
    const found = this.names.get(path)
    if (found?.inode.kind === "directory") return found
    if (this.latest?.path === path) return this.latest.directory
    const resolved = this.follow(path)
    if (typeof resolved !== "string") return resolved
    const directory = this.makeDirectory(resolved)
    if (!isRefusal(directory)) this.latest = { path, directory }
    return directory
  }

  private makeDirectory(path: string): Name | Refusal {
    const missing: Array<string> = []
    for (let at = path; ; at = at.slice(0, Math.max(at.lastIndexOf("/"), 0))) {
      const found = this.names.get(at)
      // A whiteout hides what lower layers have; that is no obstacle to a directory of this layer.
      if (found === undefined || found.inode.kind === "whiteout") {
        if (!this.spend(at.length)) return tooMuchWork
        missing.push(at)
      } else if (found.inode.kind === "directory") {
        return this.makeBelow(found, missing)
      } else {
        return { reason: `"${at}" is not a directory` }
      }
    }
  }

  private makeBelow(directory: Name, missing: Array<string>): Name | Refusal {
    let parent = directory
    for (let path = missing.pop(); path !== undefined; path = missing.pop()) {
      const made = this.put(parent, path, makeInode("directory", -1))
      if (isRefusal(made)) return made
      parent = made
    }
    return parent
  }

  /**
   * Follows each link in a path inside the root; a component that does not exist is taken as written. Relative targets are
   * cleaned by their text alone, absolute ones are walked, both as in containerd.
   */
  follow(path: string): string | Refusal {
    const rest = path.split("/").toReversed()
    let at = ""
    let links = 0
    for (let component = rest.pop(); component !== undefined; component = rest.pop()) {
      if (component === "" || component === ".") continue
      if (component === "..") {
        at = at.slice(0, Math.max(at.lastIndexOf("/"), 0))
        continue
      }
      const next = at === "" ? component : `${at}/${component}`
      if (next.length > ZtocLimits.pathBytes) return { reason: `a path of more than ${ZtocLimits.pathBytes} bytes` }
      const target = this.names.get(next)?.inode.target ?? ""
      if (!this.spend(next.length + target.length)) return tooMuchWork
      if (target === "") {
        at = next
        continue
      }
      if (++links > maxLinks) return { reason: `more than ${maxLinks} symbolic links on its way` }
      if (target.startsWith("/")) at = ""
      const components = target.startsWith("/") ? target.split("/") : cleanComponents(target)
      for (const component of components.toReversed()) rest.push(component)
    }
    return at
  }

  private spend(characters: number): boolean {
    this.budget -= characters
    return this.budget >= 0
  }
}

const tooMuchWork: Refusal = { reason: "the layer's symbolic links and deep paths take too long to follow" }

/** Takes `.`, empty components and `x/..` out of a path; leading `..` stay. */
const cleanComponents = (path: string): Array<string> => {
  const kept: Array<string> = []
  for (const component of path.split("/")) {
    if (component === "" || component === ".") continue
    const last = kept.at(-1)
    if (component === ".." && last !== undefined && last !== "..") kept.pop()
    else kept.push(component)
  }
  return kept
}

/** A dot component or an empty one somewhere. */
const unclean = /(?:^|\/)\.{0,2}(?:\/|$)/

/** Cleans a name as an absolute path and takes the leading slash away: `..` does not leave the root. */
export const cleanPath = (name: string): string => {
  const start = name.startsWith("./") ? 2 : name.startsWith("/") ? 1 : 0
  const path = name.slice(start, name.endsWith("/") ? Math.max(name.length - 1, start) : name.length)
  if (path === "" || !unclean.test(path)) return path
  return cleanComponents(name)
    .filter((component) => component !== "..")
    .join("/")
}
