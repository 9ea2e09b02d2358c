/**
 * The media types of images, layers and SOCI artifacts, and what they say about a layer's compression.
 */
export const MediaType = {
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociIndex: "application/vnd.oci.image.index.v1+json",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  ociLayer: "application/vnd.oci.image.layer.v1.tar",
  ociLayerGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerManifestList: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  ztoc: "application/octet-stream",
  sociIndexV1: "application/vnd.amazon.soci.index.v1+json",
  sociIndexV2: "application/vnd.amazon.soci.index.v2+json",
  sociPrefetch: "application/vnd.amazon.soci.prefetch.v1+json"
} as const

export const isIndexType = (mediaType: string): boolean =>
  mediaType === MediaType.ociIndex || mediaType === MediaType.dockerManifestList

export const isManifestType = (mediaType: string): boolean =>
  mediaType === MediaType.ociManifest || mediaType === MediaType.dockerManifest

/**
 * How a layer's tar is packed. `unknown` is what a Docker plain-tar type says of itself: it is handled as plain tar.
 * The empty text is a type that says nothing usable (encrypted or non-distributable layers).
 */
export type LayerCompression = "gzip" | "uncompressed" | "unknown" | "zstd" | ""

const dockerLayer = /^application\/vnd\.docker\.image\.rootfs\.(?:foreign\.)?diff\.tar(?:\.(gzip|zstd))?$/
const ociLayerPrefix = "application/vnd.oci.image.layer."
const ociLayerBases: ReadonlyArray<string | undefined> = [
  MediaType.ociLayer,
  "application/vnd.oci.image.layer.nondistributable.v1.tar"
]

/** Whether the type names an image layer at all (index-and-artifacts, 4.3). */
export const isLayerType = (mediaType: string): boolean =>
  mediaType.startsWith(ociLayerPrefix) || dockerLayer.test(mediaType.split("+", 1)[0] ?? "")

/**
 * The compression a layer media type declares, `undefined` for a type that is unknown (index-and-artifacts, 4.3: of
 * several suffixes, sorted, the last one counts).
 */
export const layerCompression = (mediaType: string): LayerCompression | undefined => {
  const docker = dockerLayer.exec(mediaType)
  if (docker) return docker[1] === "gzip" ? "gzip" : docker[1] === "zstd" ? "zstd" : "unknown"
  if (!isLayerType(mediaType)) return undefined
  const [base, ...suffixes] = mediaType.split("+")
  if (!base?.startsWith(ociLayerPrefix)) return ""
  if (!ociLayerBases.includes(base)) return undefined
  if (suffixes.length === 0) return mediaType === MediaType.ociLayer ? "uncompressed" : ""
  const last = suffixes.toSorted().at(-1)
  return last === "gzip" || last === "zstd" ? last : ""
}
