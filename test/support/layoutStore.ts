/**
 * Layout stores and content for the scenarios of the layout contract (oci-layout-store, section 13).
 */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import type { ContentStore } from "../../src/services/ContentStore.ts"
import type { Descriptor, Digest } from "../../src/services/Descriptor.ts"
import { MediaType } from "../../src/services/MediaType.ts"
import { chunked, descriptorOf, json, utf8 } from "./content.ts"

export type Store = ContentStore["Service"]

export const artifactManifestType = "application/vnd.oci.artifact.manifest.v1+json"
export const refName = "org.opencontainers.image.ref.name"

/** Content, and what names it. */
export interface Content {
  readonly descriptor: Descriptor
  readonly bytes: Uint8Array
}

export const content = (mediaType: string, bytes: Uint8Array): Content => ({
  descriptor: descriptorOf(bytes, mediaType),
  bytes
})

export const config = content(MediaType.ociConfig, utf8("config"))
export const layer = (text: string) => content(MediaType.ociLayer, utf8(text))

const descriptors = (contents: ReadonlyArray<Content>) => contents.map(({ descriptor }) => descriptor)

/** `name` makes it another manifest than one of the same layers. */
export const manifest = (layers: ReadonlyArray<Content>, subject?: Content, name?: string) =>
  content(
    MediaType.ociManifest,
    json({
      schemaVersion: 2,
      config: config.descriptor,
      layers: descriptors(layers),
      ...(subject ? { subject: subject.descriptor } : {}),
      ...(name === undefined ? {} : { annotations: { name } })
    })
  )

export const imageIndex = (manifests: ReadonlyArray<Content>, subject?: Content) =>
  content(
    MediaType.ociIndex,
    json({
      schemaVersion: 2,
      manifests: descriptors(manifests),
      ...(subject ? { subject: subject.descriptor } : {})
    })
  )

export const artifact = (subject: Content, blobs: ReadonlyArray<Content>) =>
  content(
    artifactManifestType,
    json({ mediaType: artifactManifestType, subject: subject.descriptor, blobs: descriptors(blobs) })
  )

export const push = (store: Store, { descriptor, bytes }: Content) =>
  Effect.as(store.ingest(descriptor, chunked(bytes, 1000)), descriptor)

export const pushAll = (store: Store, contents: ReadonlyArray<Content>, concurrency = 1) =>
  Effect.forEach(contents, (one) => push(store, one), { concurrency, discard: true })

/** Which of the contents are there, by the names they have in the scenario. */
export const present = (store: Store, contents: Readonly<Record<string, Content>>) =>
  Effect.map(
    Effect.filter(Object.entries(contents), ([, { descriptor }]) => store.exists(descriptor.digest)),
    (entries) => entries.map(([name]) => name)
  )

/** The names of what points to a content. */
export const predecessorNames = (store: Store, contents: Readonly<Record<string, Content>>, of: Content) =>
  Effect.map(store.predecessors(of.descriptor.digest), (found) => {
    const digests = new Set<Digest>(found.map(({ digest }) => digest))
    return Object.entries(contents)
      .filter(([, { descriptor }]) => digests.has(descriptor.digest))
      .map(([name]) => name)
  })

/** The entries of `index.json`, as they stand there. */
export const entriesOf = (store: Store): ReadonlyArray<Descriptor> =>
  JSON.parse(readFileSync(path.join(store.location, "index.json"), "utf8")).manifests

export const blobFile = (store: Store, digest: string) =>
  path.join(store.location, "blobs/sha256", digest.slice("sha256:".length))

/** The graph of scenario 38. */
export const graph = (() => {
  const C0 = config
  const [L1, L2, L3] = [layer("foo"), layer("bar"), layer("hello")]
  const [M4, M5, M6] = [manifest([L1, L2]), manifest([L3]), manifest([L1, L2, L3])]
  const [I7, I8, I9] = [imageIndex([M4, M5]), imageIndex([M6]), imageIndex([])]
  const I10 = imageIndex([I7, I8, I9])
  const [B11, B13] = [layer("eleven"), layer("thirteen")]
  const [A12, A14] = [artifact(M6, [B11]), artifact(I10, [B13])]
  return { C0, L1, L2, L3, M4, M5, M6, I7, I8, I9, I10, B11, A12, B13, A14 }
})()

/** Who points to whom in it. */
export const graphPredecessors: Readonly<Record<keyof typeof graph, ReadonlyArray<string>>> = {
  C0: ["M4", "M5", "M6"],
  L1: ["M4", "M6"],
  L2: ["M4", "M6"],
  L3: ["M5", "M6"],
  M4: ["I7"],
  M5: ["I7"],
  M6: ["I8", "A12"],
  I7: ["I10"],
  I8: ["I10"],
  I9: ["I10"],
  I10: ["A14"],
  B11: ["A12"],
  A12: [],
  B13: ["A14"],
  A14: []
}
