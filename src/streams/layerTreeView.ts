/**
 * Reading a layer's tree: views of its shared buffer, and the look-ups a file system makes. Nothing is imported at run time,
 * so that a reader thread starts with this file alone.
 */
import type { LayerTree } from "../services/LayerTree.ts"

/** Node count, dirent count, two words unused; keeps what follows aligned to 8. */
const headerBytes = 16
const root = 0
const directoryType = 0o040000
const symlinkType = 0o120000
const typeMask = 0o170000
/** Links followed in one path, as Linux and containerd count them. */
const maxLinks = 255

/** A tree of zeros with room for that many nodes, names and bytes. */
export const allocateLayerTree = (nodeCount: number, direntCount: number, byteCount: number): LayerTree => {
  const perNode = 3 * 8 + 14 * 4 + 1
  const buffer = new SharedArrayBuffer(headerBytes + nodeCount * perNode + direntCount * 10 + byteCount)
  new Uint32Array(buffer, 0, 2).set([nodeCount, direntCount])
  return viewLayerTree(buffer)
}

/** The tree in a buffer that `buildLayerTree` made, here or in another thread. */
export const viewLayerTree = (buffer: SharedArrayBuffer): LayerTree => {
  const [nodeCount = 0, direntCount = 0] = new Uint32Array(buffer, 0, 2)
  let at = headerBytes
  const take = (bytes: number) => {
    at += bytes
    return at - bytes
  }
  const float64 = () => new Float64Array(buffer, take(nodeCount * 8), nodeCount)
  const uint32 = (count: number) => new Uint32Array(buffer, take(count * 4), count)
  return {
    buffer,
    nodeCount,
    direntCount,
    size: float64(),
    dataOffset: float64(),
    mtimeSeconds: float64(),
    mode: uint32(nodeCount),
    uid: uint32(nodeCount),
    gid: uint32(nodeCount),
    rdev: uint32(nodeCount),
    nlink: uint32(nodeCount),
    mtimeNanoseconds: uint32(nodeCount),
    parent: uint32(nodeCount),
    firstDirent: uint32(nodeCount),
    direntLength: uint32(nodeCount),
    targetOffset: uint32(nodeCount),
    targetLength: uint32(nodeCount),
    xattrOffset: uint32(nodeCount),
    xattrLength: uint32(nodeCount),
    entry: uint32(nodeCount),
    direntNode: uint32(direntCount),
    nameOffset: uint32(direntCount),
    nameLength: new Uint16Array(buffer, take(direntCount * 2), direntCount),
    opaque: new Uint8Array(buffer, take(nodeCount), nodeCount),
    bytes: new Uint8Array(buffer, at)
  }
}

const compareName = (tree: LayerTree, dirent: number, name: Uint8Array): number => {
  const start = tree.nameOffset[dirent] ?? 0
  const length = tree.nameLength[dirent] ?? 0
  const shared = Math.min(length, name.length)
  for (let i = 0; i < shared; i++) {
    const difference = (tree.bytes[start + i] ?? 0) - (name[i] ?? 0)
    if (difference !== 0) return difference
  }
  return length - name.length
}

/** The node of a name in a directory, -1 if there is none. */
export const lookupChild = (tree: LayerTree, node: number, name: Uint8Array): number => {
  let low = tree.firstDirent[node] ?? 0
  let high = low + (tree.direntLength[node] ?? 0)
  while (low < high) {
    const middle = (low + high) >>> 1
    const order = compareName(tree, middle, name)
    if (order === 0) return tree.direntNode[middle] ?? -1
    if (order < 0) low = middle + 1
    else high = middle
  }
  return -1
}

const isType = (tree: LayerTree, node: number, type: number) => ((tree.mode[node] ?? 0) & typeMask) === type

const slash = 0x2f
const dot = 0x2e

const componentsOf = (path: Uint8Array): Array<Uint8Array> => {
  const components: Array<Uint8Array> = []
  for (let start = 0; start < path.length;) {
    const found = path.indexOf(slash, start)
    const end = found < 0 ? path.length : found
    if (end > start) components.push(path.subarray(start, end))
    start = end + 1
  }
  return components
}

const isDots = (name: Uint8Array, count: number) => name.length === count && name.every((byte) => byte === dot)

/**
 * The node of a path below the root, -1 if there is none. Text is taken as UTF-8. Symbolic links on the way are followed inside
 * the layer, at most 255; one that the path ends with is not. `..` of the root is the root.
 */
export const resolvePath = (tree: LayerTree, path: string | Uint8Array): number => {
  const rest = componentsOf(typeof path === "string" ? new TextEncoder().encode(path) : path).toReversed()
  let node = root
  let links = 0
  for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
    if (!isType(tree, node, directoryType)) return -1
    if (isDots(name, 1)) continue
    if (isDots(name, 2)) {
      node = tree.parent[node] ?? root
      continue
    }
    const child = lookupChild(tree, node, name)
    if (child < 0) return -1
    if (rest.length === 0 || !isType(tree, child, symlinkType)) {
      node = child
      continue
    }
    if (++links > maxLinks) return -1
    const start = tree.targetOffset[child] ?? 0
    const target = tree.bytes.subarray(start, start + (tree.targetLength[child] ?? 0))
    if (target[0] === slash) node = root
    for (const component of componentsOf(target).toReversed()) rest.push(component)
  }
  return node
}
