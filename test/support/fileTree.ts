/**
 * Directory trees in a form that can be compared: all that lstat says, content, links, extended attributes.
 */
import koffi from "koffi"
import { createHash } from "node:crypto"
import * as fs from "node:fs"

const libc = koffi.load(null)
const listXattrs: (path: Buffer, list: Buffer, size: number) => number = libc.func(
  "int64_t llistxattr(const void *path, void *list, size_t size)"
)
const getXattr: (path: Buffer, key: string, value: Buffer, size: number) => number = libc.func(
  "int64_t lgetxattr(const void *path, const char *key, void *value, size_t size)"
)

/** Key and value, one character a byte. The system's own labels are left out. */
export const xattrsOf = (path: string): Record<string, string> => {
  const buffer = Buffer.alloc(64 * 1024)
  const bytes = Buffer.from(`${path}\0`, "latin1")
  const length = listXattrs(bytes, buffer, buffer.length)
  const keys = length > 0 ? buffer.toString("latin1", 0, length).split("\0").slice(0, -1) : []
  return Object.fromEntries(
    keys
      .filter((key) => key !== "security.selinux")
      .toSorted()
      .map((key) => [key, buffer.toString("latin1", 0, getXattr(bytes, key, buffer, buffer.length))])
  )
}

const typeNames: ReadonlyMap<number, string> = new Map([
  [0o100000, "file"],
  [0o040000, "directory"],
  [0o120000, "symlink"],
  [0o020000, "char"],
  [0o060000, "block"],
  [0o010000, "fifo"]
])

export interface FileFacts {
  readonly type: string
  readonly mode: string
  readonly owner: string
  /** Nanoseconds since the epoch. */
  readonly mtime: string
  readonly size?: string
  readonly sha256?: string
  readonly target?: string
  readonly device?: string
  /** The first path, in byte order, that is the same file. */
  readonly linkedTo?: string
  readonly xattrs: Record<string, string>
}

const deviceOf = (device: bigint) => {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)
  return `${major}:${(device & 0xffn) | ((device >> 12n) & ~0xffn)}`
}

const factsOf = (path: string, firstPaths: Map<string, string>, name: string): FileFacts => {
  const bytes = Buffer.from(path, "latin1")
  const status = fs.lstatSync(bytes, { bigint: true })
  const type = typeNames.get(Number(status.mode) & 0o170000) ?? "?"
  // Files of different layers of an overlay may have one number, on devices of their own.
  const inode = `${status.dev}:${status.ino}`
  const first = firstPaths.get(inode)
  if (first === undefined) firstPaths.set(inode, name)
  return {
    type,
    mode: (Number(status.mode) & 0o7777).toString(8),
    owner: `${status.uid}:${status.gid}`,
    mtime: String(status.mtimeNs),
    ...(type === "file" && {
      size: String(status.size),
      sha256: createHash("sha256").update(fs.readFileSync(bytes)).digest("hex").slice(0, 16)
    }),
    ...(type === "symlink" && { target: fs.readlinkSync(bytes, "latin1") }),
    ...((type === "char" || type === "block") && { device: deviceOf(status.rdev) }),
    ...(first !== undefined && { linkedTo: first }),
    xattrs: xattrsOf(path)
  }
}

/** Everything below a directory by its path, in byte order; names are one character a byte. */
export const fileTree = (root: string): Record<string, FileFacts> => {
  const facts: Record<string, FileFacts> = {}
  const firstPaths = new Map<string, string>()
  const visit = (directory: string) => {
    const names = fs.readdirSync(Buffer.from(`${root}/${directory}`, "latin1"), "latin1").toSorted()
    for (const name of names) {
      const path = directory === "" ? name : `${directory}/${name}`
      const found = factsOf(`${root}/${path}`, firstPaths, path)
      facts[path] = found
      if (found.type === "directory") visit(path)
    }
  }
  visit("")
  return facts
}
