/**
 * The content store of a namespace of containerd, over its content, leases and images services.
 *
 * Its tags are the names of images. What no image, label or lease leads to is garbage as soon as it is there: work under `withLease`, and
 * label before the lease ends. Ingesting under a lease takes up what is there already. Namespaces see nothing of each
 * other; a blob that another one has is not sent again.
 */
import { Duration, Effect, Layer, Schema, Stream } from "effect"
import { ContentStore } from "../services/ContentStore.ts"
import { Digest } from "../services/Descriptor.ts"
import { ImageStore } from "../services/ImageStore.ts"
import * as Connection from "./containerd/ContainerdConnection.ts"
import { type ContentFailures, makeContentFailures } from "./containerd/contentFailure.ts"
import { makeContentNames } from "./containerd/contentNames.ts"
import { Content } from "./containerd/gen/content_pb.ts"
import { makeIngest } from "./containerd/ingestContent.ts"
import { makeLeases } from "./containerd/leases.ts"
import { makeManifestScan } from "./containerd/manifestScan.ts"
import { makeContentReads } from "./containerd/readContent.ts"
import * as ImageStoreContainerd from "./ImageStoreContainerd.ts"

export interface ContentStoreOptions {
  /** How long another client's upload of a blob that we ingest may get no further before we give up; a minute. */
  readonly uploadPatience?: Duration.Input
}

type Shape = ContentStore["Service"]
type Connected = Connection.ContainerdConnection["Service"]

const defaultUploadPatience = Duration.minutes(1)

const isDigest = Schema.is(Digest)

const make = ({ uploadPatience = defaultUploadPatience }: ContentStoreOptions = {}) =>
  Effect.gen(function* () {
    const connection = yield* Connection.ContainerdConnection
    const failures = makeContentFailures(connection.address)
    const { sizeOf, ...reads } = makeContentReads(connection, failures)
    return ContentStore.of({
      location: connection.address,
      ...reads,
      ...makeContentNames(connection.address, yield* ImageStore, failures, sizeOf, reads.readDocument),
      ...makeManifestScan(connection, failures),
      ...makeLeases(connection, failures),
      ...makeChanges(connection, failures),
      ingest: yield* makeIngest(connection, failures, sizeOf, Duration.fromInputUnsafe(uploadPatience)),
      blobs: listBlobs(connection, failures)
    })
  })

/** Blobs with digests of other algorithms are left out: we could not name them. */
const listBlobs = ({ serverStream, namespace }: Connected, { failed }: ContentFailures): Shape["blobs"] =>
  serverStream(Content.method.list, {}).pipe(
    Stream.mapError(failed("list", namespace)),
    Stream.flatMap(({ info }) =>
      Stream.fromIterable(
        info.flatMap(({ digest, size }) => (isDigest(digest) ? [{ digest, size: Number(size) }] : []))
      )
    )
  )

const makeChanges = ({ unary }: Connected, { orNotFound }: ContentFailures): Pick<Shape, "delete" | "label"> => ({
  delete: Effect.fn("ContentStoreContainerd.delete")(function* ({ digest }) {
    yield* Effect.mapError(unary(Content.method.delete, { digest }), orNotFound("delete", digest))
  }),
  label: Effect.fn("ContentStoreContainerd.label")(function* (digest, key, value) {
    const request = { info: { digest, labels: { [key]: value } }, updateMask: { paths: [`labels.${key}`] } }
    yield* Effect.mapError(unary(Content.method.update, request), orNotFound("label", digest))
  })
})

/** Over a connection that other stores share. */
export const layerConnected: Layer.Layer<ContentStore, never, Connection.ContainerdConnection> = Layer.provide(
  Layer.effect(ContentStore, make()),
  ImageStoreContainerd.layerConnected
)

/** Over a connection of its own. */
export const layer = (options: Connection.ContainerdOptions & ContentStoreOptions): Layer.Layer<ContentStore> =>
  Layer.effect(ContentStore, make(options)).pipe(
    Layer.provide(ImageStoreContainerd.layerConnected),
    Layer.provide(Connection.layer(options))
  )
