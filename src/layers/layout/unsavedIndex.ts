/**
 * Changes of a layout's index that were not written yet: what tags and listed manifests are to be in place of what the file says. Its
 * size is that of the entries it touches, however often they change.
 */
import type { Descriptor, Digest } from "../../services/Descriptor.ts"
import type { LayoutIndex } from "./layoutIndex.ts"

/** `undefined` takes an entry away. */
export interface UnsavedIndex {
  readonly tags: ReadonlyMap<string, Descriptor | undefined>
  readonly listed: ReadonlyMap<Digest, Descriptor | undefined>
}

export const nothingUnsaved: UnsavedIndex = { tags: new Map(), listed: new Map() }

const overlaid = <K>(
  below: ReadonlyMap<K, Descriptor>,
  changes: ReadonlyMap<K, Descriptor | undefined>
): ReadonlyMap<K, Descriptor> => {
  const merged = new Map(below)
  for (const [key, descriptor] of changes) {
    if (descriptor === undefined) merged.delete(key)
    else merged.set(key, descriptor)
  }
  return merged
}

/** What the file says with the changes applied. */
export const withUnsaved = (index: LayoutIndex, unsaved: UnsavedIndex): LayoutIndex =>
  unsaved.tags.size === 0 && unsaved.listed.size === 0
    ? index
    : {
        ...index,
        tags: overlaid(index.tags, unsaved.tags),
        listed: overlaid(index.listed, unsaved.listed),
        foreign: index.foreign.filter(({ tag }) => tag === undefined || !unsaved.tags.has(tag))
      }

const changed = <K>(
  earlier: ReadonlyMap<K, Descriptor | undefined>,
  before: ReadonlyMap<K, Descriptor>,
  after: ReadonlyMap<K, Descriptor>
): ReadonlyMap<K, Descriptor | undefined> => {
  const changes = new Map(earlier)
  for (const key of before.keys()) if (!after.has(key)) changes.set(key, undefined)
  for (const [key, descriptor] of after) if (before.get(key) !== descriptor) changes.set(key, descriptor)
  return changes
}

/** Adds what differs between two states of the index. */
export const addUnsaved = (unsaved: UnsavedIndex, before: LayoutIndex, after: LayoutIndex): UnsavedIndex => ({
  tags: changed(unsaved.tags, before.tags, after.tags),
  listed: changed(unsaved.listed, before.listed, after.listed)
})
