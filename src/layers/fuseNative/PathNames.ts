/**
 * The names of a layer as text: all that fuse-native can say and hear of a path.
 *
 * A name that is no UTF-8 is known by its text with U+FFFD for what is none. Where that makes two names of a directory the same, neither is
 * shown: a reader must never get another file's bytes.
 */
import { isUtf8 } from "node:buffer"
import { type LayerTree, rootNode } from "../../services/LayerTree.ts"
import { Errno } from "../../streams/codec/fuse.ts"
import { nameOf } from "../../streams/layerTreeFacts.ts"
import { lookupChild } from "../../streams/layerTreeView.ts"

/** Buffers know no shared memory for text: copied. */
const textOf = (name: Uint8Array): string => Buffer.from(name).toString("utf8")

const ambiguous = -1

export class PathNames {
  readonly #tree: LayerTree
  /** Of the directories that have names which are no UTF-8: each text's node. */
  readonly #odd = new Map<number, ReadonlyMap<string, number>>()
  /** Names that are shown otherwise than they are, or not at all. */
  readonly oddNames: number

  constructor(tree: LayerTree) {
    this.#tree = tree
    let odd = 0
    for (let node = 0; node < tree.nodeCount; node++) {
      const found = this.#dirents(node).filter((dirent) => !isUtf8(nameOf(tree, dirent))).length
      if (found > 0) this.#odd.set(node, this.#textsOf(node))
      odd += found
    }
    this.oddNames = odd
  }

  /** The node at a path below the root, or a negative errno. Symbolic links are followed by kernels, not here. */
  find(path: string): number {
    let node = rootNode
    for (const name of path.split("/")) {
      if (name !== "") node = this.#child(node, name)
      if (node < 0) return -Errno.ENOENT
    }
    return node
  }

  /** Names and nodes of a directory. */
  list(node: number): ReadonlyArray<readonly [name: string, node: number]> {
    const odd = this.#odd.get(node)
    if (odd !== undefined) return [...odd].filter(([, child]) => child !== ambiguous)
    return this.#dirents(node).map((dirent) => [
      textOf(nameOf(this.#tree, dirent)),
      this.#tree.direntNode[dirent] ?? rootNode
    ])
  }

  #child(node: number, name: string): number {
    const odd = this.#odd.get(node)
    return odd === undefined ? lookupChild(this.#tree, node, Buffer.from(name)) : (odd.get(name) ?? -1)
  }

  #dirents(node: number): ReadonlyArray<number> {
    const first = this.#tree.firstDirent[node] ?? 0
    return Array.from({ length: this.#tree.direntLength[node] ?? 0 }, (_, index) => first + index)
  }

  #textsOf(node: number): ReadonlyMap<string, number> {
    const texts = new Map<string, number>()
    for (const dirent of this.#dirents(node)) {
      const text = textOf(nameOf(this.#tree, dirent))
      texts.set(text, texts.has(text) ? ambiguous : (this.#tree.direntNode[dirent] ?? ambiguous))
    }
    return texts
  }
}
