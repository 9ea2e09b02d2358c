/**
 * The images of a namespace of containerd, over its images service.
 */
import { Effect, Layer } from "effect"
import { ImageNotFound, ImageStore, ImageStoreFailed, type StoredImage } from "../services/ImageStore.ts"
import { compareUtf8 } from "../streams/codec/canonicalJson.ts"
import { type ContainerdError, hasCode } from "./containerd/containerdErrors.ts"
import * as Connection from "./containerd/ContainerdConnection.ts"
import { type Image, Images } from "./containerd/gen/images_pb.ts"
import { fromApi, toApi } from "./containerd/storedDescriptor.ts"

type Shape = ImageStore["Service"]

/** Over a connection that other stores share. */
export const layerConnected: Layer.Layer<ImageStore, never, Connection.ContainerdConnection> = Layer.effect(
  ImageStore,
  Effect.map(Connection.ContainerdConnection, (connection) => ImageStore.of(makeImageStore(connection)))
)

/** Over a connection of its own. */
export const layer = (options: Connection.ContainerdOptions): Layer.Layer<ImageStore> =>
  Layer.provide(layerConnected, Connection.layer(options))

/** An image that disappears between two steps of `put` is created again; so many times. */
const maxPutAttempts = 3

const makeImageStore = (connection: Connection.ContainerdConnection["Service"]): Shape => {
  const { address: store, unary } = connection

  const failed = (operation: ImageStoreFailed["operation"], image: string) => (cause: ContainerdError) =>
    new ImageStoreFailed({ operation, store, image, reason: cause.message, cause })

  const orNotFound = (operation: ImageStoreFailed["operation"], name: string) => (cause: ContainerdError) =>
    hasCode(cause, "NOT_FOUND") ? new ImageNotFound({ name }) : failed(operation, name)(cause)

  const get: Shape["get"] = Effect.fn("ImageStoreContainerd.get")(function* (name) {
    const { image } = yield* Effect.mapError(unary(Images.method.get, { name }), orNotFound("get", name))
    const stored = storedOf(image)
    if (stored === undefined) {
      const reason = "what it points to is no descriptor with a sha256 digest"
      return yield* new ImageStoreFailed({ operation: "get", store, image: name, reason })
    }
    return stored
  })

  const images: Shape["images"] = unary(Images.method.list, {}).pipe(
    Effect.mapError(failed("list", "the images")),
    Effect.map((answer) =>
      answer.images.flatMap((image) => storedOf(image) ?? []).sort((left, right) => compareUtf8(left.name, right.name))
    ),
    Effect.withSpan("ImageStoreContainerd.images")
  )

  const put: Shape["put"] = Effect.fn("ImageStoreContainerd.put")(function* ({ name, target, labels }) {
    const image = { name, target: toApi(target), labels: { ...labels } }
    const paths = ["target", ...Object.keys(labels).map((key) => `labels.${key}`)]
    const update = Effect.asVoid(unary(Images.method.update, { image, updateMask: { paths } }))
    yield* Effect.asVoid(unary(Images.method.create, { image })).pipe(
      Effect.catchIf(
        (error) => hasCode(error, "ALREADY_EXISTS"),
        () => update
      ),
      Effect.retry({ times: maxPutAttempts - 1, while: (error) => hasCode(error, "NOT_FOUND") }),
      Effect.mapError(failed("put", name))
    )
  })

  const label: Shape["label"] = Effect.fn("ImageStoreContainerd.label")(function* (name, labels) {
    const paths = Object.keys(labels).map((key) => `labels.${key}`)
    // Without paths an update would replace everything.
    if (paths.length === 0) return
    yield* Effect.mapError(
      unary(Images.method.update, { image: { name, labels: { ...labels } }, updateMask: { paths } }),
      orNotFound("label", name)
    )
  })

  const remove: Shape["delete"] = Effect.fn("ImageStoreContainerd.delete")(function* (name, options) {
    yield* Effect.mapError(
      unary(Images.method.delete, { name, sync: options?.synchronous ?? false }),
      orNotFound("delete", name)
    )
  })

  return { get, images, put, label, delete: remove }
}

const storedOf = (image: Image | undefined): StoredImage | undefined => {
  const target = fromApi(image?.target)
  return image === undefined || target === undefined ? undefined : { name: image.name, target, labels: image.labels }
}
